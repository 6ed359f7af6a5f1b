"""The two recipes from start to trained model; either model takes the network's raw tokens."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting.build import build_default_model, build_paper_model, build_selectors, fix_selectors, solve_model
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.reduction import TokenReduction, measure_reduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.start import (
    COMPONENTS,
    JUDGES,
    SCANNED_IMAGES,
    SCORED_VOXELS,
    choose_ridge,
    scan,
    scanned_tokens,
    start_selection,
    start_selectors,
)
from factortopy.fitting.token_cache import CacheLayout, cache_tokens, fits_device, fits_memory
from factortopy.fitting.training import STATE, History, Trained, train
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.networks import Tokens
from factortopy.progress import Advance, progress_bar
from factortopy.storage import Checkpoint, Part

IMAGES_A_COMPONENT = 4
"""Training images for each component, at least: with fewer, more components fit more noise than signal."""
RIDGE = 0.75
"""Best penalty of the closed-form start's regressions for which a recipe's weight decays hold as they are."""
BATCH = 64
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
    machine: Machine | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> Trained:
    """Train a model by the recipe of its settings.

    ``"paper"`` trains as the authors do, on raw tokens; ``"default"`` in principal components of the tokens,
    from a closed-form start, or wholly in closed form where voxels have no coordinates, on training and validation
    images (:mod:`factortopy.fitting.candidates`). Tokens are held in memory if they fit, else read from disk.

    Args:
        settings: how to train.
        training: training images.
        validation: images that choose when to stop.
        coordinates: coordinates of the voxels, mm; None where they are not known.
        bounds: smallest and largest coordinate of the whole surface, mm.
        selectors: selectors that are given instead of built.
        groups: number of the group of every voxel, which shares a prior, without coordinates; one group if None.
        machine: where to compute; the best there is if None.
        checkpoint: where states are written and found.
        progress: whether to show progress bars.
        description: what the progress bar calls the training.

    Raises:
        DataError: if the fit diverges, the disk is full, or the checkpoint is another fit's.
    """
    machine = machine or Machine.choose()
    task = _Task(
        settings,
        training,
        validation,
        coordinates,
        bounds,
        selectors,
        groups,
        machine,
        checkpoint,
        progress,
        description,
    )
    if settings.recipe == "paper":
        return _train_paper(task)
    return _solve(task) if coordinates is None and selectors is None else _train_default(task)


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

    def some_voxels(self, purpose: str) -> Int[Tensor, "N"]:
        """All voxels in a random order of its own for each purpose."""
        return torch.randperm(self.voxels, generator=torch.Generator().manual_seed(self.settings.seed_of(purpose)))

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
    layout = CacheLayout.of(task.training.read(FIRST))
    if selectors is None:
        built = build_selectors(settings, *task.positions, len(layout.global_))
        selectors = fix_selectors(settings, built)
    model = build_paper_model(settings, selectors, task.voxels, layout.global_).to(task.machine.device)
    return Trained(model, task.train(model, _raw(task, layout)), None)


def _train_default(task: _Task) -> Trained:
    settings, selectors, device = task.settings, task.selectors, task.machine.device
    reduction = _reduction(task)
    examples = _reduced(task, reduction)
    ridge = _ridge(task, examples[0])
    if selectors is None:
        selectors = build_selectors(settings, *task.positions, len(reduction.local)).to(device)
        if task.kept(STATE) is None:
            _start(task, selectors, examples[0], ridge)
        selectors = fix_selectors(settings, selectors)
    model = build_default_model(settings, selectors, task.voxels, reduction).to(device)
    history = task.train(model, examples, _decayed(settings, ridge))
    history.ridge = ridge
    model.align = reduction.unfold(model.align).to(device)
    return Trained(model, history, reduction)


def _solve(task: _Task) -> Trained:
    """Selectors and channels in closed form, on training and validation images."""
    started = time.perf_counter()
    # Apple's GPUs have neither float64 nor eigenvectors.
    device = torch.device("cpu") if task.machine.device.type == "mps" else task.machine.device
    images, repeats = distinct_images(task.training, task.validation)
    reduction = _reduction(replace(task, training=images)).to(device)
    groups = np.zeros(task.voxels, int) if task.groups is None else task.groups
    model = solve_model(task.settings, images, repeats, reduction, groups, device, progress=task.progress)
    return Trained(model.to(task.machine.device), History(seconds=time.perf_counter() - started), reduction)


def _raw(task: _Task, layout: CacheLayout) -> tuple[Examples, Examples]:
    """Training and validation examples with raw tokens as close to the processor as they fit."""
    sides = task.training, task.validation
    if not (fits_device(sides[0], layout, task.machine) or fits_memory(sides[0], layout, task.machine)):
        # They are on disk already: no second copy of raw tokens is written.
        training, validation = (Examples(side.read, side.responses, resident=False) for side in sides)
        return training, validation
    with progress_bar("Reading tokens", sum(map(len, sides)), show=task.progress) as advance:
        training, validation = (
            cache_tokens(_counted(side.batches(BATCH), advance), side, layout, task.machine) for side in sides
        )
    return training, validation


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
    sides, device = (task.training, task.validation), task.machine.device
    there = reduction.to(device)
    layout = CacheLayout.of(reduction.apply(sides[0].read(FIRST)))
    with progress_bar("Principal components", sum(map(len, sides)), show=task.progress) as advance:
        training, validation = (
            cache_tokens(
                (there.apply(batch.to(device)) for batch in _counted(side.batches(BATCH), advance)),
                side,
                layout,
                task.machine,
            )
            for side in sides
        )
    return training, validation


def _ridge(task: _Task, training: Examples) -> float:
    """How noisy responses are, as the best penalty of a ridge regression."""
    kept = task.kept("noise")
    if kept is not None:
        return float(kept.facts["ridge"])
    judges = task.some_voxels("judges")[:JUDGES]
    ridge = choose_ridge(*scanned_tokens(training, judges, task.machine.device), progress=task.progress)
    task.keep("noise", Part({}, {"ridge": ridge}))
    return ridge


def _decayed(settings: FitSettings, ridge: float) -> FitSettings:
    """The settings with weight decays in keeping with the noise."""
    if not settings.decay_by_noise:
        return settings
    factor = (ridge / RIDGE) ** 2
    decays = {"align_decay": factor * settings.align_decay, "channel_decay": factor * settings.channel_decay}
    return settings.model_copy(update=decays)


def _start(task: _Task, selectors: nn.Module, training: Examples, ridge: float) -> None:
    """Set selectors to the closed-form start."""
    # Without topology no voxel may learn from its neighbours.
    topology, (coordinates, _) = task.settings.topology, task.positions
    some = task.some_voxels("scanned")[:SCORED_VOXELS] if topology else torch.arange(task.voxels)
    tokens, responses = scanned_tokens(training, some, task.machine.device)
    scores = scan(tokens, responses, ridge, progress=task.progress)
    neighbours = {} if topology else {"neighbours": 1}
    height, width = tokens.local[0].shape[-2:]
    target = start_selection(scores, coordinates[some], coordinates, (height, width), **neighbours)
    start_selectors(selectors, target)


def start_memory(images: int, voxels: int, layers: int, positions: int) -> float:
    """Bytes that the closed-form start takes, about.

    Args:
        images: number of training images.
        voxels: number of voxels.
        layers: number of layers.
        positions: tokens of a layer, the global one among them.
    """
    scanned = min(images, SCANNED_IMAGES)
    # Components as read and in float32, and responses; scores before and after smoothing.
    read = 6.0 * scanned * layers * COMPONENTS * positions + 8.0 * scanned * min(voxels, SCORED_VOXELS)
    return read + 3 * 4.0 * layers * positions * voxels


def _counted(batches: Iterator[Tokens], advance: Advance) -> Iterator[Tokens]:
    for batch in batches:
        yield batch
        advance(len(batch))
