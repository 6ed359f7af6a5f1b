"""A token store that is filled shard by shard: one is written by several threads while the next one is filled."""

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from factortopy.networks import Tokens
from factortopy.storage import SHARD_IMAGES, shard_path, write_shard
from factortopy.tokens.components import TokenBasis
from factortopy.tokens.store import BASIS, DIGEST_BYTES, DIGESTS, TokenFolder, folder_name, item_shapes, planned_bytes


class TokenWriter:
    """A store that is filled shard by shard: a new one, or one left by an earlier run of the same extraction.

    Whoever writes holds the lock of ``only_writer``. ``identity`` is what makes the tokens what they are (network,
    weights, preprocessing, grid, images), equal in every run that fills the store, but for images after those that are
    complete; the provenance of the first run with these images is kept. ``done`` images are complete: a multiple of 64
    unless all are. With a ``basis``, which a new store keeps, the tokens given are components.

    A context: what was added is on disk once it is left. So many ``threads`` write the arrays of a full shard while the
    next one is filled; ``pinned`` memory is what a CUDA GPU writes to by itself.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        provenance: dict[str, Any],
        basis: TokenBasis | None = None,
        threads: int = 1,
        pinned: bool = False,
    ) -> None:
        self._folder = TokenFolder(Path(path))
        self._identity: dict[str, Any] = json.loads(json.dumps(identity))
        self._total = len(self._identity["image_ids"])
        names, channels, grid = (self._identity[name] for name in ("layers", "channels", "grid"))
        # Parts of an image by array: layers' maps, then layers' global tokens, then the digest.
        self._items = {**item_shapes(names, channels, tuple(grid), basis), DIGESTS: (DIGEST_BYTES,)}
        done = self._folder.done
        needed = planned_bytes(self._total - done, channels, grid, None if basis is None else basis.count)
        self._folder.check_space(needed, "take fewer layers, a smaller grid or another disk")
        arrays = {name: self._layout(name, item) for name, item in self._items.items()}
        axes = {} if basis is None else basis.to_arrays([folder_name(layer) for layer in names])
        kept = {f"{BASIS}/{name}": values for name, values in axes.items()}
        self._folder.begin(self._identity, {"provenance": provenance}, arrays, self._total, kept)
        self._arrays = (*self._items, *kept)
        self.done = done
        if done == self._total:
            self._folder.mark(done, done, self._arrays)  # those left out were all that was missing
        count = min(SHARD_IMAGES, self._total)
        self._filled, self._full = self._empty(count, pinned), self._empty(count, pinned)
        self._count, self._taken = 0, done
        self._pinned, self._pool = pinned, ThreadPoolExecutor(threads)
        self._writing: list[Future[int]] = []

    def _empty(self, count: int, pinned: bool) -> dict[str, Tensor]:
        types = {name: torch.uint8 if name == DIGESTS else torch.float16 for name in self._items}
        return {
            name: torch.empty((count, *item), dtype=types[name], pin_memory=pinned)
            for name, item in self._items.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._finish()
        finally:
            self._pool.shutdown()

    def add(self, tokens: Tokens, digests: Sequence[bytes]) -> None:
        """Add the next images, all of one shard, and the SHA-256 of their pixels; a full shard is written."""
        rows = slice(self._count, self._count + len(tokens))
        checksums = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).view(-1, DIGEST_BYTES)
        for place, part in zip(self._filled.values(), (*tokens.local, *tokens.global_, checksums), strict=True):
            place[rows].copy_(part, non_blocking=self._pinned)
        if self._pinned:
            there = torch.cuda.Event()
            there.record()
            there.synchronize()
        self._count, self._taken = rows.stop, self._taken + len(tokens)
        if self._count == SHARD_IMAGES or self._taken == self._total:
            self._write()

    def _write(self) -> None:
        """Have the shard that is full written, once the one before it is."""
        self._finish()
        self._filled, self._full = self._full, self._filled
        number = self.done // SHARD_IMAGES
        self._writing = [
            self._pool.submit(self._write_array, name, values[: self._count].numpy(), number)
            for name, values in self._full.items()
        ]
        self._count = 0

    def _write_array(self, name: str, values: np.ndarray, number: int) -> int:
        item = values.shape[1:]
        file = shard_path(self._folder.path / name, number, *[0] * len(item))
        write_shard(file, values, (1, *item), (SHARD_IMAGES, *item))
        return len(values)

    def _finish(self) -> None:
        """Wait for the shard that is being written, and say that it is whole."""
        writing, self._writing = self._writing, []
        if writing:
            with self._folder.writing(self._total):
                self.done += max(job.result() for job in writing)
            self._folder.mark(self.done, self._total, self._arrays)

    def _layout(self, name: str, item: tuple[int, ...]) -> dict[str, Any]:
        axes = ("byte",) if name == DIGESTS else ("channel", "height", "width")
        return {
            "shape": (self._total, *item),
            "dtype": _dtype(name),
            "chunks": (1, *item),
            "shards": (SHARD_IMAGES, *item),
            "dimension_names": ("image", *axes[: len(item)]),
        }


def _dtype(name: str) -> str:
    return "uint8" if name == DIGESTS else "<f2"
