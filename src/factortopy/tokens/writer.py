"""Writing tokens shard by shard, so that a run killed at any point goes on where it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import zarr
from zarr.codecs import Crc32cCodec

from factortopy.errors import DataError
from factortopy.files import atomic_path, check_writable, standing_folder, write_text
from factortopy.networks import Tokens
from factortopy.tokens.store import (
    CHUNK_IMAGES,
    FORMAT,
    MARKER,
    SHARD_IMAGES,
    open_group,
    planned_bytes,
    read_marker,
    stored_bytes,
)


class TokenWriter:
    """A store that is being filled: a new one, or one left by an earlier run of the same extraction.

    Args:
        path: folder of the store.
        identity: what makes the tokens what they are (network, weights, preprocessing, grid, images);
            JSON-ready, and equal in every run that fills the store.
        provenance: of the run; that of the first run is kept.

    Attributes:
        done: images that are complete; a multiple of the shard's images unless all are.

    Raises:
        DataError: if the folder holds something else or other tokens, cannot be written, or the disk is too
            small.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any], provenance: dict[str, Any]) -> None:
        self.path = Path(path)
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._total = len(self._identity["image_ids"])
        if self.path.is_dir() and any(self.path.iterdir()):
            self._group = open_group(self.path, "r+")
            self._compare()
            self._compare_writable()
        else:
            self._create(provenance)
            self._group = open_group(self.path, "r+")
        self.done: int = read_marker(self.path)["images"]

    def write(self, first: int, tokens: Tokens) -> None:
        """Write one shard of float16 tokens whose first image is ``first``, then mark it complete.

        Raises:
            DataError: if the disk is full or the folder cannot be written.
        """
        rows = slice(first, first + len(tokens))
        try:
            for kind, layers in (("local", tokens.local), ("global", tokens.global_)):
                for layer, tensor in zip(self._identity["layers"], layers, strict=True):
                    array: Any = self._group[f"{kind}/{layer}"]
                    array[rows] = tensor.numpy()
        except OSError as error:
            raise DataError(
                f"cannot write tokens to {self.path}: {error.strerror or error}; "
                "make room or allow writing, then run again"
            ) from error
        self.done = rows.stop
        self._mark()

    def _mark(self) -> None:
        marker: dict[str, Any] = {"images": self.done}
        if self.done == self._total:
            arrays = [f"{kind}/{layer}" for kind in ("local", "global") for layer in self._identity["layers"]]
            marker["bytes"] = {array: stored_bytes(self.path / array) for array in arrays}
        write_text(self.path / MARKER, json.dumps(marker))

    def _compare(self) -> None:
        for name, given in self._identity.items():
            there = self._group.attrs.get(name)
            if there != given:
                words = name.replace("_", " ")
                values = f": {there!r} there, {given!r} given" if len(f"{there}{given}") < 200 else ""
                raise DataError(
                    f"token store {self.path} was begun with other {words}{values}; choose another folder"
                )

    def _compare_writable(self) -> None:
        if read_marker(self.path)["images"] < self._total:
            check_writable(self.path)

    def _create(self, provenance: dict[str, Any]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"{self.path} is a file; give a folder for the tokens")
        check_writable(self.path.parent)
        channels, grid = self._identity["channels"], self._identity["grid"]
        needed, free = (
            planned_bytes(self._total, channels, grid),
            shutil.disk_usage(standing_folder(self.path)).free,
        )
        if needed > free:
            raise DataError(
                f"the tokens need {needed / 1e9:.1f} GB and {self.path.parent} has {free / 1e9:.1f} GB free; "
                "take fewer layers, a smaller grid or another disk"
            )
        with atomic_path(self.path) as temporary:
            attributes = {"format": FORMAT, **self._identity, "provenance": provenance}
            group = zarr.create_group(temporary, zarr_format=3, attributes=attributes)
            for layer, count in zip(self._identity["layers"], channels, strict=True):
                self._create_array(group, f"local/{layer}", (count, *grid), CHUNK_IMAGES)
                self._create_array(group, f"global/{layer}", (count,), SHARD_IMAGES)
            write_text(temporary / MARKER, json.dumps({"images": 0}))

    def _create_array(self, group: zarr.Group, name: str, item: tuple[int, ...], chunk: int) -> None:
        group.create_array(
            name,
            shape=(self._total, *item),
            dtype="float16",
            chunks=(chunk, *item),
            shards=(SHARD_IMAGES, *item),
            compressors=[Crc32cCodec()],
            dimension_names=("image", "channel", "height", "width")[: len(item) + 1],
        )
