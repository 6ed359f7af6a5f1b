"""What a fit will take, before it starts."""

import time
from dataclasses import dataclass

import numpy as np

from factortopy.cli.options import readable_bytes, readable_seconds
from factortopy.fitting import COMPONENTS, SCANNED_IMAGES, SCORED_VOXELS, FitSettings
from factortopy.images import Split, split_images
from factortopy.machine import Machine
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import fit_model

STEPS = (2, 10)
MARGIN = 32
SAMPLE_VOXELS = 4_096
LIBRARIES = 600e6
"""Memory of Python and its libraries, bytes."""


@dataclass(frozen=True)
class FitEstimate:
    """What a fit will take.

    Attributes:
        images: on each side of the split.
        voxels: number of voxels.
        memory: bytes at the peak, about.
        disk: bytes of the mapping, about.
        seconds: on this machine, from short fits.
    """

    images: dict[str, int]
    voxels: int
    memory: float
    disk: float
    seconds: float

    def rows(self) -> list[tuple[str, str]]:
        """As a table."""
        return [
            ("images", ", ".join(f"{count:,} {side}" for side, count in self.images.items())),
            ("voxels", f"{self.voxels:,}"),
            ("memory", f"about {readable_bytes(self.memory)}"),
            ("disk", f"about {readable_bytes(self.disk)}"),
            ("time", f"about {readable_seconds(self.seconds)}, from two short fits"),
        ]


def estimate_fit(
    tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split | None, machine: Machine
) -> FitEstimate:
    """Time from two short fits on this machine; memory and disk by counting the large arrays.

    A fit of part of the images is run with few steps and with some more: their difference is the time of
    a step, the rest (the start, principal components, scores) is scaled to all images, which is a little
    too much. Beyond 4,096 voxels, a sample of them is timed and the time is scaled up.
    """
    if split is None:
        groups = dict(zip(tokens.image_ids, tokens.image_groups or tokens.image_ids, strict=True))
        ids = subject.distinct_image_ids
        split = split_images(ids, [groups.get(image, image) for image in ids], seed=settings.seed)
    sides = {side: len(ids) for side, ids in split.to_dict().items()}
    return FitEstimate(
        images=sides,
        voxels=len(subject.voxels),
        memory=_memory(tokens, subject, settings, machine),
        disk=_disk(tokens, subject, settings),
        seconds=_seconds(tokens, subject, settings, split, machine),
    )


def _seconds(tokens: TokenStore, subject: Subject, settings: FitSettings, split: Split, machine: Machine) -> float:
    by_voxels = max(1.0, len(subject.voxels) / SAMPLE_VOXELS)
    if by_voxels > 1:
        subject = subject.select(np.linspace(0, len(subject.voxels) - 1, SAMPLE_VOXELS).astype(int))
    # Principal components need more images than there are components.
    images = min(len(split.train), max(settings.components, settings.batch_size) + MARGIN)
    few = max(3, images // 8)
    part = Split(split.train[:images], split.validation[:few], split.test[:few])
    short = _time(tokens, subject, settings, part, machine, STEPS[0])
    longer = _time(tokens, subject, settings, part, machine, STEPS[1])
    by_step = max(0.0, longer - short) / (STEPS[1] - STEPS[0])
    rest = max(0.0, short - STEPS[0] * by_step) * len(split.train) / images
    # A look at the validation images is a forward pass, a third of a step, for each of their batches.
    looks = settings.steps / settings.validate_every * len(split.validation) / settings.batch_size
    return by_voxels * (rest + by_step * (settings.steps + looks / 3))


def _time(
    tokens: TokenStore,
    subject: Subject,
    settings: FitSettings,
    split: Split,
    machine: Machine,
    steps: int,
) -> float:
    few_steps = settings.model_copy(update={"steps": steps, "validate_every": steps})
    start = time.perf_counter()
    fit_model(tokens, subject, few_steps, split=split, machine=machine, progress=False)
    return time.perf_counter() - start


def _memory(tokens: TokenStore, subject: Subject, settings: FitSettings, machine: Machine) -> float:
    images, voxels = len(subject.image_ids), len(subject.voxels)
    places, layers = tokens.grid[0] * tokens.grid[1] + 1, len(tokens.layers)
    # float32: responses; channel selectors, gradient, two moments, best copy, and what a checkpoint writes.
    held = LIBRARIES + 4.0 * (images * voxels + 8 * voxels * settings.width)
    kept = sum(tokens.channels)
    if settings.recipe == "default":
        kept = sum(min(settings.components, count) for count in tokens.channels)
        # Covariances in float64, beside one batch of raw tokens.
        measured = 2 * 8.0 * sum(count**2 for count in tokens.channels)
        scanned = min(images, SCANNED_IMAGES)
        # The start: components as read and in float32, responses, and scores before and after smoothing.
        start = 6.0 * scanned * layers * COMPONENTS * places + 8.0 * scanned * min(voxels, SCORED_VOXELS)
        held += max(measured, start + 3 * 4.0 * layers * places * voxels)
    in_memory = 2.0 * images * kept * places
    return held + (in_memory if in_memory <= machine.memory else 0)


def _disk(tokens: TokenStore, subject: Subject, settings: FitSettings) -> float:
    # Channel selectors stand in the dataset and among the parameters, channel aligns for both kinds of token.
    per_voxel = 2 * settings.width + 2 * len(tokens.layers) + 8
    return 4.0 * (len(subject.voxels) * per_voxel + 2 * sum(tokens.channels) * settings.width)
