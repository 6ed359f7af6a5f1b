"""Writing tokens shard by shard, so that a run killed at any point goes on where it was."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.networks import Tokens
from factortopy.storage import SHARD_IMAGES, shard_path, write_shard
from factortopy.tokens.store import DIGEST_BYTES, DIGESTS, TokenFolder, planned_bytes


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
        self._folder = TokenFolder(self.path)
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._total = len(self._identity["image_ids"])
        layers = list(zip(self._identity["layers"], self._identity["channels"], strict=True))
        # Parts of an image by array: layers' maps, then layers' global tokens, then the digest.
        self._items: dict[str, tuple[int, ...]] = {
            **{f"local/{layer}": (count, *self._identity["grid"]) for layer, count in layers},
            **{f"global/{layer}": (count,) for layer, count in layers},
            DIGESTS: (DIGEST_BYTES,),
        }
        done = self._folder.done
        needed = planned_bytes(self._total - done, self._identity["channels"], self._identity["grid"])
        self._folder.check_space(needed, "take fewer layers, a smaller grid or another disk")
        arrays = {name: self._layout(name, item) for name, item in self._items.items()}
        self._folder.begin(self._identity, {"provenance": provenance}, arrays, self._total)
        self.done = done
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
        with self._folder.writing(self._total):
            for name, values in self._shard.items():
                item = values.shape[1:]
                file = shard_path(self.path / name, number, *[0] * len(item))
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

    def _empty(self, name: str, item: tuple[int, ...]) -> np.ndarray:
        return np.empty((min(SHARD_IMAGES, self._total), *item), _dtype(name))


def _dtype(name: str) -> str:
    return "uint8" if name == DIGESTS else "<f2"
