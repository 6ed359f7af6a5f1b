"""The parametric bootstrap: responses simulated from a planted truth are fitted, so that the fit's errors are known.

Which images were tested is little of what makes a map uncertain: the training images, the noise of their responses and
what the fit itself does (it draws voxels towards their neighbours, and scales and layers towards what it starts from)
are more. None of it shows in the data, all of it where the truth is known. So a truth is planted on the same images
and cortex: what was found in one half of the voxels, and in the other places, layers and scales all over their range;
what a fit finds wherever it looks would else seem certain. Channels are random projections under random weights, not
those found, which are the ones that can be learnt. Noise is the fit's residuals with a random sign for each row, which
keeps what voxels share. The signal's variance is ::

    h_i = R2_i (1 + r / R) / 2        R2_i: of the fitted rows, R their mean, r the mean R^2 of test images

as a regression's R^2 lies as far above what its channels could reach on the rows it was fitted to as it lies below it
on new ones. To cost little, only patches of a large cortex are simulated, and fitted with half as many images a step.
What is kept is depth and scale by share, found and planted, on the test images.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from factortopy.analysis import AlignedBatches, finite_mean, layer_position, r_squared, shares
from factortopy.cortex import Voxels
from factortopy.fitting import Examples, FitSettings, Trained, fix_selectors, spread_evenly, with_responses
from factortopy.machine import seeded
from factortopy.mapping import SIMULATED
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens
from factortopy.storage import Checkpoint, Part

BATCH = 64
MOST_SIGNAL = 0.95
"""Largest part of the variance that is planted as signal."""
MEASURED = 256
"""Training images that projections are scaled by."""
FLAT = 1e-6
"""Channels that vary by less of what the most varied one does carry nothing."""
REACH = 18.0
"""Distance, mm, over which channels' weights lose most of what they share."""
EDGE = 0.9
"""Outermost place that is planted."""
FEWEST, SHARE = 640, 12
"""Voxels that are simulated: so many at least, if there are, and one of so many."""
PATCHES = 8
"""Patches of the cortex in each half that they lie in."""
FEWER = 2
"""One of so many images a step is taken. Fewer steps would learn no scales."""
STAGE = "parametric-bootstrap"
REMEMBERED = ("reduction", "noise", "noise-of-parcels", "components", "patches")
"""Stages of a fit that hold for simulated responses, to the same images and as noisy: what was decided there, too."""


class Remembered(Checkpoint):
    """What a fit came to that need not be measured again, beside the fit's checkpoint on disk, if it has one."""

    def __init__(self, disk: Checkpoint | None = None, parts: dict[str, Part] | None = None) -> None:
        self._disk, self.parts = disk, parts or {}

    @property
    def due(self) -> bool:
        """Whether a state should be written to disk."""
        return self._disk is not None and self._disk.due

    def save(self, name: str, part: Part) -> None:
        """Keep a part where it is asked for again."""
        if name in REMEMBERED:
            self.parts[name] = part
        if self._disk is not None:
            self._disk.save(name, part)

    def load(self, name: str) -> Part | None:
        """A part of this fit or of one that was stopped."""
        kept = self._disk.load(name) if self._disk is not None else None
        if kept is not None and name in REMEMBERED:
            self.parts[name] = kept
        return self.parts.get(name) if kept is None else kept

    def within(self, name: str) -> "Remembered":
        """The same for one of several starts."""
        return Remembered(None if self._disk is None else self._disk.within(name), self.parts)


def planted_half(voxels: Voxels) -> Bool[np.ndarray, "voxel"]:
    """The half of the voxels that is planted with other maps: a hemisphere, else one end of the cortex, else any."""
    right = voxels.hemisphere == "right"
    if voxels.coordinates is None:
        return np.arange(len(right)) % 2 == 1
    if right.any() and not right.all():
        return right
    along = voxels.coordinates[:, np.ptp(voxels.coordinates, axis=0).argmax()]
    return along > np.median(along)


def apart(voxels: Voxels) -> Voxels:
    """The voxels with groups of their own in each half: a prior over what voxels select is not shared between them."""
    if voxels.coordinates is not None:
        return voxels
    groups = [""] * len(voxels.hemisphere) if voxels.groups is None else voxels.groups
    return replace(voxels, groups=np.array([f"{g}-{h:d}" for g, h in zip(groups, planted_half(voxels), strict=True)]))


def spread_selection(voxels: Voxels, half: Bool[np.ndarray, "voxel"], layers: int, seed: int) -> Selection:
    """Places, layers and scales all over their range: smooth over each half of the cortex, or at random.

    Args:
        voxels: that are simulated.
        half: those of them in one half of all voxels of the fit.
        layers: number of layers L.
        seed: of what is random.
    """
    count = len(voxels.hemisphere)
    if voxels.coordinates is None:
        x, y, depth, scale = np.random.default_rng(seed).uniform(size=(4, count))
    else:
        x, y, depth, scale = np.empty((4, count))
        for own in (part for part in (half, ~half) if part.any()):
            where = voxels.coordinates[own]
            extent = np.ptp(where, axis=0)
            along = ((where - where.min(axis=0)) / np.where(extent > 0, extent, 1)).T
            long, middle, short = (axis if extent[axis] > 0 else extent.argmax() for axis in extent.argsort()[::-1])
            x[own], y[own], depth[own], scale[own] = along[long], along[middle], 1 - along[long], along[short]
    away = torch.arange(layers) - torch.from_numpy(depth)[:, None] * (layers - 1)
    places = EDGE * (2 * torch.from_numpy(np.stack([x, y], axis=1)) - 1)
    return Selection(places.float(), (-away.square() / 2).softmax(dim=1).float(), torch.from_numpy(scale).float())


def random_weights(voxels: Voxels, width: int, seed: int) -> Float[np.ndarray, "voxel channel"]:
    """Random weights of channels, correlated by ``exp(-d / 18 mm)`` over the cortex, or independent of each other."""
    generator, count = np.random.default_rng(seed), len(voxels.hemisphere)
    if voxels.coordinates is None:
        return generator.standard_normal((count, width)).astype(np.float32)
    # The Fourier transform of that kernel is Cauchy's distribution of three dimensions.
    waves = generator.standard_normal((3, width)) / np.abs(generator.standard_normal(width)) / REACH
    phases = voxels.coordinates @ waves + generator.uniform(0, 2 * np.pi, width)
    return (np.sqrt(2) * np.cos(phases)).astype(np.float32)


def most_simulated(voxels: int) -> int:
    """How many of so many voxels are simulated at most."""
    return min(voxels, max(FEWEST, voxels // SHARE))


def simulated_voxels(voxels: Voxels) -> Int[np.ndarray, "some"]:
    """Voxels that are simulated: patches of the cortex in each half, as what a fit smooths over must lie together."""
    most, half = most_simulated(len(voxels)), planted_half(voxels)
    if len(voxels) <= most:
        return np.arange(len(voxels))
    if voxels.coordinates is None:
        return np.linspace(0, len(voxels) - 1, most).astype(int)
    patches = []
    for own in (np.flatnonzero(half), np.flatnonzero(~half)):
        centres = own[spread_evenly(len(own), PATCHES).numpy()]
        tree, size = KDTree(voxels.coordinates[own]), min(len(own), most // (2 * PATCHES))
        patches.append(own[tree.query(voxels.coordinates[centres], size)[1].ravel()])
    return np.unique(np.concatenate(patches))


def fit_simulated(
    model: FactorTopy,
    sides: dict[str, Examples],
    voxels: Voxels,
    settings: FitSettings,
    train: Callable[[Voxels, FitSettings, tuple[Examples, Examples]], Trained],
    checkpoint: Checkpoint | None = None,
) -> dict[str, Float[np.ndarray, "voxel"]]:
    """Simulate responses and fit them: depth and scale share that were planted, and those found.

    Args:
        model: the trained model, on the device where it computes.
        sides: training, validation and test images.
        voxels: of the fit.
        settings: of the fit.
        train: fits training and validation examples of some voxels as the model was fitted.
        checkpoint: where what was found is kept.

    Returns:
        ``bootstrap_depth`` and ``bootstrap_scale``, found, and ``bootstrap_depth_planted`` and
        ``bootstrap_scale_planted``; NaN for voxels that were not simulated, or where nothing is predicted.
    """
    kept = None if checkpoint is None else checkpoint.load(STAGE)
    if kept is not None:
        return {name: values.numpy() for name, values in kept.tensors.items()}
    some = simulated_voxels(voxels)
    # Halves are of all voxels, as when limits are made: those of the simulated ones alone may lie elsewhere.
    part, half, chosen = apart(voxels).select(some), planted_half(voxels)[some], torch.from_numpy(some)
    found = _part_of(model, chosen)
    fitted = [sides["train"], sides["validation"]]
    planted = _planted(found, sides["train"], part, half, settings)
    expected, signal = map(torch.cat, zip(*(_predict(side, found, planted) for side in fitted), strict=True))
    observed, tested = (torch.cat([_responses(side, chosen) for side in own]) for own in (fitted, [sides["test"]]))
    explained = _signal(observed, expected, tested, *_predict(sides["test"], found))
    noise = (observed - expected).mul_(_signs(len(expected), settings.seed_of("signs"))[:, None])
    responses = _rescaled(signal, explained).add_(_rescaled(noise, 1 - explained))
    halves = responses.tensor_split([len(sides["train"])])
    training, validation = (with_responses(side, half) for side, half in zip(fitted, halves, strict=True))
    few = {"batch_size": -(-settings.batch_size // FEWER), "starts": 1}
    again = train(part, settings.model_copy(update=few), (training, validation)).model
    (depth, scale), (planted_depth, planted_scale) = (_shares(one, sides["test"]) for one in (again, planted))
    simulated = {name: np.full(len(voxels), np.nan, np.float32) for name in SIMULATED}
    for name, values in zip(SIMULATED, (depth, planted_depth, scale, planted_scale), strict=True):
        simulated[name][some] = values
    if checkpoint is not None:
        checkpoint.save(STAGE, Part({name: torch.from_numpy(values) for name, values in simulated.items()}, {}))
    return simulated


def _part_of(model: FactorTopy, chosen: Int[Tensor, "some"]) -> FactorTopy:
    """The model of some voxels."""
    chosen = chosen.to(model.bias.device)
    selectors = FixedSelectors(model.select().map(lambda values: values.detach()[chosen]))
    part = FactorTopy(model.align, selectors, model.channels.detach()[chosen], model.factor)
    part.bias = nn.Parameter(model.bias.detach()[chosen])
    return part


def _responses(side: Examples, chosen: Int[Tensor, "some"]) -> Float[Tensor, "row voxel"]:
    return torch.cat([side.responses[rows][:, chosen].cpu() for rows in torch.arange(len(side)).split(BATCH)])


def _planted(
    model: FactorTopy, side: Examples, voxels: Voxels, half: Bool[np.ndarray, "voxel"], settings: FitSettings
) -> FactorTopy:
    """What was found, and in one half maps that have nothing to do with it, with random channels."""
    found = model.select().map(Tensor.detach)
    spread = spread_selection(voxels, half, found.layer.shape[1], settings.seed_of("planted maps"))
    device, there = found.scale.device, torch.from_numpy(half).to(found.scale.device)
    planted = [
        torch.where(there.view(-1, *[1] * (own.ndim - 1)), other.to(own), own)
        for own, other in zip(found[:3], spread[:3], strict=True)
    ]
    selectors = fix_selectors(settings, FixedSelectors(Selection(planted[0], planted[1], planted[2], found.size)))
    with seeded(settings.seed_of("planted channels")):
        align = _random_align(side.read(spread_evenly(len(side), MEASURED)), settings.width)
    weights = torch.from_numpy(random_weights(voxels, settings.width, settings.seed_of("planted weights")))
    return FactorTopy(align, selectors, weights, model.factor).to(device)


def _random_align(tokens: Tokens, width: int) -> ChannelAlign:
    """Random projections of standardised tokens, of variance 1 for each layer and kind."""

    def projection(layer: Float[Tensor, "image C *place"]) -> ChannelMap:
        values = layer.float().movedim(1, -1).flatten(0, -2)
        spread, mean = torch.std_mean(values, dim=0, correction=0)
        weight = torch.randn(width, len(spread)) / torch.where(spread > FLAT * spread.max(), spread, torch.inf)
        weight = weight / ((values - mean) @ weight.T).std().clamp(min=torch.finfo().tiny)
        drawn = ChannelMap(len(spread), width, offset=True)
        drawn.load_state_dict({"weight": weight, "offset": -weight @ mean})
        return drawn

    return ChannelAlign([projection(layer) for layer in tokens.local], [projection(layer) for layer in tokens.global_])


@torch.no_grad()
def _predict(side: Examples, *models: FactorTopy) -> list[Float[Tensor, "row voxel"]]:
    """Predictions of each model; tokens are read once."""
    selections, device = [model.select() for model in models], models[0].bias.device
    batches = (batch.to(device) for batch in side.batches(BATCH))
    found = [
        [model(batch, own).float().cpu() for model, own in zip(models, selections, strict=True)] for batch in batches
    ]
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def _signal(observed: Tensor, found: Tensor, tested: Tensor, predicted: Tensor) -> Float[Tensor, "voxel"]:
    """Variance of the planted signal, where that of responses is 1."""
    fitted = torch.from_numpy(r_squared(observed.numpy(), found.numpy())).nan_to_num(0.0).clamp(0, MOST_SIGNAL)
    new = np.nan_to_num(finite_mean(r_squared(tested.numpy(), predicted.numpy())))  # 0 where no test response varies
    kept = float(np.clip(new / max(float(fitted.mean()), 1e-6), 0, 1))
    return fitted * (1 + kept) / 2


def _signs(rows: int, seed: int) -> Float[Tensor, "row"]:
    return 2.0 * torch.randint(2, (rows,), generator=torch.Generator().manual_seed(seed)) - 1


def _rescaled(values: Float[Tensor, "row voxel"], variance: Float[Tensor, "voxel"]) -> Float[Tensor, "row voxel"]:
    """Values with mean 0 and a variance for each voxel, in place; 0 where they do not vary."""
    spread, mean = torch.std_mean(values, dim=0, correction=0)
    gain = torch.where(spread > 0, variance.to(spread).sqrt() / spread, 0.0)
    return values.sub_(mean).mul_(gain)


def _shares(model: FactorTopy, side: Examples) -> tuple[Float[np.ndarray, "voxel"], Float[np.ndarray, "voxel"]]:
    """Depth and scale share of every voxel."""
    device = model.bias.device
    aligned = AlignedBatches(model, lambda: (batch.to(device) for batch in side.batches(BATCH)))
    found = shares(model, aligned)
    return layer_position(found.layer.cpu().float().numpy()).astype(np.float32), found.scale.cpu().float().numpy()
