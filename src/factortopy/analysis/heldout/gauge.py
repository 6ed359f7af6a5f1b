"""Gauges of the selectors: the changes that alter no prediction, and one canonical choice among them.

Layer weights, scales, channels and channel maps can change together while every prediction stays
(`docs/identifiability.md`). A gauge is: a factor c_l for every layer, a factor q_k for local and for
global tokens, and an invertible mixing A of the shared channels::

    F_kl -> c_l q_k A F_kl          w_il -> w_il / (c_l z_i)       (sums to 1 again)
    a_i -> a_i / q_global / t_i      omega_i -> z_i t_i A^-T omega_i

The *canonical* gauge is fixed by the covariances S_kl of the aligned features over some images::

    mean_kl S_kl = identity          the shared channels are white
    mean_k tr S_kl / D = 1           every layer is equally large
    mean_l tr S_kl / D = 1           local and global tokens are equally large
    sum_i omega_i omega_i^T diagonal, falling; sum_id omega_id^3 >= 0 in every channel d

It is the maximum likelihood of proportional covariances (Flury 1986), a problem with one solution, so
models that differ by a gauge have the same canonical form.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.model import AlignedTokens, ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection

ROUNDS = 100
"""Features of too few images, of which some vary in one layer alone, have no canonical form to close in on."""
TOLERANCE = 1e-10
"""Largest relative change of a factor in the last round."""
REMEMBERED, FURTHEST = 8, 1.0
"""Rounds that the next one is foreseen from, and how far, in logarithms of factors."""
SMALLEST = 1e-10
"""Directions of less variance than this part of the largest count as that large: they are never blown up."""


class Selectors(NamedTuple):
    """Selectors of a model in some gauge.

    Attributes:
        selection: space, layer and scale of every voxel.
        channels: channel selectors, omega.
    """

    selection: Selection
    channels: Float[Tensor, "N D"]


@dataclass(frozen=True, eq=False)
class Gauge:
    """A change of channel maps and selectors together that leaves every prediction as it is.

    Attributes:
        layers: factor of every layer's aligned features, above 0.
        kinds: factors of the local and of the global features, above 0.
        mixing: invertible mixing of the shared channels.

    Example:
        >>> model, layers = ft.load_model(mapping, subject), len(tokens.layers)
        >>> width = model.channels.shape[1]
        >>> doubled = ft.Gauge(torch.full((layers,), 2.0), torch.ones(2), torch.eye(width)).model(model)
        >>> torch.allclose(doubled(tokens.read([0])), model(tokens.read([0])), atol=1e-4)
        True
    """

    layers: Float[Tensor, "L"]
    kinds: Float[Tensor, "2"]
    mixing: Float[Tensor, "D D"]

    def selectors(self, before: Selectors) -> Selectors:
        """The selectors that predict from the changed features what ``before`` did from the old ones."""
        selection = before.selection.map(lambda part: part.to(self.mixing.dtype))
        scale, layer = selection.scale, selection.layer / self.layers
        local, global_ = (1 - scale) / self.kinds[0], scale / self.kinds[1]
        total, kinds = layer.sum(dim=1), local + global_
        channels = torch.linalg.solve(self.mixing, before.channels.to(self.mixing.dtype), left=False)
        moved = selection._replace(layer=layer / total[:, None], scale=global_ / kinds)
        return Selectors(moved, channels * (total * kinds)[:, None])

    def model(self, before: FactorTopy) -> FactorTopy:
        """A model with changed channel maps and selectors and, up to rounding, the same predictions.

        Raises:
            DataError: if a channel map is not linear in the network's own channels.
        """
        selection, channels = self.selectors(Selectors(before.select(), before.channels.detach()))
        dtype = before.channels.dtype
        maps = [
            [self._map(own, layer * kind) for own, layer in zip(side, self.layers, strict=True)]
            for side, kind in zip((before.align.local, before.align.global_), self.kinds, strict=True)
        ]
        after = FactorTopy(
            ChannelAlign(*maps),
            FixedSelectors(selection.map(lambda part: part.to(dtype))),
            channels.detach().to(dtype),
            before.factor,
            before.form,
        )
        after.bias.data.copy_(before.bias.detach())
        return after

    def _map(self, before: torch.nn.Module, factor: Tensor) -> ChannelMap:
        if not isinstance(before, ChannelMap):
            raise DataError("only maps that take the network's own channels can be changed; train first")
        after = deepcopy(before)
        mixing = (factor * self.mixing).to(before.weight)
        for parameter in after.parameters():
            parameter.data.copy_(mixing @ parameter.detach())
        return after


def aligned_covariances(aligned: Iterable[AlignedTokens]) -> Float[Tensor, "kind L D D"]:
    """Covariances of a model's aligned features, local and global, over images and places, in float64."""
    count = [0, 0]
    sums: list[Tensor] = []
    squares: list[Tensor] = []
    with torch.no_grad():
        for batch in aligned:
            kinds = [batch.local.movedim(2, -1).flatten(1, 3).double(), batch.global_.double()]
            if not sums:
                # Deviations from about the mean: squares of large values would drown small variances.
                origin = [values.mean(dim=1, keepdim=True) for values in kinds]
                sums = [torch.zeros_like(values[:, 0]) for values in kinds]
                squares = [values.new_zeros(len(values), *[values.shape[2]] * 2) for values in kinds]
            for kind, values in enumerate(kinds):
                deviation = values - origin[kind]
                count[kind] += deviation.shape[1]
                sums[kind] += deviation.sum(dim=1)
                squares[kind] += deviation.mT @ deviation
    number = torch.tensor(count).to(sums[0])[:, None, None]
    mean = torch.stack(sums) / number
    return torch.stack(squares) / number[..., None] - mean[..., :, None] * mean[..., None, :]


def canonical_gauge(covariances: Float[Tensor, "kind L D D"], selectors: Selectors) -> Gauge:
    """The gauge that brings a model to its canonical form (see the top of this file).

    Layers whose features are constant keep their factor.

    Args:
        covariances: of the aligned local and global features, over the images on which the gauge is fixed.
        selectors: what the model selects.

    Raises:
        DataError: if all aligned features are constant.
    """
    if not 0 < covariances.diagonal(dim1=2, dim2=3).sum() < torch.inf:
        raise DataError("all aligned features are constant, or not finite; there is nothing to compare")
    logs = _fixed_point(lambda logs: _balanced(covariances, logs), covariances.new_zeros(covariances.shape[1] + 2))
    layers, kinds = logs.exp().split([len(logs) - 2, 2])
    white = _whitening(covariances, layers, kinds)
    channels = Gauge(layers, kinds, white).selectors(selectors).channels
    return Gauge(layers, kinds, _principal_axes(channels) @ white)


def canonical_selectors(model: FactorTopy, aligned: Iterable[AlignedTokens]) -> Selectors:
    """What a trained model selects, in the canonical gauge; the model is left as it is.

    The channels' dot products are the similarity of predictions, ``W S W^T`` with S the pooled covariance
    of aligned features: two voxels with the same place, layers and scale correlate by the cosine of theirs.

    Args:
        model: a trained model.
        aligned: its aligned tokens of the images on which the gauge is fixed, such as the held-out ones.

    Raises:
        DataError: if all aligned features are constant.
    """
    before = _before(model)
    with torch.no_grad():
        return _gauge(before, aligned).selectors(before)


def canonical_model(model: FactorTopy, aligned: Iterable[AlignedTokens]) -> FactorTopy:
    """A model in the canonical gauge: the same predictions, its channels white over some images.

    Arguments and errors are those of :func:`canonical_selectors`.

    Example:
        >>> model, batch = ft.load_model(mapping, subject), tokens.read(range(20))
        >>> canonical = ft.canonical_model(model, [model.align(batch)])
        >>> torch.allclose(canonical(batch), model(batch), atol=1e-4)
        True
    """
    with torch.no_grad():
        return _gauge(_before(model), aligned).model(model)


def _before(model: FactorTopy) -> Selectors:
    # These matrices are small: a CPU is as fast.
    with torch.no_grad():
        selection = model.select().map(lambda part: part.cpu())
        return Selectors(selection, model.factor * model.channels.detach().cpu())


def _gauge(before: Selectors, aligned: Iterable[AlignedTokens]) -> Gauge:
    return canonical_gauge(aligned_covariances(aligned).cpu(), before)


def _whitening(
    covariances: Float[Tensor, "kind L D D"], layers: Float[Tensor, "L"], kinds: Float[Tensor, "2"]
) -> Float[Tensor, "D D"]:
    scaled = covariances * (kinds[:, None] * layers)[:, :, None, None] ** 2
    values, vectors = torch.linalg.eigh(scaled.mean(dim=(0, 1)))
    return (vectors * values.clamp(min=SMALLEST * values.max()).rsqrt()).T


def _fixed_point(step: Callable[[Tensor], Tensor], at: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Where a step leads nowhere else, by Anderson's (1965) mixing of the last ones; steps alone close in slowly."""
    before: list[Tensor] = []
    moves: list[Tensor] = []
    for _ in range(ROUNDS):
        move = step(at) - at
        if len(moves) > 1 and not move.abs().max() < moves[-1].abs().max():
            at, move, before, moves = before[-1], moves[-1], [], []  # foresight erred: a plain step instead
        if move.abs().max() < TOLERANCE:
            break
        before, moves = [*before, at][-REMEMBERED:], [*moves, move][-REMEMBERED:]
        at = at + move
        if len(moves) > 1:
            past, changes = torch.stack(before).diff(dim=0).T, torch.stack(moves).diff(dim=0).T
            foreseen = (past + changes) @ torch.linalg.lstsq(changes, move[:, None], driver="gelsd").solution[:, 0]
            if foreseen.abs().max() < FURTHEST:
                at = at - foreseen
    return at


def _balanced(covariances: Float[Tensor, "kind L D D"], logs: Float[Tensor, "factors"]) -> Float[Tensor, "factors"]:
    """Logarithms of the factors of layers and kinds after a round that makes each equally large."""
    layers, kinds = logs.exp().split([len(logs) - 2, 2])
    white = _whitening(covariances, layers, kinds)
    # Mean square of whitened features of every kind and layer, before any factor.
    size = torch.einsum("klde,de->kl", covariances, white.T @ white) / len(white)
    layers = _inverse_root((size * kinds[:, None] ** 2).mean(dim=0))
    kinds = _inverse_root((size * layers**2).mean(dim=1))
    # One number can move between layers, kinds and mixing; the kinds' factors have product 1.
    return torch.cat([layers * kinds.prod().sqrt(), kinds / kinds.prod().sqrt()]).log()


def _inverse_root(size: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return torch.where(size > 0, size.clamp(min=torch.finfo(size.dtype).tiny).rsqrt(), 1.0)


def _principal_axes(channels: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    """Rows are the axes of the voxels' channels, largest first, each with a sign."""
    axes = torch.linalg.eigh(channels.T @ channels).eigenvectors.flip(1)
    skewness = (channels @ axes).pow(3).sum(dim=0)
    return (axes * torch.where(skewness < 0, -1.0, 1.0).to(axes)).T
