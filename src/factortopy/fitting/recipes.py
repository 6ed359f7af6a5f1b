"""The two recipes from start to trained model; either model takes the network's raw tokens."""

import time
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from factortopy.fitting.align import train_starts
from factortopy.fitting.build import (
    all_components,
    build_paper_model,
    build_selectors,
    build_solved_model,
    fix_selectors,
    pool_models,
    solve_model,
)
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.grain import Grain, find_grain
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.solved.channels import Known, solve_channels
from factortopy.fitting.solved.patches import (
    FLAT,
    HOPE,
    JUDGES,
    KEPT,
    Seen,
    may_judge,
    select_patches,
    share_nearby,
    widened,
)
from factortopy.fitting.task import FIRST, Task, reduced_examples, reduction_of
from factortopy.fitting.token_cache import cache_raw
from factortopy.fitting.training import History, Trained
from factortopy.machine import Machine
from factortopy.model import FactorTopy, FixedSelectors
from factortopy.storage import Checkpoint, Part

ROUGH = 4
"""One of so many distinct patches is solved for in a rough fit."""
PATCHES = "patches"
"""Stage that says whether voxels read patches: it need not be asked again, nor of simulated responses."""


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
    rough: bool = False,
    reduced: tuple[Examples, Examples] | None = None,
) -> Trained:
    """Train a model by the recipe of its settings.

    ``"paper"`` trains as the authors do, on raw tokens; ``"default"`` in principal components of the tokens,
    from a closed-form start, on mean responses of parcels where these are better predicted, else on at most 16,384
    voxels, and at last solves the channels of every voxel from training and validation images
    (``fitting/solved/channels.py``), or, where that predicts better, what voxels read as well (``patches.py``). Where
    voxels have no coordinates, all is in closed form (``candidates.py``). Tokens are held if they fit.

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
        rough: whether the fit only tells how far fits err: distinct patches are a quarter as many, at a quarter of the
            time.
        reduced: the same images with components of the tokens, where another fit left them.

    Raises:
        DataError: if the fit diverges, the disk or the GPU's memory is full, or the checkpoint is another fit's.
    """
    settings = settings.for_data(len(training) if training.image is None else len(np.unique(training.image)))
    data = settings, training, validation, coordinates, bounds, selectors, groups, refit

    def attempt(there: Machine) -> Trained:
        task = Task(*data, there, checkpoint, progress, description, rough, reduced)
        if settings.recipe == "paper":
            return _train_paper(task)
        return _solve(task) if coordinates is None and selectors is None else _train_default(task)

    return (machine or Machine.choose()).sparing(attempt)


def _train_paper(task: Task) -> Trained:
    settings, selectors = task.settings, task.selectors
    channels = tuple(layer.shape[1] for layer in task.training.read(FIRST).global_)
    if selectors is None:
        selectors = fix_selectors(settings, build_selectors(settings, *task.positions, len(channels)))
    model = build_paper_model(settings, selectors, task.voxels, channels).to(task.machine.device)
    sides = cache_raw((task.training, task.validation), task.machine, task.progress)
    return Trained(model, replace(task.train(model, sides), units="voxels"), None)


def _train_default(task: Task) -> Trained:
    settings, device = task.settings, task.machine.device
    reduction = reduction_of(task)
    examples = reduced_examples(task, reduction)
    grain = find_grain(task, examples)
    models, histories = zip(*train_starts(task, grain, reduction), strict=True)
    model = models[0] if len(models) == 1 else pool_models(settings, models).to(device)
    seconds = sum(one.seconds for one in histories)
    history = replace(histories[0], units=grain.units, ridge=grain.noise.ridge, seconds=seconds)
    patches = _solve_channels(task, model, examples, grain, history, reduction) if settings.closed_form else None
    model.align = reduction.unfold(model.align).to(device)
    return Trained(model if patches is None else patches.to(device), history, reduction, examples)


def _solve_channels(
    task: Task,
    model: FactorTopy,
    examples: tuple[Examples, Examples],
    grain: Grain,
    history: History,
    reduction: TokenReduction,
) -> FactorTopy | None:
    """Channels in closed form from training and validation images; another model where that predicts these better."""
    # Apple's GPUs have no float64.
    device = torch.device("cpu") if task.machine.device.type == "mps" else task.machine.device
    pairs = zip(examples, (task.training, task.validation), strict=True)
    images, repeats = distinct_images(
        *(
            replace(side, read=reduced.read, responses=reduced.responses, resident=reduced.resident)
            for reduced, side in pairs
        )
    )
    known = Known(images, repeats, len(distinct_images(task.validation)[1]), task.refit)
    scores = solve_channels(model.to(device), known, task.coordinates, grain.parcels, progress=task.progress)
    model.to(task.machine.device)
    history.solved_r2 = float(scores.mean())
    kept = task.kept(PATCHES)
    if kept is not None and not kept.facts["read"]:
        return None
    patches = _read_patches(task, model, known, grain, history, reduction.to(device), scores, sure=kept is not None)
    task.keep(PATCHES, Part({}, {"read": patches is not None}))
    return patches


def _read_patches(
    task: Task,
    model: FactorTopy,
    known: Known,
    grain: Grain,
    history: History,
    reduction: TokenReduction,
    scores: Float[Tensor, "N"],
    sure: bool,
) -> FactorTopy | None:
    """The model that reads patches, by all components, if it is sure to predict better than the scores, or does.

    Both are by validation images.
    """
    device, settings = reduction.local[0].mean.device, task.settings
    trained = model.select().map(lambda part: part.detach().cpu())
    grid = known.images.read(FIRST).local[0].shape[-2:]
    components = max(len(layer.variance) for layer in reduction.local)
    blocks = 2 * len(reduction.local) * components
    asked = settings.patches and settings.topology and known.refit and task.coordinates is not None
    if not asked or not may_judge(len(known.images), known.judged, task.voxels, blocks, grid.numel()):
        return None
    tokens = all_components(known.images, lambda batch: reduction.undamp(batch.to(device)), device, task.progress)
    seen = Seen(tokens, known.images.all_responses(device), known.repeats.to(device), known.judged)
    selection, penalties = trained if task.selectors is not None else widened(trained, *grid), FLAT
    if not sure:
        judges = task.shuffled(task.voxels, "judges of patches")[:JUDGES]
        hope = seen.of(judges).solve(selection.map(lambda part: part[judges]), penalties, task.progress).score.mean()
        if hope <= max(0.0, HOPE * float(scores[judges].mean())):
            return None
    if task.selectors is None:
        units = seen if grain.trained is None else seen._replace(responses=grain.trained.mean(seen.responses.T).T)
        places, coordinates = grain.coordinates(task), task.positions[0]
        selection, penalties = select_patches(units, places, coordinates, trained, task.progress)
        selection = share_nearby(selection, coordinates, len(known.images), ROUGH if task.rough else 1)
        selection = fix_selectors(settings, FixedSelectors(selection))()
    elif share_nearby(selection, task.positions[0], len(known.images)) is not selection:
        return None  # what is given is not to be blurred
    channels = seen.solve(selection, penalties, task.progress)
    if not sure and channels.score.mean() <= max(0.0, KEPT * float(scores.mean())):
        return None
    history.solved_r2 = float(channels.score.mean())
    return build_solved_model(settings, channels, reduction.undamped(components))


def _solve(task: Task) -> Trained:
    """Selectors and channels in closed form, on training and validation images."""
    started = time.perf_counter()
    # Apple's GPUs have neither float64 nor eigenvectors.
    device = torch.device("cpu") if task.machine.device.type == "mps" else task.machine.device
    images, repeats = distinct_images(task.training, *([task.validation] if task.refit else []))
    reduction = reduction_of(replace(task, training=images)).to(device)
    groups = np.zeros(task.voxels, int) if task.groups is None else task.groups
    # A factor of all channels of a group changes nothing that a rough fit is asked for.
    how = {"shrinks": task.settings.shrinkage and not task.rough, "progress": task.progress}
    model = solve_model(task.settings, images, repeats, reduction, groups, device, **how)
    return Trained(model.to(task.machine.device), History(seconds=time.perf_counter() - started), reduction)
