"""Writing tokens shard by shard, so that a run killed at any point goes on where it was."""

import glob
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from factortopy.errors import DataError
from factortopy.networks import Tokens
from factortopy.storage import SHARD_IMAGES, atomic_path, remove, shard_path, standing_folder, write_shard, write_text
from factortopy.tokens.store import (
    DIGEST_BYTES,
    DIGESTS,
    FIRST_FORMAT,
    FORMAT,
    MARKER,
    open_group,
    planned_bytes,
    read_marker,
    stored_bytes,
)


class TokenWriter:
    """A store that is being filled: a new one, or one left by an earlier run of the same extraction.

    Whoever writes holds the lock of ``only_writer``.

    Args:
        path: folder of the store.
        identity: what makes the tokens what they are (network, weights, preprocessing, grid, images);
            JSON-ready, and equal in every run that fills the store.
        provenance: of the run; that of the first run is kept.

    Attributes:
        done: images that are complete; a multiple of 64 unless all are.

    Raises:
        DataError: if the folder holds something else or other tokens, or the disk is too small.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any], provenance: dict[str, Any]) -> None:
        self.path = Path(path)
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._total = len(self._identity["image_ids"])
        layers = list(zip(self._identity["layers"], self._identity["channels"], strict=True))
        # Parts of an image by array: layers' maps, then layers' global tokens, then the digest.
        self._items: dict[str, tuple[int, ...]] = {
            **{f"local/{layer}": (count, *self._identity["grid"]) for layer, count in layers},
            **{f"global/{layer}": (count,) for layer, count in layers},
            DIGESTS: (DIGEST_BYTES,),
        }
        if self.path.is_dir() and any(self.path.iterdir()):
            compare(self.path, self._identity)
            _sweep(self.path, MARKER)
            self._check_space(read_marker(self.path)["images"])
        else:
            self._check_space(0)
            self._create(provenance)
        self.done: int = read_marker(self.path)["images"]
        self._shard = {name: self._empty(name, item) for name, item in self._items.items()}
        self._filled = 0

    def add(self, tokens: Tokens, digests: Sequence[bytes]) -> None:
        """Add the float16 tokens of the next images, all of one shard; a shard that is full is written.

        Args:
            tokens: on the CPU.
            digests: SHA-256 of each image's pixels.

        Raises:
            DataError: if the disk is full or the folder cannot be written.
        """
        rows = slice(self._filled, self._filled + len(tokens))
        parts = [tensor.numpy() for tensor in (*tokens.local, *tokens.global_)]
        parts.append(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES))
        for shard, part in zip(self._shard.values(), parts, strict=True):
            shard[rows] = part
        self._filled = rows.stop
        if self._filled == SHARD_IMAGES or self.done + self._filled == self._total:
            self._write()

    def _write(self) -> None:
        number = self.done // SHARD_IMAGES
        try:
            for name, values in self._shard.items():
                write_shard(shard_path(self.path / name, number, values.ndim), values[: self._filled])
        except OSError as error:
            raise DataError(
                f"cannot write tokens to {self.path}: {error.strerror or error}; {self.done} of "
                f"{self._total} images are whole and kept: make room or allow writing, then run again",
                path=self.path,
            ) from error
        self.done += self._filled
        self._filled = 0
        marker: dict[str, Any] = {"images": self.done}
        if self.done == self._total:
            marker["bytes"] = {name: stored_bytes(self.path / name) for name in self._items}
        write_text(self.path / MARKER, json.dumps(marker))

    def _check_space(self, done: int) -> None:
        channels, grid = self._identity["channels"], self._identity["grid"]
        needed = planned_bytes(self._total - done, channels, grid)
        free = shutil.disk_usage(standing_folder(self.path)).free
        if needed > free:
            raise DataError(
                f"the tokens need {needed / 1e9:.1f} GB and {self.path.parent} has {free / 1e9:.1f} GB free; "
                "take fewer layers, a smaller grid or another disk"
            )

    def _create(self, provenance: dict[str, Any]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise DataError(f"{self.path} is a file; give a folder for the tokens", path=self.path)
        _sweep(self.path.absolute().parent, self.path.name)
        with atomic_path(self.path) as temporary:
            attributes = {"format": FORMAT, **self._identity, "provenance": provenance}
            group = zarr.create_group(temporary, zarr_format=3, attributes=attributes)
            for name, item in self._items.items():
                self._create_array(group, name, item)
            write_text(temporary / MARKER, json.dumps({"images": 0}))

    def _create_array(self, group: zarr.Group, name: str, item: tuple[int, ...]) -> None:
        axes = ("byte",) if name == DIGESTS else ("channel", "height", "width")
        group.create_array(
            name,
            shape=(self._total, *item),
            dtype=_dtype(name),
            chunks=(1, *item),
            shards=(SHARD_IMAGES, *item),
            compressors=[Crc32cCodec()],
            dimension_names=("image", *axes[: len(item)]),
        )

    def _empty(self, name: str, item: tuple[int, ...]) -> np.ndarray:
        return np.empty((min(SHARD_IMAGES, self._total), *item), _dtype(name))


def compare(path: Path, identity: dict[str, Any]) -> None:
    """Compare a store with what is to be written to it.

    Raises:
        DataError: if it is of another network, preprocessing or image set, or of an earlier version and
            not finished.
    """
    attributes = open_group(path).attrs
    first = attributes["format"] == FIRST_FORMAT
    if first and read_marker(path)["images"] < len(identity["image_ids"]):
        raise DataError(f"token store {path} was begun by an earlier version; choose another folder", path=path)
    for name, given in json.loads(json.dumps(identity)).items():
        there = attributes.get(name, given if first else None)
        if there != given:
            words = name.replace("_", " ")
            values = f": {there!r} there, {given!r} given" if len(f"{there}{given}") < 200 else ""
            raise DataError(
                f"token store {path} was begun with other {words}{values}; choose another folder", path=path
            )


def _sweep(folder: Path, name: str) -> None:
    """Remove what a run left that was killed while it wrote ``name``."""
    for left in folder.glob(f".{glob.escape(name)}.*.partial"):
        remove(left)


def _dtype(name: str) -> str:
    return "uint8" if name == DIGESTS else "<f2"
