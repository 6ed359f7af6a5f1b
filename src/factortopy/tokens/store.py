"""Tokens on disk: one Zarr v3 group, float16, one array a layer, image ids and provenance inside.

Layout: ``local/<layer>`` (image, channel, height, width) and ``global/<layer>`` (image, channel); a slash and
other marks that no folder has in its name are written as in an address (``%2F``). A chunk is one image with all
its channels, as training reads images in any order, and 64 images make one file (a shard). Tokens hardly shrink
under compression, so there is none; every chunk has a checksum instead.
``image_sha256`` holds a digest of every image's pixels. A small file beside the group says how many images
are complete and is written last.
"""

import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import numpy as np
import torch
import zarr
from torch import Tensor

from factortopy.errors import DataError
from factortopy.networks import Preprocessing, Tokens
from factortopy.storage import SHARD_IMAGES, ShardedStore, read_rows, shard_bytes, shard_path, write_shard

FIRST_FORMAT = "factortopy-tokens-1"
"""Of the first release: four images a local chunk, 64 a global one, no digests of images."""
DIGESTS = "image_sha256"
DIGEST_BYTES = 32


class TokenFolder(ShardedStore):
    """The folder of a token store, complete or not."""

    noun = "token store"
    unit = "images"
    action = "extraction"
    formats = ("factortopy-tokens-2", FIRST_FORMAT)
    listed = ("image_ids", "image_groups")


class TokenStore:
    """The tokens of a set of images in one network, opened for reading; open with ``TokenStore.open``.

    Attributes:
        path: folder of the store.
        network: name of the network.
        weights_hash: SHA-256 of its weights.
        layers: names of the layers, shallow to deep.
        channels: channels of each layer.
        grid: height and width of every local map.
        global_token: whether the global token is the class token or the mean over places.
        preprocessing: what was done to the photographs first.
        precision: ``"bf16"`` or ``"fp32"``, in which the network ran.
        image_ids: ids of the images, in order.
        image_groups: scene of each image, if known: a split keeps a scene on one side.
        provenance: versions, machine and time of the extraction.
        outliers: ``"kept"``, or how tokens of extreme norm were masked.

    Example:
        >>> store = ft.TokenStore.open("run/tokens")
        >>> store.read([0, 1]).global_[0].shape == (2, store.channels[0])
        True
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        facts: dict[str, Any] = dict(group.attrs)
        self.path = path
        self.network: str = facts["network"]
        self.weights_hash: str = facts["weights_hash"]
        self.layers: tuple[str, ...] = tuple(facts["layers"])
        self.channels: tuple[int, ...] = tuple(facts["channels"])
        self.grid: tuple[int, int] = (facts["grid"][0], facts["grid"][1])
        self.global_token: Literal["class", "pooled"] = facts["global_token"]
        self.preprocessing = Preprocessing.from_dict(facts["preprocessing"])
        self.precision: str = facts["precision"]
        self.image_ids: tuple[str, ...] = tuple(facts["image_ids"])
        groups = facts["image_groups"]
        self.image_groups: tuple[str, ...] | None = None if groups is None else tuple(groups)
        self.provenance: dict[str, Any] = facts["provenance"]
        self.outliers: str = facts.get("outliers", "kept")
        self._chunk_images = {"local": 4, "global": SHARD_IMAGES} if facts["format"] == FIRST_FORMAT else {}

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a complete store.

        Raises:
            DataError: if there is none at ``path``, or it is incomplete, truncated or damaged.
        """
        folder = TokenFolder(Path(path))
        group = folder.open()
        folder.check_whole(len(group.attrs["image_ids"]))  # type: ignore[arg-type]
        try:
            return cls(folder.path, group)
        except (KeyError, IndexError, TypeError) as error:
            raise folder.damaged(f"its attributes lack {error}") from error

    @property
    def facts(self) -> dict[str, Any]:
        """How photographs became these tokens, JSON-ready: what a mapping needs to be shown others alike."""
        return {
            "network": self.network,
            "weights_hash": self.weights_hash,
            "preprocessing": vars(self.preprocessing),
            "grid": list(self.grid),
            "precision": self.precision,
            "outliers": self.outliers,
            **self.provenance,
        }

    def __len__(self) -> int:
        """Number of images."""
        return len(self.image_ids)

    def read(self, indices: Sequence[int] | None = None) -> Tokens:
        """Tokens of some images, in the order given; of all if None.

        Args:
            indices: of the images in ``image_ids``, from 0; in any order, repeats allowed.

        Returns:
            float16 tokens on the CPU.

        Raises:
            DataError: if an index is out of range, or the store is damaged.
        """
        wanted = None if indices is None else np.asarray(indices, dtype=np.int64)
        if wanted is not None and (wanted.size == 0 or wanted.min() < 0 or wanted.max() >= len(self)):
            fault = f"image indices must be one or more of 0 to {len(self) - 1}, as the store {self.path} has"
            raise DataError(fault, path=self.path)
        rows = np.arange(len(self)) if wanted is None else wanted
        layers = list(zip(self.layers, self.channels, strict=True))
        local = [self._read("local", layer, rows, count) for layer, count in layers]
        global_ = [self._read("global", layer, rows, count) for layer, count in layers]
        return Tokens(tuple(local), tuple(global_))

    @cached_property
    def digests(self) -> tuple[str, ...] | None:
        """SHA-256 of the pixels of each image, as hex digits; None in a store that has none."""
        if not (self.path / DIGESTS).is_dir():
            return None
        return tuple(read_digests(self.path, range(len(self))))

    def _read(self, kind: Literal["local", "global"], layer: str, rows: np.ndarray, count: int) -> Tensor:
        item = (count, *self.grid) if kind == "local" else (count,)
        array = self.path / kind / _folder_name(layer)
        try:
            values = read_rows(array, rows, item, "<f2", self._chunk_images.get(kind, 1))
        except DataError as error:
            raise TokenFolder(self.path).damaged(str(error)) from error
        return torch.from_numpy(values)


def read_digests(path: Path, rows: Sequence[int]) -> list[str]:
    """SHA-256 of the pixels of some images of a store, complete or not, as hex digits."""
    return [bytes(digest).hex() for digest in read_rows(path / DIGESTS, rows, (DIGEST_BYTES,), "u1")]


def planned_bytes(images: int, channels: Sequence[int], grid: tuple[int, int]) -> int:
    """Bytes on disk of the tokens of so many images.

    They are ``2 * images * sum(channels) * (height * width + 1)``, checksums and digests of the images; only
    the attributes (ids, provenance), some hundred bytes an image at most, are not counted.
    """
    items = [2 * count * positions for count in channels for positions in (math.prod(grid), 1)]
    return sum(shard_bytes(images, item) for item in (*items, DIGEST_BYTES))


def images_done(path: str | Path) -> int:
    """Images that are complete in a store; 0 where there is none."""
    return TokenFolder(Path(path)).done


class TokenWriter:
    """A store that is filled shard by shard: a new one, or one left by an earlier run of the same extraction.

    Whoever writes holds the lock of ``only_writer``. ``identity`` is what makes the tokens what they are (network,
    weights, preprocessing, grid, images), equal in every run that fills the store, but for images after those that are
    complete; the provenance of the first run with these images is kept. ``done`` images are complete: a multiple of 64
    unless all are.
    """

    def __init__(self, path: str | Path, identity: dict[str, Any], provenance: dict[str, Any]) -> None:
        self._folder = TokenFolder(Path(path))
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._total = len(self._identity["image_ids"])
        layers = list(zip(self._identity["layers"], self._identity["channels"], strict=True))
        # Parts of an image by array: layers' maps, then layers' global tokens, then the digest.
        self._items: dict[str, tuple[int, ...]] = {
            **{f"local/{_folder_name(layer)}": (count, *self._identity["grid"]) for layer, count in layers},
            **{f"global/{_folder_name(layer)}": (count,) for layer, count in layers},
            DIGESTS: (DIGEST_BYTES,),
        }
        done = self._folder.done
        needed = planned_bytes(self._total - done, self._identity["channels"], self._identity["grid"])
        self._folder.check_space(needed, "take fewer layers, a smaller grid or another disk")
        arrays = {name: self._layout(name, item) for name, item in self._items.items()}
        self._folder.begin(self._identity, {"provenance": provenance}, arrays, self._total)
        self.done = done
        if done == self._total:
            self._folder.mark(done, done, self._items)  # those left out were all that was missing
        count = min(SHARD_IMAGES, self._total)
        self._shard = {name: np.empty((count, *item), _dtype(name)) for name, item in self._items.items()}
        self._filled = 0

    def add(self, tokens: Tokens, digests: Sequence[bytes]) -> None:
        """Add the next images, all of one shard, and the SHA-256 of their pixels; a full shard is written."""
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
        with self._folder.writing(self._total):
            for name, values in self._shard.items():
                item = values.shape[1:]
                file = shard_path(self._folder.path / name, number, *[0] * len(item))
                write_shard(file, values[: self._filled], (1, *item), (SHARD_IMAGES, *item))
        self.done += self._filled
        self._filled = 0
        self._folder.mark(self.done, self._total, self._items)

    def _layout(self, name: str, item: tuple[int, ...]) -> dict[str, Any]:
        axes = ("byte",) if name == DIGESTS else ("channel", "height", "width")
        return {
            "shape": (self._total, *item),
            "dtype": _dtype(name),
            "chunks": (1, *item),
            "shards": (SHARD_IMAGES, *item),
            "dimension_names": ("image", *axes[: len(item)]),
        }


def _folder_name(layer: str) -> str:
    """A layer's name as that of a folder that Zarr allows."""
    if layer in ("", "zarr.json") or layer.startswith((".", "__")):
        return f"%{ord(layer[:1] or chr(0)):02X}{quote(layer[1:], safe='')}"
    return quote(layer, safe="")


def _dtype(name: str) -> str:
    return "uint8" if name == DIGESTS else "<f2"
