"""Channel align and selectors by training, in as many principal components as the align does not overfit."""

from copy import deepcopy
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor, nn

from factortopy.fitting.build import build_default_model, build_selectors, fix_selectors
from factortopy.fitting.examples import ReadTokens
from factortopy.fitting.grain import Grain, set_start
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.settings import FitSettings
from factortopy.fitting.solved.scan import leading
from factortopy.fitting.task import Task, usual_components
from factortopy.fitting.training import History
from factortopy.model import FactorTopy, FixedSelectors
from factortopy.networks import Tokens
from factortopy.storage import Part

START, CHOSEN = "start", "components"
"""Stages: selectors at their start; in how many components the align is trained, also for simulated responses."""
OVERFITTED = 0.75
"""Part of the steps before which the best one tells that what was learnt after it is noise."""
BORNE = 1.5
"""Components that responses may bear, in training images times the R^2 of a voxel by one place of one layer."""
TIE = 0.98
"""Part of the validation R^2 in twice as many components that is as good, where responses bear fewer than those."""
FEWEST = 16
"""Components at least."""
FEW_IMAGES, TRAININGS = 1_500, 3
"""Training images below which an align mostly overfits its usual components; trainings until it does not, mostly."""


def train_starts(task: Task, grain: Grain, reduction: TokenReduction) -> list[tuple[FactorTopy, History]]:
    """Align and selectors of every start, in models of all voxels.

    All are trained in as many components as the first align does not overfit. Where validation images are predicted
    best long before the last step, it has learnt noise since; where responses are noisy, it may at every step. In half
    as many components there is less of it to learn: they are halved until that predicts no better, and where responses
    bear fewer than are used, until it predicts clearly worse: fewer learn less noise.
    """
    kept, usual = task.kept(CHOSEN), reduction.count
    borne = BORNE * len(task.training) * grain.noise.score

    def train(count: int) -> tuple[FactorTopy, History]:
        fewer = task if count == usual else task.within(f"components-{count}", f"{count} components")
        return _train(fewer, grain, reduction, selectors, count)

    selectors, count = _start(task, grain, len(reduction.local)), usual if kept is None else int(kept.facts["count"])
    model, history = train(count)

    def too_many() -> bool:
        return count // 2 >= FEWEST and (history.best_step < OVERFITTED * task.settings.steps or count > borne)

    while kept is None and too_many():
        other, of_half = train(count // 2)
        of_half.seconds += history.seconds
        best = max(history.validation_r2)
        if max(of_half.validation_r2) <= (TIE * best if count > borne and best > 0 else best):
            history.seconds = of_half.seconds
            break
        count, model, history = count // 2, other, of_half
    task.keep(CHOSEN, Part({}, {"count": count}))
    others = task.starts[1:]
    started = (_start(one, grain, len(reduction.local)) for one in others)
    trained = [_train(one, grain, reduction, own, count) for one, own in zip(others, started, strict=True)]
    return [(model, replace(history, components=count)), *trained]


def expected_trainings(settings: FitSettings, images: int) -> int:
    """How often the align of a first start is likely to be trained, in ever fewer components: for estimates of time.

    Args:
        settings: of the recipe ``"default"``.
        images: training images.
    """
    if images >= FEW_IMAGES:
        return 1
    count = usual_components(settings, images)
    return 1 + sum(count >> halvings >= FEWEST for halvings in range(1, TRAININGS))


def _start(task: Task, grain: Grain, layers: int) -> nn.Module:
    """Selectors of what is trained on, at their closed-form start if they are not given."""
    if task.selectors is not None:
        return task.selectors if grain.trained is None else FixedSelectors(task.selectors().map(grain.trained.mean))
    selectors = build_selectors(task.settings, grain.coordinates(task), task.positions[1], layers)
    selectors.to(task.machine.device)
    kept = task.kept(START)
    if kept is None:
        set_start(task, selectors, grain)
        task.keep(START, Part(dict(selectors.state_dict()), {}))
    else:
        selectors.load_state_dict(kept.tensors)
    return fix_selectors(task.settings, selectors)


def _train(
    task: Task, grain: Grain, reduction: TokenReduction, selectors: nn.Module, count: int
) -> tuple[FactorTopy, History]:
    """Train in so many leading components of parcels or voxels, from selectors that stay as they are."""
    voxels = task.voxels if grain.trained is None else len(grain.trained.centre)
    model = build_default_model(task.settings, deepcopy(selectors), voxels, reduction.leading(count))
    training, validation = (replace(side, read=partial(_read_leading, side.read, count)) for side in grain.examples)
    settings = task.settings.for_noise(grain.noise.ridge)
    history = task.train(model.to(task.machine.device), (training, validation), settings)
    return _of_voxels(task, grain, model, reduction).to(task.machine.device), history


def _read_leading(read: ReadTokens, count: int, rows: Int[Tensor, "batch"]) -> Tokens:
    return leading(read(rows), count)


@torch.no_grad()
def _of_voxels(task: Task, grain: Grain, trained: FactorTopy, reduction: TokenReduction) -> FactorTopy:
    """A model of all voxels and components with a trained align and selectors; components left out weigh nothing."""
    selectors = trained.selectors
    if grain.trained is not None and task.selectors is not None:
        selectors = task.selectors
    elif grain.trained is not None:
        built = build_selectors(task.settings, *task.positions, len(reduction.local))
        selectors = fix_selectors(task.settings, built)
        selectors.load_state_dict(trained.selectors.state_dict())
    model = build_default_model(task.settings, selectors, task.voxels, reduction)
    for whole, part in zip(model.align.parameters(), trained.align.parameters(), strict=True):
        whole.zero_()[:, : part.shape[1]] = part
    if grain.trained is None:
        model.channels.copy_(trained.channels)
        model.bias.copy_(trained.bias)
    return model
