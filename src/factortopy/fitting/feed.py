"""Batches for training, the next ones read while one is used."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.examples import Examples
from factortopy.networks import Tokens

AHEAD = 3
"""Batches that are read ahead."""

Batch = tuple[Tokens, Float[Tensor, "batch voxel"]]


class Feed:
    """Tokens and responses batch by batch, on the device that computes.

    Attributes:
        waited: seconds spent waiting for batches.

    Args:
        images: where batches come from.
        device: where they go.
    """

    def __init__(self, images: Examples, device: torch.device) -> None:
        self._images, self._device = images, device
        self.waited = 0.0

    def batches(self, order: Iterator[Int[Tensor, "batch"]]) -> Iterator[Batch]:
        """A batch for each set of indices in ``order``, in that order."""
        reading = map(self._read, order) if self._images.resident else self._ahead(order)
        start = time.perf_counter()
        for batch in reading:
            self.waited += time.perf_counter() - start
            yield batch
            start = time.perf_counter()

    def _ahead(self, order: Iterator[Int[Tensor, "batch"]]) -> Iterator[Batch]:
        with ThreadPoolExecutor(max_workers=1) as reader:
            waiting: deque[Future[Batch]] = deque(
                reader.submit(self._read, indices) for indices in islice(order, AHEAD)
            )
            try:
                while waiting:
                    batch = waiting.popleft().result()
                    waiting.extend(reader.submit(self._read, indices) for indices in islice(order, 1))
                    yield batch
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, indices: Int[Tensor, "batch"]) -> Batch:
        tokens = self._images.read(indices).to(self._device)
        return tokens, self._images.responses[indices].to(self._device)
