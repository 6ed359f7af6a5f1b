"""A token store that is filled shard by shard: one is written by threads or processes while the next one is filled."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from factortopy.machine import Copied, Forked, can_fork, pinned, shared_empty
from factortopy.networks import Tokens
from factortopy.storage import SHARD_IMAGES, shard_path, write_shard
from factortopy.tokens.components import TokenBasis
from factortopy.tokens.store import BASIS, DIGEST_BYTES, DIGESTS, TokenFolder, folder_name, item_shapes, planned_bytes

_TYPES = (torch.float16, torch.uint8)
"""Of tokens and of digests."""
CPU = torch.device("cpu")
WRITERS = 8
"""That are worth their while: each more is one more thing to be told of every shard."""


class TokenWriter:
    """A store that is filled shard by shard: a new one, or one left by an earlier run of the same extraction.

    Whoever writes holds the lock of ``only_writer``. ``identity`` is what makes the tokens what they are (network,
    weights, preprocessing, grid, images), equal in every run that fills the store, but for images after those that are
    complete; the provenance of the first run with these images is kept. ``done`` images are complete: a multiple of 64
    unless all are. With a ``basis``, which a new store keeps, the tokens given are components.

    A context: what was added is on disk once it is left. So many ``workers`` write the arrays of a full shard while the
    next one is filled: threads, or processes where a GPU (``device``) would wait for Python's own code in these.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        provenance: dict[str, Any],
        basis: TokenBasis | None = None,
        workers: int = 1,
        device: torch.device = CPU,
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
        self._count, self._taken, self._filled = 0, done, 0
        count = min(SHARD_IMAGES, self._total)
        self._shards = [
            {name: shared_empty((count, *item), _TYPES[name == DIGESTS]) for name, item in self._items.items()}
            for _ in range(2)
        ]
        self._writing: list[Future[int]] = []
        self._submit: Callable[..., Future[int]]
        self._copied, self._held = Copied(device), ExitStack()
        shared, self._workers = (self._folder.path, self._shards), min(workers, WRITERS, len(self._items))
        if can_fork(device):
            self._submit = self._held.enter_context(Forked(_write_arrays, shared, self._workers)).submit
        else:
            threads = self._held.enter_context(ThreadPoolExecutor(self._workers))
            self._submit = partial(threads.submit, partial(_write_arrays, shared))
        self._held.enter_context(pinned(device, *(part for shard in self._shards for part in shard.values())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        with self._held:
            self._finish()

    def add(self, tokens: Tokens, digests: Sequence[bytes]) -> None:
        """Add the next images, all of one shard, and the SHA-256 of their pixels; a full shard is written."""
        rows = slice(self._count, self._count + len(tokens))
        checksums = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8).view(-1, DIGEST_BYTES)
        parts = (*tokens.local, *tokens.global_, checksums)
        for place, part in zip(self._shards[self._filled].values(), parts, strict=True):
            place[rows].copy_(part, non_blocking=True)
        self._copied.record()
        self._copied.wait()
        self._count, self._taken = rows.stop, self._taken + len(tokens)
        if self._count == SHARD_IMAGES or self._taken == self._total:
            self._write()

    def _write(self) -> None:
        """Have the shard that is full written, once the one before it is."""
        self._finish()
        number, names = self.done // SHARD_IMAGES, list(self._items)
        self._writing = [
            self._submit(self._filled, names[first :: self._workers], self._count, number)
            for first in range(self._workers)
        ]
        self._filled, self._count = 1 - self._filled, 0

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


def _write_arrays(
    shared: tuple[Path, Sequence[Mapping[str, Tensor]]], filled: int, names: Sequence[str], count: int, number: int
) -> int:
    """Write some arrays of a shard that is full; how many images it has."""
    folder, shards = shared
    for name in names:
        values = shards[filled][name][:count].numpy()
        item = values.shape[1:]
        file = shard_path(folder / name, number, *[0] * len(item))
        write_shard(file, values, (1, *item), (SHARD_IMAGES, *item))
    return count
