"""Models as the two recipes start them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import PrincipalComponents, TokenReduction, as_stored
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.solved.candidates import Channels, select_and_solve
from factortopy.fitting.solved.shrinkage import SHRUNK_IMAGES, shrink
from factortopy.fitting.token_cache import join_tokens
from factortopy.machine import seeded
from factortopy.model import (
    ChannelAlign,
    ChannelMap,
    FactorTopy,
    FixedSelectors,
    FreeSelectors,
    PartlyFixedSelectors,
    PositionEncoding,
    Selection,
    TopologicalSelectors,
    UnitChannelMap,
)
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

SOLVED_WIDTH = 256
"""Channels D of the shared space where channels are solved for, at most."""
BATCH = 64
SMALL = 0.01
"""Standard deviation of the default recipe's channel selectors at the start: predictions start near 0."""


def build_selectors(
    settings: FitSettings, coordinates: Float[Tensor, "N 3"], bounds: Float[Tensor, "2 3"], layers: int
) -> nn.Module:
    """Selectors of ``settings``, with or without topology, at their start.

    Args:
        settings: the fit's settings.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate of the whole surface, mm.
        layers: number of layers L.
    """
    if not settings.topology:
        return FreeSelectors(len(coordinates), layers)
    with seeded(settings.seed_of("selectors")):
        return TopologicalSelectors(coordinates, PositionEncoding(bounds.numpy()), layers)


def fix_selectors(settings: FitSettings, selectors: nn.Module) -> nn.Module:
    """The selectors with those parts fixed that ``settings`` fix; the same ones where they fix none."""
    space, uniform, scale = settings.fixed_space, settings.uniform_layers, settings.fixed_scale
    if space is None and not uniform and scale is None:
        return selectors
    return PartlyFixedSelectors(selectors, space=space, uniform_layers=uniform, scale=scale)


def build_paper_model(
    settings: FitSettings, selectors: nn.Module, voxels: int, channels: tuple[int, ...]
) -> FactorTopy:
    """The authors' parametrisation for N voxels and layers of channels C_l.

    It takes raw tokens, a mean over channels and PyTorch's own starting values.
    """
    with seeded(settings.seed_of("channels")):
        local, global_ = ([ChannelMap(count, settings.width) for count in channels] for _ in range(2))
        align = ChannelAlign(local, global_)
        start = nn.Linear(settings.width, voxels)
    model = FactorTopy(align, selectors, start.weight.detach(), settings.factor)
    model.bias.data.copy_(start.bias.detach())
    return model


def build_default_model(
    settings: FitSettings, selectors: nn.Module, voxels: int, reduction: TokenReduction
) -> FactorTopy:
    """The well-conditioned parametrisation for N voxels, which takes tokens that ``reduction`` was applied to."""
    with seeded(settings.seed_of("channels")):
        align = ChannelAlign(
            [UnitChannelMap(layer.variance, settings.width) for layer in reduction.local],
            [UnitChannelMap(layer.variance, settings.width) for layer in reduction.global_],
        )
        start = SMALL * torch.randn(voxels, settings.width)
    return FactorTopy(align, selectors, start, settings.factor)


def pool_models(settings: FitSettings, models: Sequence[FactorTopy]) -> FactorTopy:
    """One model of several starts: it selects their mean and reads the channels of all their aligns, side by side.

    Its own channels are zero, until they are solved for.
    """
    with torch.no_grad():
        parts = zip(*(model.select()[:3] for model in models), strict=True)
        selection = Selection(*(torch.stack(part).mean(dim=0) for part in parts))

    def together(maps: Sequence[nn.Module]) -> ChannelMap:
        weight = torch.cat([one.weight.detach() for one in maps if isinstance(one, UnitChannelMap)])
        with seeded(settings.seed_of("channels")):  # a start is drawn, and then written over
            pooled = ChannelMap(weight.shape[1], len(weight))
        pooled.weight.data.copy_(weight)
        return pooled

    kinds = ("local", "global_")
    layers = ([*zip(*(getattr(model.align, kind) for model in models), strict=True)] for kind in kinds)
    align = ChannelAlign(*([together(maps) for maps in kind] for kind in layers))
    channels = torch.zeros(len(selection.scale), sum(model.channels.shape[1] for model in models))
    return FactorTopy(align, FixedSelectors(selection.map(Tensor.cpu)), channels, settings.factor)


def random_align(reduction: TokenReduction, width: int, seed: int) -> ChannelAlign:
    """Random channels of undamped components, of unit variance: together about as alike as the tokens themselves.

    Args:
        reduction: all its components are mixed.
        width: channels of every layer.
        seed: of the channels.
    """
    whole = reduction.undamped(max(len(layer.variance) for layer in reduction.local))

    def drawn(layers: Sequence[PrincipalComponents]) -> list[ChannelMap]:
        maps = [ChannelMap(len(layer.variance), width) for layer in layers]
        for one, layer in zip(maps, layers, strict=True):
            nn.init.normal_(one.weight, std=float(layer.variance.sum().rsqrt()))
        return maps

    with seeded(seed):
        return whole.unfold(ChannelAlign(drawn(whole.local), drawn(whole.global_)))


def join_aligns(aligns: Sequence[ChannelAlign]) -> ChannelAlign:
    """One align with the channels of all, side by side; all take the network's own."""

    def joined(maps: Sequence[ChannelMap]) -> ChannelMap:
        with seeded(0):  # a start is drawn, and then written over
            one = ChannelMap(maps[0].weight.shape[1], sum(len(own.weight) for own in maps), offset=True)
        none = [own.weight.new_zeros(len(own.weight)) if own.offset is None else own.offset for own in maps]
        one.load_state_dict({"weight": torch.cat([own.weight for own in maps]), "offset": torch.cat(none)})
        return one

    kinds = ([*zip(*(getattr(align, kind) for align in aligns), strict=True)] for kind in ("local", "global_"))
    return ChannelAlign(*([joined(maps) for maps in kind] for kind in kinds))


def build_solved_model(settings: FitSettings, channels: Channels, reduction: TokenReduction) -> FactorTopy:
    """The model, on raw tokens, whose channels were solved for in closed form.

    Free coefficients of every component are the model's own form: with singular vectors of them,
    ``coefficients = U S V'``, the channel align of a block is its columns of V' and the channel selectors are U S.
    Exact where voxels or components are at most ``SOLVED_WIDTH``, else the leading singular vectors.

    Args:
        settings: the fit's settings.
        channels: of every voxel.
        reduction: whose components they weigh.
    """
    left, size, right = torch.linalg.svd(channels.coefficients, full_matrices=False)
    width = min(len(size), SOLVED_WIDTH)
    kinds = (reduction.local, reduction.global_)
    blocks = right[:width].float().split([len(layer.variance) for kind in kinds for layer in kind], dim=1)
    maps = []
    for block in blocks:
        with seeded(settings.seed_of("channels")):
            maps.append(ChannelMap(block.shape[1], width))
        maps[-1].weight.data.copy_(block)
    align = ChannelAlign(maps[: len(kinds[0])], maps[len(kinds[0]) :]).to(reduction.local[0].mean.device)
    omega = (left[:, :width] * size[:width]).float() / settings.factor
    model = FactorTopy(
        reduction.unfold(align), FixedSelectors(channels.selection.map(Tensor.float)), omega, settings.factor
    )
    model.bias.data.copy_(channels.bias)
    return model


def solve_model(
    settings: FitSettings,
    images: Examples,
    repeats: Float[Tensor, "image"],
    reduction: TokenReduction,
    groups: Int[np.ndarray, "N"],
    device: torch.device,
    *,
    shrinks: bool,
    progress: bool,
) -> FactorTopy:
    """The model of voxels without coordinates, in closed form; see :mod:`factortopy.fitting.solved.candidates`."""
    stored, reduce = as_stored(images, reduction)
    tokens = all_components(stored, lambda batch: reduce.apply(batch.to(device)), device, progress)
    responses, repeats = images.all_responses(device), repeats.to(device)

    def change(selection: Selection) -> Selection:
        return fix_selectors(settings, FixedSelectors(selection))()

    def fit(some: Int[Tensor, "some"], few: Int[Tensor, "few"]) -> Channels:
        own = responses[some][:, few.to(device)]
        return select_and_solve(tokens[some], own, repeats[some], groups[few.cpu().numpy()], change, progress=False)

    if shrinks and len(repeats) <= SHRUNK_IMAGES:
        channels = shrink(fit, tokens, responses, repeats, groups, progress)
    else:
        channels = select_and_solve(tokens, responses, repeats, groups, change, progress)
    return build_solved_model(settings, channels, reduction)


def all_components(
    images: Examples, change: Callable[[Tokens], Tokens], device: torch.device, progress: bool
) -> Tokens:
    """Components of all images, in float32 on a device, as ``change`` makes them of what is read."""
    with progress_bar("Principal components", len(images), show=progress) as advance:

        def changed() -> Iterator[Tokens]:
            for batch in images.batches(BATCH):
                yield change(batch)
                advance(len(batch))

        return join_tokens(changed(), len(images), device).to(dtype=torch.float32)
