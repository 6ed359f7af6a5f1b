"""Principal components of tokens: the well-conditioned coordinates that the default recipe trains in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples
from factortopy.machine import in_threads
from factortopy.model import ChannelAlign, ChannelMap, UnitChannelMap
from factortopy.networks import Tokens

MEASURED_IMAGES = 2_048
"""Training images that principal components are measured on."""
BATCH = 64
SAMPLES = 16_384
"""Tokens per layer that the components are measured on: many times the channels of any network."""


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


@dataclass(frozen=True)
class PrincipalComponents:
    """Leading principal components of one kind of token of one layer, damped towards unit variance.

    Channels are standardised first, as a few channels of some networks are a hundred times larger than
    the rest. A component of variance s is divided by ``sqrt(s + damping * mean variance)``, the mean over
    those kept: large ones get about unit variance and learn at a like rate, small ones are not blown up.

    Attributes:
        mean: mean of every channel.
        projection: components after division by the channels' standard deviations and the damping.
        variance: variance of every damped component, in (0, 1).
    """

    mean: Float[Tensor, "C"]
    projection: Float[Tensor, "K C"]
    variance: Float[Tensor, "K"]

    @classmethod
    def measure(cls, moments: "Moments", count: int, damping: float) -> "PrincipalComponents":
        """Components of tokens whose moments are known; constant channels get no weight.

        Raises:
            DataError: if no channel varies.
        """
        mean, covariance = moments.mean_and_covariance()
        spread = covariance.diagonal().clamp(min=0).sqrt()
        if not bool((spread > 0).any()):
            raise DataError("the tokens of a layer are the same for all training images; fit images that differ")
        inverse = torch.where(spread > 1e-6 * spread.max(), 1 / spread, 0.0)
        values, vectors = torch.linalg.eigh(inverse[:, None] * covariance * inverse)
        count = min(count, len(values))
        values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
        damped = values + damping * values.mean()
        projection = (vectors * damped.rsqrt()).T * inverse
        return cls(mean.float(), projection.float(), (values / damped).float())

    def apply(self, tokens: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch K"]:
        """Damped principal components of tokens."""
        return torch.nn.functional.linear(tokens.float() - self.mean, self.projection)

    def undamped(self, count: int) -> "PrincipalComponents":
        """The leading components in the proportions of the standardised channels, to a common factor.

        With s the variance of a component and d what was added to it, ``variance = s / (s + d)``.
        """
        kept = self.variance[:count]
        stretch = (1 - kept).clamp(min=1e-6).rsqrt()
        return PrincipalComponents(self.mean, stretch[:, None] * self.projection[:count], kept * stretch.square())

    def to(self, device: torch.device) -> "PrincipalComponents":
        """The same components on a device."""
        return PrincipalComponents(*(getattr(self, item.name).to(device) for item in fields(self)))

    def unfold(self, channel_map: ChannelMap | UnitChannelMap) -> ChannelMap:
        """The same map, taking the network's own channels."""
        width = len(channel_map.weight)
        with torch.random.fork_rng(devices=[]):  # its start is drawn, and then written over
            unfolded = ChannelMap(len(self.mean), width, offset=True)
        weight = channel_map.weight.detach().to(self.projection.device) @ self.projection
        unfolded.load_state_dict({"weight": weight, "offset": -weight @ self.mean})
        return unfolded


@dataclass(frozen=True)
class TokenReduction:
    """Principal components of the local and of the global tokens, layer by layer."""

    local: tuple[PrincipalComponents, ...]
    global_: tuple[PrincipalComponents, ...]

    @classmethod
    def measure(
        cls, batches: Iterable[Tokens], images: int, count: int, damping: float, seed: int = 0
    ) -> "TokenReduction":
        """Measure the components of the tokens of so many training images; see :func:`measure_reduction`.

        The seed is of the choice of local tokens, about ``SAMPLES`` in all.
        """
        generator = torch.Generator().manual_seed(seed)
        moments: dict[tuple[str, int], Moments] = {}
        for tokens in batches:
            parts: list[tuple[Moments, Tensor]] = []
            for number, (local, global_) in enumerate(zip(tokens.local, tokens.global_, strict=True)):
                flat = local.movedim(1, -1).flatten(0, 2)
                chosen = torch.randperm(len(flat), generator=generator)[: -(-SAMPLES * len(tokens) // images)]
                parts.append((moments.setdefault(("local", number), Moments()), flat[chosen]))
                parts.append((moments.setdefault(("global", number), Moments()), global_))
            for _ in in_threads(lambda part: part[0].add(part[1]), parts, flat.device):
                pass
        # Local tokens are many, but both kinds keep the same channels, so few images bound both.
        count = min(count, images - 1)

        def components(kind: str) -> tuple[PrincipalComponents, ...]:
            layers = [measured for (which, _), measured in moments.items() if which == kind]
            measured = in_threads(lambda layer: PrincipalComponents.measure(layer, count, damping), layers, flat.device)
            return tuple(measured)

        return cls(components("local"), components("global"))

    def apply(self, tokens: Tokens) -> Tokens:
        """Damped principal components of tokens, as tokens of fewer channels."""

        def applied(pair: tuple[PrincipalComponents, Tensor]) -> Tensor:
            return pair[0].apply(pair[1].movedim(1, -1)).movedim(-1, 1)

        local = in_threads(applied, zip(self.local, tokens.local, strict=True), tokens.local[0].device)
        global_ = (layer.apply(values) for layer, values in zip(self.global_, tokens.global_, strict=True))
        return Tokens(tuple(local), tuple(global_))

    def undamped(self, count: int) -> "TokenReduction":
        """At most so many leading components of every kind and layer; see :meth:`PrincipalComponents.undamped`."""
        return TokenReduction(*(tuple(layer.undamped(count) for layer in kind) for kind in (self.local, self.global_)))

    def to(self, device: torch.device) -> "TokenReduction":
        """The same components on a device."""
        return TokenReduction(*(tuple(layer.to(device) for layer in kind) for kind in (self.local, self.global_)))

    def to_tensors(self) -> dict[str, Tensor]:
        """All components as tensors by name; :meth:`from_tensors` takes them."""
        return {
            f"{kind.name}/{number}/{item.name}": getattr(layer, item.name)
            for kind in fields(self)
            for number, layer in enumerate(getattr(self, kind.name))
            for item in fields(layer)
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "TokenReduction":
        """Components that :meth:`to_tensors` gave."""

        def layers(kind: str) -> tuple[PrincipalComponents, ...]:
            count = len({name.split("/")[1] for name in tensors if name.startswith(f"{kind}/")})
            names = [item.name for item in fields(PrincipalComponents)]
            return tuple(
                PrincipalComponents(*(tensors[f"{kind}/{number}/{name}"] for name in names)) for number in range(count)
            )

        return cls(layers("local"), layers("global_"))

    def unfold(self, align: ChannelAlign) -> ChannelAlign:
        """A channel align trained on components, as one that takes the network's own channels."""

        def maps(layers: Sequence[PrincipalComponents], trained: Iterable[nn.Module]) -> list[ChannelMap]:
            pairs = zip(layers, trained, strict=True)
            return [layer.unfold(unit) for layer, unit in pairs if isinstance(unit, ChannelMap | UnitChannelMap)]

        return ChannelAlign(maps(self.local, align.local), maps(self.global_, align.global_))


def measure_reduction(training: Examples, count: int, damping: float, seed: int = 0) -> TokenReduction:
    """Principal components of the tokens of training images, at most 2,048 of them evenly spread.

    Args:
        training: training images.
        count: components kept, at most.
        damping: fraction of the mean variance added to every component's variance.
        seed: of the choice of local tokens.
    """
    chosen = spread_evenly(len(training), MEASURED_IMAGES)
    batches = (training.read(rows) for rows in chosen.split(BATCH))
    return TokenReduction.measure(batches, len(chosen), count, damping, seed)


def spread_evenly(count: int, most: int) -> Int[Tensor, "some"]:
    """At most so many of the indices 0, 1, ... count - 1, evenly spread over all."""
    return torch.arange(count)[:: -(-count // most)]
