"""Principal components of tokens: the well-conditioned coordinates that the default recipe trains in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.model import ChannelAlign, ChannelMap, UnitChannelMap
from factortopy.networks import Tokens

SAMPLES = 16_384
"""Tokens per layer that the components are measured on: many times the channels of any network."""


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
    def measure(cls, tokens: Float[Tensor, "n C"], count: int, damping: float) -> "PrincipalComponents":
        """Measure components of more tokens than ``count``; constant channels get no weight."""
        tokens = tokens.float()
        mean = tokens.mean(dim=0)
        centred = tokens - mean
        spread = centred.square().mean(dim=0).sqrt()
        inverse = torch.where(spread > 1e-6 * spread.max(), 1 / spread, 0.0)
        centred = centred * inverse
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
        count = min(count, len(values))
        values, vectors = values.flip(0)[:count].clamp(min=0), vectors.flip(1)[:, :count]
        damped = values + damping * values.mean()
        return cls(mean, (vectors * damped.rsqrt()).T * inverse, values / damped)

    def apply(self, tokens: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch K"]:
        """Damped principal components of tokens."""
        return torch.nn.functional.linear(tokens.float() - self.mean, self.projection)

    def to(self, device: torch.device) -> "PrincipalComponents":
        """The same components on a device."""
        return PrincipalComponents(*(getattr(self, item.name).to(device) for item in fields(self)))

    def unfold(self, channel_map: UnitChannelMap) -> ChannelMap:
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
    def measure(cls, tokens: Tokens, count: int, damping: float, seed: int = 0) -> "TokenReduction":
        """Measure the components of training tokens, with at most ``SAMPLES`` tokens a layer.

        Args:
            tokens: tokens of the training images.
            count: components kept, at most.
            damping: fraction of the mean variance added to every component's variance.
            seed: seed of the choice of local tokens.
        """
        generator = torch.Generator().manual_seed(seed)
        # Local tokens are many, but both kinds keep the same channels, so few images bound both.
        count = min(count, len(tokens) - 1)

        def local(values: Float[Tensor, "n C H W"]) -> PrincipalComponents:
            flat = values.movedim(1, -1).flatten(0, 2)
            chosen = torch.randperm(len(flat), generator=generator)[:SAMPLES]
            return PrincipalComponents.measure(flat[chosen], count, damping)

        return cls(
            tuple(local(values) for values in tokens.local),
            tuple(PrincipalComponents.measure(values, count, damping) for values in tokens.global_),
        )

    def apply(self, tokens: Tokens) -> Tokens:
        """Damped principal components of tokens, as tokens of fewer channels."""
        return Tokens(
            local=tuple(
                layer.apply(values.movedim(1, -1)).movedim(-1, 1)
                for layer, values in zip(self.local, tokens.local, strict=True)
            ),
            global_=tuple(
                layer.apply(values) for layer, values in zip(self.global_, tokens.global_, strict=True)
            ),
        )

    def to(self, device: torch.device) -> "TokenReduction":
        """The same components on a device."""
        return TokenReduction(
            tuple(layer.to(device) for layer in self.local), tuple(layer.to(device) for layer in self.global_)
        )

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
                PrincipalComponents(*(tensors[f"{kind}/{number}/{name}"] for name in names))
                for number in range(count)
            )

        return cls(layers("local"), layers("global_"))

    def unfold(self, align: ChannelAlign) -> ChannelAlign:
        """A channel align trained on components, as one that takes the network's own channels."""

        def maps(layers: Sequence[PrincipalComponents], trained: Iterable[nn.Module]) -> list[ChannelMap]:
            pairs = zip(layers, trained, strict=True)
            return [layer.unfold(unit) for layer, unit in pairs if isinstance(unit, UnitChannelMap)]

        return ChannelAlign(maps(self.local, align.local), maps(self.global_, align.global_))
