"""What a fit will take, before it starts."""

import time
from typing import Any

import numpy as np
import torch

from factortopy.analysis import has_limits
from factortopy.fitting import (
    COMPONENTS,
    PATCHES,
    SHRUNK_IMAGES,
    SOLVED_WIDTH,
    VOXELS,
    FitSettings,
    channels_memory,
    components_memory,
    default_split,
    expected_trainings,
    may_judge,
    reading_memory,
    reduction_memory,
    start_memory,
    usual_components,
    yardstick_memory,
    yardstick_seconds,
)
from factortopy.images import FEWEST_TEST_IMAGES, Split
from factortopy.machine import Cost, Machine
from factortopy.storage import Part
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow._fit import fit_model, fit_options
from factortopy.workflow.parametric_bootstrap import most_simulated

STEPS = 20
BATCH = 64
"""Images read at a time."""
WARM_VOXELS = 64
MARGIN, MORE_IMAGES = 32, 2
SAMPLE_VOXELS = 4_096
SIMULATED = 0.6
"""Time of a step of the fit that limits are found with, which takes half the images, of one of all."""
NUMBERS, SMALL_FILES = 30, 300e3
"""Numbers of a voxel that do not hang on layers, and bytes of tables, names and what describes arrays."""
LIBRARIES_MEMORY = 1.0e9
"""Memory of Python and its libraries, bytes: of the smallest fit, or the smallest extraction, on Linux; 0.9 to 1.15 by
machine."""


def estimate_fit(tokens: TokenStore, subject: Subject, *, split: Split | None = None, **options: Any) -> Cost:
    """Time, memory and disk that :func:`factortopy.fit` will take with these arguments.

    Time from short fits and a small ridge on this machine; memory and disk by counting the large arrays. A fit of part
    of the images is run with few steps, and with more images: the difference is the time of an image (the start,
    principal components, what is solved, limits), the rest does not grow with images; steps are timed by themselves,
    and those of the fit that limits are found with are taken for a share of them. Beyond 4,096 voxels, a sample of them
    is timed and the time is scaled up, but that of steps on parcels, which are as many. Voxels are taken to read
    patches where there are few enough images for it, and the align to overfit there: only training tells how often it
    is trained again in fewer components.

    Args:
        tokens: tokens of (at least) the subject's images.
        subject: responses to images.
        split: of the images; 8:1:1 if None.
        options: recipe, seed, device, precision, memory_gb and settings, as for a fit.

    Raises:
        UnknownNameError: if a setting or recipe does not exist.

    Example:
        >>> cost = ft.estimate_fit(tokens, subject, steps=50)
        >>> (2 * cost).seconds > cost.seconds > 0
        True
    """
    settings, machine = fit_options(**options)
    return settings_cost(tokens, subject, settings, split, machine)


def settings_cost(
    tokens: TokenStore,
    subject: Subject,
    settings: FitSettings,
    split: Split | None,
    machine: Machine,
    *,
    timed: bool = True,
    bootstrap: int = 1_000,
) -> Cost:
    """As :func:`estimate_fit`, of settings on a machine; at once and without seconds where it is not timed.

    Without limits of what is found (``bootstrap`` 0), a fit takes less.
    """
    split = split or default_split(tokens, subject, settings.seed)
    settings = settings.for_data(len(split.train), placed=subject.voxels.coordinates is not None)
    sides = ", ".join(f"{len(ids):,} {side}" for side, ids in split.to_dict().items())
    facts = {"images": sides, "voxels": f"{len(subject.voxels):,}", "measured on": "short fits and a small ridge"}
    if settings.recipe == "default" and subject.voxels.coordinates is not None:
        often = expected_trainings(settings, len(split.train))
        facts["trainings"] = f"about {often}: one, and others where the align overfits or responses are very noisy"
    return Cost(
        seconds=_seconds(tokens, subject, settings, split, machine, bootstrap) if timed else 0.0,
        memory=_memory(tokens, subject, settings, split, machine),
        disk=_disk(tokens, subject, settings, split),
        facts=facts,
    )


def _seconds(
    tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split, machine: Machine, bootstrap: int
) -> float:
    ridge = _ridge_seconds(tokens, subject, split, machine)
    by_voxels = max(1.0, len(subject.voxels) / SAMPLE_VOXELS)
    trains_parcels = settings.parcels and settings.topology and settings.closed_form
    reads = _may_read_patches(tokens, subject, settings, split)
    few_steps = {"steps": STEPS, "validate_every": STEPS, "patches": reads}
    few_steps["shrinkage"] = settings.shrinkage and len(split.train) + len(split.validation) <= SHRUNK_IMAGES
    asked = settings
    settings = settings.model_copy(update=few_steps)
    # As images and voxels decide it, so that it does not hang on the chance of a few steps.
    known = {PATCHES: Part({}, {"read": True})} if reads else {}
    # Principal components need more images than there are components.
    images = min(len(split.train), max(settings.components, settings.batch_size) + MARGIN)
    more = min(MORE_IMAGES * images, len(split.train))

    def timed(images: int, voxels: int) -> tuple[float, float]:
        """Seconds of a step, and of all else."""
        few = max(FEWEST_TEST_IMAGES, images // 8)
        part = Split(split.train[:images], split.validation[:few], split.test[:few])
        some = subject
        if voxels < len(subject.voxels):
            some = subject.select(np.linspace(0, len(subject.voxels) - 1, voxels).astype(int))
        start = time.perf_counter()
        options: dict[str, Any] = {"bootstrap": bootstrap, "yardstick": False, "known": known, "progress": False}
        history = fit_model(tokens, some, settings, split=part, machine=machine, **options).history
        whole = time.perf_counter() - start
        if not history.step:  # all is solved
            return 0.0, whole
        return history.seconds / (STEPS + _look(few, settings)), whole - history.seconds

    timed(images, WARM_VOXELS)  # sets libraries up
    by_step, rest = timed(images, SAMPLE_VOXELS)
    if more > images:
        rest += max(0.0, timed(more, SAMPLE_VOXELS)[1] - rest) / (more - images) * (len(split.train) - images)
    looks = asked.steps / asked.validate_every * _look(len(split.validation), asked)
    stepping = by_step * (asked.steps + looks) * (1.0 if trains_parcels else by_voxels)
    simulated = bootstrap and settings.recipe == "default" and has_limits(split.test)
    some = 1.0 if trains_parcels else most_simulated(len(subject.voxels)) / len(subject.voxels)
    often = expected_trainings(settings, len(split.train)) if asked.recipe == "default" else 1
    return ridge + by_voxels * rest + stepping * (often + (SIMULATED * some if simulated else 0.0))


def _look(images: int, settings: FitSettings) -> float:
    """A look at so many validation images, in steps: a forward pass, a third of a step, for each of their batches."""
    return images / settings.batch_size / 3


def _may_read_patches(tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split) -> bool:
    asked = settings.patches and settings.topology and settings.closed_form and not split.tests_validation
    images, blocks = len(split.train) + len(split.validation), 2 * len(tokens.layers) * settings.components
    sizes = images, len(split.validation), len(subject.voxels), blocks, tokens.grid[0] * tokens.grid[1]
    return bool(asked) and subject.voxels.coordinates is not None and may_judge(*sizes)


def _ridge_seconds(tokens: TokenStore, subject: Subject, split: Split, machine: Machine) -> float:
    """Of the yardstick, whose short fits say little: it grows with the cube of images."""
    images = len(split.train) + len(split.validation)
    numbers = COMPONENTS * len(tokens.layers) * (tokens.grid[0] * tokens.grid[1] + 1)
    device = torch.device("cpu") if machine.device.type == "mps" else machine.device
    return yardstick_seconds(numbers, images, min(len(subject.voxels), VOXELS), device)


def _memory(tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split, machine: Machine) -> float:
    images, voxels = len(subject.image_ids), len(subject.voxels)
    positions, layers = tokens.grid[0] * tokens.grid[1] + 1, len(tokens.layers)
    width = settings.starts * settings.width
    # float32: responses; channel selectors, gradient, two moments, best copy, and what a checkpoint writes.
    needed = LIBRARIES_MEMORY + 4.0 * (images * voxels + 8 * voxels * width)
    kept, stages = sum(tokens.channels), [0.0]
    if settings.recipe == "default":
        kept = sum(min(settings.components, count) for count in tokens.channels)
        parcels = settings.parcels if settings.topology and subject.voxels.coordinates is not None else 0
        stages = [
            reduction_memory(tokens.channels, positions, BATCH),
            start_memory(len(split.train), voxels, layers, positions),
            channels_memory(voxels, layers, positions, width, min(parcels, voxels)),
        ]
        if _may_read_patches(tokens, subject, settings, split):
            fitted = len(split.train) + len(split.validation)
            components = usual_components(settings, len(split.train))
            blocks = 2 * sum(min(components, count) for count in tokens.channels)
            stages.append(components_memory(fitted, blocks, positions - 1) + reading_memory(fitted, blocks))
        needed += 2 * 4.0 * images * most_simulated(voxels)  # predictions, residuals
    tested = images * len(split.test) / len(subject.distinct_image_ids)
    # Tokens of training and validation images in float16 or, later, aligned ones of test images in float32.
    token_sizes = 2.0 * images * kept * positions, 4.0 * tested * layers * width * positions
    held = max(size if size <= machine.memory else 0.0 for size in token_sizes)
    counts = len(split.train) + len(split.validation), len(subject.distinct_image_ids)
    ridge = yardstick_memory(layers, positions - 1, *counts, COMPONENTS)
    return needed + held + max(*stages, min(ridge, machine.memory))


def _disk(tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split) -> float:
    voxels, layers, width = len(subject.voxels), len(tokens.layers), settings.starts * settings.width
    if subject.voxels.coordinates is None or _may_read_patches(tokens, subject, settings, split):
        blocks = 2 * layers * usual_components(settings, len(split.train))
        width = max(width, min(voxels, blocks, SOLVED_WIDTH))
    # Channel selectors stand in the dataset and among the parameters, channel aligns for both kinds of token; of every
    # layer selector, share with limits, and loss of R^2 without it.
    per_voxel = 2 * width + 5 * layers + NUMBERS
    return SMALL_FILES + 4.0 * (voxels * per_voxel + 2 * sum(tokens.channels) * width)
