"""Principal components of tokens: what they are measured on, and tokens as components and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.networks import Tokens
from factortopy.storage import sha256_array

SAMPLES = 16_384
"""Tokens per layer that components are measured on: many times the channels of any network."""
KINDS = ("local", "global")


class Moments:
    """Mean and covariance of tokens that come batch by batch."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, tokens: Float[Tensor, "n C"]) -> Self:
        """Take in some more tokens."""
        tokens = tokens.float()
        if not self._count:
            # Deviations from about the mean: squares of large values would drown small variances.
            self._origin = tokens.mean(dim=0)
            self._sum = torch.zeros_like(self._origin, dtype=torch.float64)
            self._squares = torch.zeros(len(self._sum), len(self._sum), dtype=torch.float64)
        deviation = tokens - self._origin
        self._count += len(tokens)
        self._sum += deviation.sum(dim=0, dtype=torch.float64)
        self._squares += deviation.T @ deviation
        return self

    def mean_and_covariance(self) -> tuple[Float[Tensor, "C"], Float[Tensor, "C C"]]:
        """In float64; the covariance divides by the number of tokens."""
        shift = self._sum / self._count
        return self._origin + shift, self._squares / self._count - torch.outer(shift, shift)


class TokenMoments:
    """Moments of the local and of the global tokens of so many images, layer by layer.

    Attributes:
        local, global_: of every layer.

    Args:
        images: how many there will be.
        seed: of the choice of local tokens, about ``SAMPLES`` of a layer in all.
    """

    def __init__(self, images: int, seed: int = 0) -> None:
        self.local: list[Moments] = []
        self.global_: list[Moments] = []
        self._images, self._generator = images, torch.Generator().manual_seed(seed)

    def add(self, tokens: Tokens) -> Self:
        """Take in the tokens of some more images."""
        for moments, part in self.parts(tokens):
            moments.add(part)
        return self

    def parts(self, tokens: Tokens) -> list[tuple[Moments, Float[Tensor, "_n _C"]]]:
        """What :meth:`add` adds to which moments, all of them different, on the CPU."""
        parts = []
        for layer, (local, global_) in enumerate(zip(tokens.local, tokens.global_, strict=True)):
            if layer == len(self.local):
                self.local.append(Moments())
                self.global_.append(Moments())
            by_place = local.flatten(2)
            places = by_place.shape[2]
            chosen = torch.randperm(len(local) * places, generator=self._generator)
            chosen = chosen[: -(-SAMPLES * len(tokens) // self._images)].to(local.device)
            parts.append((self.local[layer], by_place[chosen // places, :, chosen % places].cpu()))
            parts.append((self.global_[layer], global_.cpu()))
        return parts


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """Leading principal axes of one kind of token of one layer, of channels that are standardised first.

    A few channels of some networks are a hundred times larger than the rest.

    Attributes:
        mean: mean of every channel.
        spread: standard deviation of every channel; 0 where it is constant.
        axes: of length 1, by falling variance.
        variance: of the standardised tokens along every axis.
    """

    mean: Float[Tensor, "C"]
    spread: Float[Tensor, "C"]
    axes: Float[Tensor, "K C"]
    variance: Float[Tensor, "K"]

    @classmethod
    def measure(cls, moments: Moments, count: int, within: "PrincipalAxes | None" = None) -> "PrincipalAxes":
        """At most so many axes of tokens whose moments are known, in float64.

        Args:
            moments: of the tokens, or of their components along other axes.
            count: axes wanted.
            within: these other axes: channels are then standardised as they were before.
        """
        mean, covariance = moments.mean_and_covariance()
        count = min(count, len(mean))
        if within is not None:
            values, vectors = torch.linalg.eigh(covariance)
            axes = vectors.flip(1)[:, :count].T @ within.axes.double()
            mean, spread = within.restore(mean[None])[0].double(), within.spread.double()
            return cls(mean, spread, axes, values.flip(0)[:count].clamp(min=0))
        spread = covariance.diagonal().clamp(min=0).sqrt()
        spread = torch.where(spread > 1e-6 * spread.max(), spread, 0.0)
        inverse = torch.where(spread > 0, 1 / spread, 0.0)
        values, vectors = torch.linalg.eigh(inverse[:, None] * covariance * inverse)
        return cls(mean, spread, vectors.flip(1)[:, :count].T, values.flip(0)[:count].clamp(min=0))

    @property
    def inverse(self) -> Float[Tensor, "C"]:
        """What standardises every channel; 0 where it is constant."""
        return torch.where(self.spread > 0, 1 / self.spread, 0.0)

    @property
    def explained(self) -> float:
        """Share of the variance of the standardised tokens; 1 where nothing varies."""
        varying = int((self.spread > 0).sum())
        return float(self.variance.sum()) / varying if varying else 1.0

    def leading(self, count: int) -> "PrincipalAxes":
        """At most so many of the axes."""
        return PrincipalAxes(self.mean, self.spread, self.axes[:count], self.variance[:count])

    def map(self, change: Callable[[Tensor], Tensor]) -> "PrincipalAxes":
        """The same axes with all tensors changed, as to another device."""
        return PrincipalAxes(*(change(getattr(self, item.name)) for item in fields(self)))

    def reduce(self, tokens: Float[Tensor, "B C *place"]) -> Float[Tensor, "B K *place"]:
        """Components of tokens."""
        centred = tokens.float().reshape(*tokens.shape[:2], -1) - self.mean[:, None]
        return ((self.axes * self.inverse) @ centred).reshape(len(tokens), -1, *tokens.shape[2:])

    def restore(self, components: Float[Tensor, "B K *place"]) -> Float[Tensor, "B C *place"]:
        """Tokens from their components, without what lies outside of the axes."""
        flat = components.float().reshape(*components.shape[:2], -1)
        tokens = (self.axes * self.spread).T @ flat + self.mean[:, None]
        return tokens.reshape(len(components), -1, *components.shape[2:])


@dataclass(frozen=True, eq=False)
class TokenBasis:
    """Principal axes of the local and of the global tokens, layer by layer, in float32."""

    local: tuple[PrincipalAxes, ...]
    global_: tuple[PrincipalAxes, ...]

    @classmethod
    def measure(cls, moments: TokenMoments, count: int) -> Self:
        """At most so many axes of every layer's tokens."""
        kinds = (moments.local, moments.global_)
        return cls(*(tuple(PrincipalAxes.measure(layer, count) for layer in kind) for kind in kinds))._map(Tensor.float)

    @property
    def count(self) -> int:
        """Components of a layer, at most."""
        return max(len(layer.variance) for layer in self.local)

    @property
    def explained(self) -> dict[str, list[float]]:
        """Share of the variance of the standardised tokens that the axes hold, by kind, layer by layer."""
        kinds = zip(KINDS, (self.local, self.global_), strict=True)
        return {kind: [round(layer.explained, 4) for layer in layers] for kind, layers in kinds}

    @property
    def digest(self) -> str:
        """SHA-256 of all axes."""
        return sha256_array(*self.to_arrays([str(number) for number in range(len(self.local))]).values())

    def leading(self, count: int) -> Self:
        """At most so many axes of every layer."""
        kinds = (self.local, self.global_)
        return type(self)(*(tuple(layer.leading(count) for layer in kind) for kind in kinds))

    def to(self, device: torch.device) -> Self:
        """The same axes on a device."""
        return self._map(lambda values: values.to(device))

    def reduce(self, tokens: Tokens) -> Tokens:
        """Tokens as their components, which are tokens of fewer channels."""
        return self._of_tokens(PrincipalAxes.reduce, tokens)

    def restore(self, components: Tokens) -> Tokens:
        """Tokens of the network's own channels, in float16, from their components."""
        return self._of_tokens(lambda layer, values: layer.restore(values).half(), components)

    def to_arrays(self, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """All arrays by names such as ``local/blocks.3/axes``; :meth:`from_arrays` takes them."""
        return {
            f"{kind}/{name}/{item.name}": getattr(layer, item.name).numpy()
            for kind, own in zip(KINDS, (self.local, self.global_), strict=True)
            for name, layer in zip(layers, own, strict=True)
            for item in fields(PrincipalAxes)
        }

    @classmethod
    def from_arrays(cls, read: Callable[[str], np.ndarray], layers: Sequence[str]) -> Self:
        """The axes from the arrays that a function gives by name."""

        def layer(kind: str, name: str) -> PrincipalAxes:
            return PrincipalAxes(
                *(torch.from_numpy(read(f"{kind}/{name}/{item.name}")) for item in fields(PrincipalAxes))
            )

        return cls(*(tuple(layer(kind, name) for name in layers) for kind in KINDS))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        kinds = (self.local, self.global_)
        return type(self)(*(tuple(layer.map(change) for layer in kind) for kind in kinds))

    def _of_tokens(self, change: Callable[[PrincipalAxes, Tensor], Tensor], tokens: Tokens) -> Tokens:
        kinds = (self.local, tokens.local), (self.global_, tokens.global_)
        return Tokens(*(tuple(change(*pair) for pair in zip(*kind, strict=True)) for kind in kinds))
