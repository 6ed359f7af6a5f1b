"""Images through a network while others are decoded and written: the network never waits for the disk.

Threads decode into the next batches, this thread computes, one more thread takes results off the device, others
write them. What waits between them is bounded, so memory does not grow with the number of images.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.images import ImageSet, broken_error, find_broken
from factortopy.machine import autocast, can_fork, single_threads
from factortopy.networks import Network, Tokens
from factortopy.storage import SHARD_IMAGES
from factortopy.tokens.components import TokenBasis
from factortopy.tokens.feeding import DeviceFeed, Feed, PillowFeed, decode_in_processes
from factortopy.tokens.outliers import mask_outliers

AHEAD = 2
"""Batches that are decoded ahead of the network, and that may wait for the writer."""

Take = Callable[[Tokens, Sequence[bytes]], object]
"""Takes float16 tokens of the next images, on the network's device, and the SHA-256 of their pixels."""


@dataclass(frozen=True)
class Extraction:
    """What is done to images, and how.

    Args:
        network: on the device where it runs.
        images: all of them, in their order.
        grid: height and width of the maps written.
        batch_size: images at a time in the network.
        precision: ``"bf16"`` or ``"fp32"``.
        workers: threads that decode.
        masked: whether tokens of extreme norm are replaced.
        on_device: whether photographs are resized and normalised on the network's device, not by Pillow.
        basis: axes, on the network's device, that tokens are reduced to; None to keep them whole.
    """

    network: Network
    images: ImageSet
    grid: tuple[int, int]
    batch_size: int
    precision: str
    workers: int
    masked: bool
    on_device: bool = False
    basis: TokenBasis | None = None

    def run(self, rows: range, take: Take, advance: Callable[[int], None], progress: bool = True) -> None:
        """Compute the tokens of some images and hand them to ``take``, in order; no batch crosses 64 of them.

        ``take`` is called in a thread of its own, never twice at a time; ``advance`` is told of every batch taken.

        Raises:
            DataError: if images are broken (all are named), or a token does not fit into float16.
        """
        waiting: deque[tuple[int, Future[None]]] = deque()
        with single_threads(1) as writer:
            for batch, pixels, digests in self._decoded(rows, progress):
                tokens = self.compute(pixels)
                waiting.append((len(batch), writer.submit(self._hand_over, take, batch, tokens, digests)))
                while len(waiting) > AHEAD:
                    _finish(waiting, advance)
            while waiting:
                _finish(waiting, advance)

    def compute(self, pixels: Float[Tensor, "B 3 H W"]) -> Tokens:
        """Tokens of a batch on the network's device, down-sampled and float16."""
        with torch.inference_mode():
            with autocast(self.network.device, self.precision):
                tokens = self.network.tokens(pixels)
            if self.masked:
                tokens = mask_outliers(tokens, pooled=self.network.global_token == "pooled")
            tokens = tokens.downsample(self.grid)
            tokens = Tokens(tokens.local, tokens.global_)
            return (tokens if self.basis is None else self.basis.reduce(tokens)).to(dtype=torch.float16)

    def load_first(self, progress: bool = True) -> Float[Tensor, "1 3 H W"]:
        """The first image as the network sees it; if it is broken, all that are broken are named."""
        feed = self._feed(slots=1, buffers=1)
        try:
            feed.load(0, 0, 0)
        except (DataError, OSError):
            raise self._broken(0, progress) from None
        return feed.pixels(0, 1)

    def _decoded(self, wanted: range, progress: bool) -> Iterator[tuple[range, Tensor, list[bytes]]]:
        """Batches with digests of their images, none across shards; the next ones are decoded meanwhile."""
        if self.on_device and can_fork(self.network.device):
            for found in decode_in_processes(self.images, self._batches(wanted), self.network, self.workers):
                if isinstance(found, range):
                    raise self._broken(found.start if wanted.step == 1 else 0, progress)
                yield found
            return
        batches = deque(enumerate(self._batches(wanted)))
        # A batch overwrites the one so many before it, whose tokens have been taken by then.
        feed = self._feed(slots=min(self.batch_size, len(self.images)), buffers=2 * AHEAD + 1)
        started: deque[tuple[range, int, list[Future[bytes]]]] = deque()
        with single_threads(self.workers) as pool:
            try:
                while batches or started:
                    while batches and len(started) <= AHEAD:
                        number, rows = batches.popleft()
                        buffer = number % feed.buffers
                        jobs = [pool.submit(feed.load, row, buffer, slot) for slot, row in enumerate(rows)]
                        started.append((rows, buffer, jobs))
                    rows, buffer, jobs = started.popleft()
                    try:
                        digests = [job.result() for job in jobs]
                    except (DataError, OSError):
                        raise self._broken(rows.start if wanted.step == 1 else 0, progress) from None
                    yield rows, feed.pixels(buffer, len(rows)), digests
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _feed(self, slots: int, buffers: int) -> Feed:
        return (DeviceFeed if self.on_device else PillowFeed)(self.images, self.network, slots, buffers)

    def _batches(self, rows: range) -> list[range]:
        size = self.batch_size
        shards = [rows[i : i + SHARD_IMAGES] for i in range(0, len(rows), SHARD_IMAGES)]
        return [shard[i : i + size] for shard in shards for i in range(0, len(shard), size)]

    def _broken(self, first: int, progress: bool) -> DataError:
        broken = find_broken(self.images, first=first, workers=self.workers, progress=progress)
        return broken_error(self.images, broken)

    def _hand_over(self, take: Take, rows: range, tokens: Tokens, digests: list[bytes]) -> None:
        check_finite(tokens, self.network.layers, [self.images.ids[row] for row in rows])
        take(tokens, digests)


def check_finite(tokens: Tokens, layers: Sequence[str], ids: Sequence[str]) -> None:
    """Refuse tokens that float16 cannot hold, infinite or not a number, by layer and image; nothing is clipped."""
    # The sum is finite where all are: one pass, where looking at each takes three; and the device is asked once.
    sums = torch.stack([part.flatten(1).sum(1, dtype=torch.float32) for part in (*tokens.local, *tokens.global_)])
    faults = (~sums.isfinite()).nonzero().tolist()
    if faults:
        part, image = faults[0]
        kind = "local" if part < len(layers) else "global"
        raise DataError(
            f"layer {layers[part % len(layers)]!r} gives {kind} tokens for image {ids[image]!r} that are not finite or "
            "above 65504, the largest of float16: leave the layer out or use fp32"
        )


def _finish(waiting: deque[tuple[int, Future[None]]], advance: Callable[[int], None]) -> None:
    images, job = waiting.popleft()
    job.result()
    advance(images)
