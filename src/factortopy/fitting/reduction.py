"""Principal components of tokens: the well-conditioned coordinates that the default recipe trains in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting.examples import Examples
from factortopy.machine import in_threads
from factortopy.model import ChannelAlign, ChannelMap, UnitChannelMap
from factortopy.networks import Tokens
from factortopy.storage import read_ahead
from factortopy.tokens import Moments, PrincipalAxes, TokenBasis, TokenMoments

MEASURED_IMAGES = 2_048
"""Training images that principal components are measured on."""
BATCH = 64


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
    def measure(
        cls, moments: Moments, count: int, damping: float, within: PrincipalAxes | None = None
    ) -> "PrincipalComponents":
        """Components of tokens whose moments are known; constant channels get no weight.

        Args:
            moments: of the tokens.
            count: components kept, at most.
            damping: fraction of the mean variance added to every component's variance.
            within: axes that the moments are of components of; None where they are of whole tokens.

        Raises:
            DataError: if no channel varies.
        """
        found = PrincipalAxes.measure(moments, count, within)
        if not bool((found.variance > 0).any()):
            raise DataError("the tokens of a layer are the same for all training images; fit images that differ")
        damped = found.variance + damping * found.variance.mean()
        # As a checkpoint gives it back: products differ in their last bits by how numbers lie.
        projection = (damped.rsqrt()[:, None] * found.axes * found.inverse).contiguous()
        return cls(found.mean.float(), projection.float(), (found.variance / damped).float())

    def apply(self, tokens: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch K"]:
        """Damped principal components of tokens."""
        return torch.nn.functional.linear(tokens.float() - self.mean, self.projection)

    def leading(self, count: int) -> "PrincipalComponents":
        """At most so many of the components."""
        return PrincipalComponents(self.mean, self.projection[:count], self.variance[:count])

    def undamped(self, count: int) -> "PrincipalComponents":
        """The leading components in the proportions of the standardised channels, to a common factor.

        With s the variance of a component and d what was added to it, ``variance = s / (s + d)``.
        """
        kept, stretch = self.variance[:count], self.stretch[:count]
        return PrincipalComponents(self.mean, stretch[:, None] * self.projection[:count], kept * stretch.square())

    @property
    def stretch(self) -> Float[Tensor, "K"]:
        """What makes damped components undamped ones."""
        return (1 - self.variance).clamp(min=1e-6).rsqrt()

    def within(self, axes: PrincipalAxes) -> "PrincipalComponents":
        """The same of tokens that are known by their components along some axes."""
        projection = self.projection @ (axes.axes * axes.spread).T
        return PrincipalComponents(axes.reduce(self.mean[None])[0], projection, self.variance)

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
        cls,
        batches: Iterable[Tokens],
        images: int,
        count: int,
        damping: float,
        seed: int = 0,
        basis: TokenBasis | None = None,
    ) -> "TokenReduction":
        """Measure the components of the tokens of so many training images; see :func:`measure_reduction`.

        The seed is of the choice of local tokens, about ``SAMPLES`` in all. With a basis, batches are of components.
        """
        # Local tokens are many, but both kinds keep the same channels, so few images bound both.
        count = min(count, images - 1)
        moments = TokenMoments(images, seed)
        device = torch.device("cpu")
        for tokens in batches:
            for _ in in_threads(lambda part: part[0].add(part[1]), moments.parts(tokens), device):
                pass
        kinds = (moments.local, moments.global_)
        known = ([None] * len(kinds[0]),) * 2 if basis is None else (basis.local, basis.global_)

        def components(moments: Sequence[Moments], axes: Sequence[PrincipalAxes | None]) -> list[PrincipalComponents]:
            def measured(layer: tuple[Moments, PrincipalAxes | None]) -> PrincipalComponents:
                return PrincipalComponents.measure(layer[0], count, damping, layer[1])

            return list(in_threads(measured, zip(moments, axes, strict=True), device))

        return cls(*(tuple(components(*kind)) for kind in zip(kinds, known, strict=True)))

    def apply(self, tokens: Tokens) -> Tokens:
        """Damped principal components of tokens, as tokens of fewer channels."""

        def applied(pair: tuple[PrincipalComponents, Tensor]) -> Tensor:
            return pair[0].apply(pair[1].movedim(1, -1)).movedim(-1, 1)

        local = in_threads(applied, zip(self.local, tokens.local, strict=True), tokens.local[0].device)
        global_ = (layer.apply(values) for layer, values in zip(self.global_, tokens.global_, strict=True))
        return Tokens(tuple(local), tuple(global_))

    def within(self, basis: TokenBasis) -> "TokenReduction":
        """The same of tokens that are known by their components along some axes."""
        kinds = (self.local, basis.local), (self.global_, basis.global_)
        return TokenReduction(*(tuple(layer.within(axes) for layer, axes in zip(*kind, strict=True)) for kind in kinds))

    @property
    def count(self) -> int:
        """Components of the layer that has most."""
        return max(len(layer.variance) for layer in self.local)

    def leading(self, count: int) -> "TokenReduction":
        """At most so many leading components of every kind and layer."""
        return TokenReduction(*(tuple(layer.leading(count) for layer in kind) for kind in (self.local, self.global_)))

    def undamped(self, count: int) -> "TokenReduction":
        """The same in the proportions of the channels; see :meth:`PrincipalComponents.undamped`."""
        return TokenReduction(*(tuple(layer.undamped(count) for layer in kind) for kind in (self.local, self.global_)))

    def undamp(self, components: Tokens) -> Tokens:
        """Damped components as :meth:`undamped` would have given them."""
        local = (
            values * layer.stretch[:, None, None] for layer, values in zip(self.local, components.local, strict=True)
        )
        pairs = zip(self.global_, components.global_, strict=True)
        return Tokens(tuple(local), tuple(values * layer.stretch for layer, values in pairs))

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
    chosen, read = spread_evenly(len(training), MEASURED_IMAGES), training.components or training.read
    batches = read_ahead(read, chosen.split(BATCH), 1)
    return TokenReduction.measure(batches, len(chosen), count, damping, seed, training.basis)


def as_stored(images: Examples, reduction: TokenReduction) -> tuple[Examples, TokenReduction]:
    """Images that are read as they are on disk, and their reduction from that: no whole tokens are made for it."""
    if images.components is None or images.basis is None:
        return images, reduction
    basis = images.basis.to(reduction.local[0].mean.device)
    return replace(images, read=images.components), reduction.within(basis)


def spread_evenly(count: int, most: int) -> Int[Tensor, "some"]:
    """At most so many of the indices 0, 1, ... count - 1, evenly spread over all."""
    return torch.arange(count)[:: -(-count // most)]
