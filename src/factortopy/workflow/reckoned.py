"""What a fit will take, from sizes alone: before tokens or responses are there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from factortopy.cortex import Voxels
from factortopy.fitting import FitSettings
from factortopy.machine import Cost, Machine
from factortopy.networks import Preprocessing, Tokens
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow.costs import SAMPLE_VOXELS, settings_cost

LAYERS = 6
"""Layers that a large fit is timed with."""


class RandomTokens:
    """Tokens of no network, of the sizes of one: enough to time a fit with."""

    network, weights_hash, global_token, precision, outliers = "random", "", "class", "fp32", "kept"
    image_groups = digests = basis = None
    preprocessing = Preprocessing((1, 1), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0)

    def __init__(self, channels: Sequence[int], grid: tuple[int, int], image_ids: tuple[str, ...]) -> None:
        self.channels, self.grid, self.image_ids = tuple(channels), grid, image_ids
        self.provenance: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.layers = tuple(f"layer {number}" for number in range(len(self.channels)))

    def __len__(self) -> int:
        return len(self.image_ids)

    def read(self, indices: Sequence[int] | None = None) -> Tokens:
        """Random tokens of as many images as there are indices."""
        count = len(self) if indices is None else len(indices)
        local = (torch.randn(count, channels, *self.grid).half() for channels in self.channels)
        return Tokens(tuple(local), tuple(torch.randn(count, channels).half() for channels in self.channels))


def reckon_fit(
    channels: Sequence[int],
    grid: tuple[int, int],
    images: int,
    trials: int,
    voxels: int,
    settings: FitSettings,
    machine: Machine,
    *,
    timed: bool = True,
    bootstrap: int = 1_000,
) -> Cost:
    """What a fit takes, timed on random tokens and responses of the sizes of the real ones.

    Of a fit that is timed on a sample of its voxels, six layers are timed and time is scaled up: all that takes long
    is done layer by layer.

    Args:
        channels: of every layer.
        grid: height and width of the maps of tokens.
        images: distinct ones.
        trials: responses; more than images where they are single trials.
        voxels: their number.
        settings: of the fit.
        machine: where it would run.
        timed: whether short fits are run for the time; else only memory and disk are counted.
        bootstrap: draws of test images from which limits are computed; 0 for none.
    """
    ids = tuple(f"{number:05d}" for number in range(images))
    shown = ids if trials == images else tuple(np.resize(np.array(ids), trials).tolist())
    random = np.random.default_rng(0)
    # One column for all voxels: the size of the real array, and none of its memory.
    column = random.standard_normal((trials, 1), dtype=np.float32)
    sides = np.repeat(["left", "right"], [voxels // 2, voxels - voxels // 2])
    subject = Subject(
        name="reckoned",
        responses=np.broadcast_to(column, (trials, voxels)),
        image_ids=shown,
        single_trials=trials > images,
        voxels=Voxels.at(random.uniform(-100, 100, (voxels, 3)), sides),
    )

    def of(some: Sequence[int], timed: bool) -> Cost:
        tokens = cast(TokenStore, RandomTokens(some, grid, ids))
        return settings_cost(tokens, subject, settings, None, machine, timed=timed, bootstrap=bootstrap)

    if not timed or voxels <= SAMPLE_VOXELS or len(channels) <= LAYERS:
        return of(channels, timed)
    few = [channels[place] for place in np.linspace(0, len(channels) - 1, LAYERS).round().astype(int)]
    return replace(of(channels, timed=False), seconds=len(channels) / LAYERS * of(few, timed=True).seconds)
