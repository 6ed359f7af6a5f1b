"""Aligned tokens of held-out images: read and aligned once for all that is computed of them."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch

from factortopy.model import AlignedTokens, FactorTopy
from factortopy.networks import Tokens


class AlignedBatches:
    """A model's aligned tokens of images, batch by batch, as often as they are iterated over.

    The first pass reads and aligns the tokens and keeps them where they are aligned; the next ones read none.

    Args:
        model: a trained model.
        batches: gives the tokens, batch by batch, on the model's device.
        memory: bytes that may be kept; if they do not suffice, every pass reads and aligns again.
    """

    def __init__(self, model: FactorTopy, batches: Callable[[], Iterable[Tokens]], memory: float = math.inf) -> None:
        self._model, self._batches, self._memory = model, batches, memory
        self._kept: list[AlignedTokens] | None = None

    def __iter__(self) -> Iterator[AlignedTokens]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[AlignedTokens] = []
        size = 0
        for tokens in self._batches():
            with torch.no_grad():
                aligned = self._model.align(tokens)
            size += sum(part.nbytes for part in aligned)
            if size <= self._memory:
                kept.append(aligned)
            else:
                kept.clear()
            yield aligned
        if size <= self._memory:
            self._kept = kept
