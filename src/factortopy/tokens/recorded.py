"""Tokens of batches of one size by a CUDA graph: a GPU is quicker than Python can tell it what to do next."""

import sys
from collections.abc import Callable
from math import prod

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from factortopy.machine import Replayed
from factortopy.machine.graph import Work
from factortopy.networks import Tokens

CHECKED = 2
"""Replays that are held against plain calls: what a network does may hang on more than the pixels."""
TOLERANCE = 0.02
"""Of the largest token; roundings of bfloat16 are below, another picture's tokens above."""

Compute = Callable[[Float[Tensor, "B 3 H W"]], Tokens]
WithSums = tuple[Tokens, Float[Tensor, "part image"]]


class Recorded:
    """Float16 tokens and their sums (see :func:`part_sums`), recorded once and replayed where that gives the same.

    Args:
        compute: tokens of a batch, on the device where the network is.
        device: that device; elsewhere than on CUDA GPUs nothing is recorded.
        record: see :class:`factortopy.machine.Replayed`.
    """

    def __init__(self, compute: Compute, device: torch.device, record: Callable[[Work], Work] | None = None) -> None:
        self._compute, self._shape, self._checks = compute, torch.Size(), CHECKED
        recorded = record is not None or device.type == "cuda"
        self._replayed = Replayed(self._packed, device, record) if recorded else None
        self._shapes: list[torch.Size] = []

    def __call__(self, pixels: Float[Tensor, "B 3 H W"]) -> WithSums:
        """Of a batch; those of other sizes than the first are computed plainly."""
        self._shape = self._shape or pixels.shape
        if self._replayed is None or pixels.shape != self._shape:
            return self._plain(pixels)
        found = self._unpacked(self._replayed(pixels))
        if self._replayed.recorded and self._checks:
            self._checks -= 1
            plain = self._plain(pixels)
            if not alike(found[0], plain[0]):
                print("Batches are not replayed, as the network gives other tokens then", file=sys.stderr)
                self._replayed = None
                return plain
        return found

    def _plain(self, pixels: Float[Tensor, "B 3 H W"]) -> WithSums:
        tokens = self._compute(pixels)
        return tokens, part_sums(tokens)

    def _packed(self, pixels: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "bytes"]:
        tokens, sums = self._plain(pixels)
        parts = (*tokens.local, *tokens.global_)
        self._shapes = [part.shape for part in parts]
        return torch.cat([part.reshape(-1).view(torch.uint8) for part in (sums, *parts)])

    def _unpacked(self, packed: UInt8[Tensor, "bytes"]) -> WithSums:
        count, layers = len(self._shapes), len(self._shapes) // 2
        sums, *parts = packed.split([4 * count * self._shape[0], *(2 * prod(shape) for shape in self._shapes)])
        tokens = [part.view(torch.float16).view(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        return Tokens(tuple(tokens[:layers]), tuple(tokens[layers:])), sums.view(torch.float32).view(count, -1)


def part_sums(tokens: Tokens) -> Float[Tensor, "part image"]:
    """Sums of the local tokens of each layer, then of the global ones: finite where all tokens are."""
    return torch.stack([part.flatten(1).sum(1, dtype=torch.float32) for part in (*tokens.local, *tokens.global_)])


def alike(found: Tokens, plain: Tokens) -> bool:
    """Whether tokens are the same up to roundings."""
    pairs = zip((*found.local, *found.global_), (*plain.local, *plain.global_), strict=True)
    return all(bool((one - other).abs().max() <= TOLERANCE * other.abs().max()) for one, other in pairs)
