"""The two recipes from start to trained model; either model takes the network's raw tokens."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors, fix_selectors, solve_model
from factortopy.fitting.channels import VOXELS, Known, Parcels, find_parcels, parcel_responses, solve_channels
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.reduction import TokenReduction, measure_reduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.start import (
    JUDGES,
    NEIGHBOURS,
    SCORED_VOXELS,
    Noise,
    measure_noise,
    scan,
    scanned_tokens,
    start_selection,
    start_selectors,
)
from factortopy.fitting.token_cache import cache_raw, cache_sides, with_responses
from factortopy.fitting.training import STATE, History, Trained, train
from factortopy.machine import Machine
from factortopy.model import FactorTopy, FixedSelectors
from factortopy.storage import Checkpoint, Part

IMAGES_A_COMPONENT = 4
"""Training images for each component, at least: with fewer, more components fit more noise than signal."""
PARCEL_GAIN = 1.25
"""How much better parcels must be predicted than single voxels to be trained on."""
TOUCHING = 7
"""Parcels that scores of the start are averaged over: one and those around it."""
FIRST = torch.tensor([0])


def train_model(
    settings: FitSettings,
    training: Examples,
    validation: Examples,
    coordinates: Float[Tensor, "N 3"] | None,
    bounds: Float[Tensor, "2 3"] | None,
    selectors: nn.Module | None = None,
    *,
    groups: Int[np.ndarray, "N"] | None = None,
    refit: bool = True,
    machine: Machine | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> Trained:
    """Train a model by the recipe of its settings.

    ``"paper"`` trains as the authors do, on raw tokens; ``"default"`` in principal components of the tokens,
    from a closed-form start, on mean responses of parcels where these are better predicted, and at last solves the
    channels of every voxel from training and validation images (:mod:`factortopy.fitting.channels`). Where voxels
    have no coordinates, all is in closed form (:mod:`factortopy.fitting.candidates`). Tokens are held if they fit.

    Args:
        settings: how to train.
        training: training images.
        validation: images that choose when to stop.
        coordinates: coordinates of the voxels, mm; None where they are not known.
        bounds: smallest and largest coordinate of the whole surface, mm.
        selectors: selectors that are given instead of built.
        groups: number of the group of every voxel, which shares a prior, without coordinates; one group if None.
        refit: whether what is solved in closed form learns from validation images too: not where they are the test's.
        machine: where to compute; the best there is if None.
        checkpoint: where states are written and found.
        progress: whether to show progress bars.
        description: what the progress bar calls the training.

    Raises:
        DataError: if the fit diverges, the disk or the GPU's memory is full, or the checkpoint is another fit's.
    """
    data = settings, training, validation, coordinates, bounds, selectors, groups, refit

    def attempt(there: Machine) -> Trained:
        task = _Task(*data, there, checkpoint, progress, description)
        if settings.recipe == "paper":
            return _train_paper(task)
        return _solve(task) if coordinates is None and selectors is None else _train_default(task)

    return (machine or Machine.choose()).sparing(attempt)


@dataclass(frozen=True, eq=False)
class _Task:
    """What every stage of a recipe works on; see :func:`train_model`."""

    settings: FitSettings
    training: Examples
    validation: Examples
    coordinates: Float[Tensor, "N 3"] | None
    bounds: Float[Tensor, "2 3"] | None
    selectors: nn.Module | None
    groups: Int[np.ndarray, "N"] | None
    refit: bool
    machine: Machine
    checkpoint: Checkpoint | None
    progress: bool
    description: str

    @property
    def voxels(self) -> int:
        """Number of voxels N."""
        return self.training.responses[FIRST].shape[1]

    @property
    def positions(self) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "2 3"]]:
        """Coordinates of the voxels and bounds of the surface, which selectors are functions of."""
        if self.coordinates is None or self.bounds is None:
            raise DataError(f'recipe="{self.settings.recipe}" needs coordinates; only recipe="default" can do without')
        return self.coordinates, self.bounds

    def shuffled(self, count: int, purpose: str) -> Int[Tensor, "count"]:
        """So many voxels or parcels in a random order of its own for each purpose."""
        return torch.randperm(count, generator=torch.Generator().manual_seed(self.settings.seed_of(purpose)))

    def kept(self, stage: str) -> Part | None:
        """What an earlier run left of a stage."""
        return None if self.checkpoint is None else self.checkpoint.load(stage)

    def keep(self, stage: str, part: Part) -> None:
        """Leave what a stage came to for a later run."""
        if self.checkpoint is not None:
            self.checkpoint.save(stage, part)

    def train(
        self, model: FactorTopy, examples: tuple[Examples, Examples], settings: FitSettings | None = None
    ) -> History:
        """Train a model on these training and validation examples."""
        return train(
            model,
            *examples,
            settings or self.settings,
            self.machine,
            checkpoint=self.checkpoint,
            progress=self.progress,
            description=self.description,
        )


def _train_paper(task: _Task) -> Trained:
    settings, selectors = task.settings, task.selectors
    channels = tuple(layer.shape[1] for layer in task.training.read(FIRST).global_)
    if selectors is None:
        selectors = fix_selectors(settings, build_selectors(settings, *task.positions, len(channels)))
    model = build_paper_model(settings, selectors, task.voxels, channels).to(task.machine.device)
    sides = cache_raw((task.training, task.validation), task.machine, task.progress)
    return Trained(model, task.train(model, sides), None)


def _train_default(task: _Task) -> Trained:
    settings, device = task.settings, task.machine.device
    reduction = _reduction(task)
    examples = _reduced(task, reduction)
    grain = _grain(task, examples)
    selectors = task.selectors
    if selectors is None:
        selectors = build_selectors(settings, grain.coordinates(task), task.positions[1], len(reduction.local))
        selectors.to(device)
        if task.kept(STATE) is None:
            _start(task, selectors, grain)
        selectors = fix_selectors(settings, selectors)
    elif grain.trained is not None:
        selectors = FixedSelectors(selectors().map(grain.trained.mean))
    voxels = task.voxels if grain.trained is None else len(grain.trained.voxels)
    model = build_default_model(settings, selectors, voxels, reduction).to(device)
    history = task.train(model, grain.examples, settings.decayed(grain.noise.ridge))
    history.ridge = grain.noise.ridge
    if grain.trained is not None:
        selectors = task.selectors
        if selectors is None:
            selectors = fix_selectors(settings, build_selectors(settings, *task.positions, len(reduction.local)))
            selectors.load_state_dict(model.selectors.state_dict())
        trained, model = model.align, build_default_model(settings, selectors, task.voxels, reduction).to(device)
        model.align.load_state_dict(trained.state_dict())
    if settings.closed_form:
        history.solved_r2 = _solve_channels(task, model, examples, grain)
    model.align = reduction.unfold(model.align).to(device)
    return Trained(model, history, reduction)


def _solve_channels(task: _Task, model: FactorTopy, examples: tuple[Examples, Examples], grain: "_Grain") -> float:
    """Channels in closed form from training and validation images; R^2 to expect, by the validation images."""
    # Apple's GPUs have no float64.
    device = torch.device("cpu") if task.machine.device.type == "mps" else task.machine.device
    pairs = zip(examples, (task.training, task.validation), strict=True)
    images, repeats = distinct_images(*(replace(side, read=reduced.read) for reduced, side in pairs))
    known = Known(images, repeats, len(distinct_images(task.validation)[1]), task.refit)
    scores = solve_channels(model.to(device), known, task.coordinates, grain.parcels, progress=task.progress)
    model.to(task.machine.device)
    return float(scores.mean())


def _solve(task: _Task) -> Trained:
    """Selectors and channels in closed form, on training and validation images."""
    started = time.perf_counter()
    # Apple's GPUs have neither float64 nor eigenvectors.
    device = torch.device("cpu") if task.machine.device.type == "mps" else task.machine.device
    images, repeats = distinct_images(task.training, *([task.validation] if task.refit else []))
    reduction = _reduction(replace(task, training=images)).to(device)
    groups = np.zeros(task.voxels, int) if task.groups is None else task.groups
    model = solve_model(task.settings, images, repeats, reduction, groups, device, progress=task.progress)
    return Trained(model.to(task.machine.device), History(seconds=time.perf_counter() - started), reduction)


def _reduction(task: _Task) -> TokenReduction:
    """Principal components of the training tokens."""
    kept = task.kept("reduction")
    if kept is not None:
        return TokenReduction.from_tensors(kept.tensors)
    settings = task.settings
    count = min(settings.components, max(1, len(task.training) // IMAGES_A_COMPONENT))
    reduction = measure_reduction(task.training, count, settings.damping, settings.seed_of("components"))
    task.keep("reduction", Part(reduction.to_tensors(), {}))
    return reduction


def _reduced(task: _Task, reduction: TokenReduction) -> tuple[Examples, Examples]:
    """Training and validation examples with reduced tokens, close to the processor."""
    there, device = reduction.to(task.machine.device), task.machine.device
    sides = task.training, task.validation
    return cache_sides(
        sides, lambda tokens: there.apply(tokens.to(device)), task.machine, "Principal components", task.progress
    )


@dataclass(frozen=True, eq=False)
class _Grain:
    """What align and selectors are trained on.

    Attributes:
        noise: of single voxels.
        ridge: best penalty for what is trained on.
        examples: training and validation examples of it.
        parcels: that a voxel's channels may be shrunk towards; None where none may.
        trained: the same if they are what is trained on, None for voxels.
    """

    noise: Noise
    ridge: float
    examples: tuple[Examples, Examples]
    parcels: Parcels | None = None
    trained: Parcels | None = None

    def coordinates(self, task: _Task) -> Float[Tensor, "M 3"]:
        """Where selectors are trained, mm."""
        return task.positions[0] if self.trained is None else self.trained.centre


def _grain(task: _Task, examples: tuple[Examples, Examples]) -> _Grain:
    """Parcels where their mean responses are better predicted than voxels: noise averages out, and steps cost less."""
    noise = _noise(task, examples[0], "noise")
    voxels = _Grain(noise, noise.ridge, examples)
    if task.coordinates is None or not task.settings.topology or not task.settings.parcels:
        return voxels
    parcels = find_parcels(task.coordinates, task.settings.parcels)
    voxels = replace(voxels, parcels=parcels)
    given = task.selectors is not None and any(True for _ in task.selectors.parameters())
    if given or VOXELS * len(parcels.voxels) > task.voxels or not task.settings.closed_form:
        return voxels
    means = parcel_responses(parcels, *(side.responses for side in examples))
    coarse = with_responses(examples[0], means[0]), with_responses(examples[1], means[1])
    of_parcels = _noise(task, coarse[0], "noise-of-parcels")
    if of_parcels.score < max(noise.score, PARCEL_GAIN * noise.score):
        return voxels
    return _Grain(noise, of_parcels.ridge, coarse, parcels, parcels)


def _noise(task: _Task, training: Examples, stage: str) -> Noise:
    """How noisy responses are, by some of them."""
    kept = task.kept(stage)
    if kept is not None:
        return Noise(**kept.facts)
    judges = task.shuffled(training.responses[FIRST].shape[1], "judges")[:JUDGES]
    noise = measure_noise(*scanned_tokens(training, judges, task.machine.device), progress=task.progress)
    task.keep(stage, Part({}, noise._asdict()))
    return noise


def _start(task: _Task, selectors: nn.Module, grain: _Grain) -> None:
    """Set selectors to the closed-form start."""
    topology, coordinates = task.settings.topology, grain.coordinates(task)
    some = torch.arange(len(coordinates))
    some = task.shuffled(len(some), "scanned")[:SCORED_VOXELS] if topology else some
    tokens, responses = scanned_tokens(grain.examples[0], some, task.machine.device)
    scores = scan(tokens, responses, grain.ridge, progress=task.progress)
    # Without topology no voxel may learn from its neighbours.
    neighbours = (NEIGHBOURS if grain.trained is None else TOUCHING) if topology else 1
    height, width = tokens.local[0].shape[-2:]
    target = start_selection(scores, coordinates[some], coordinates, (height, width), neighbours=neighbours)
    start_selectors(selectors, target)
