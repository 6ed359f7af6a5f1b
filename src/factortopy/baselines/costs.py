"""What a comparison of baselines will take, before it starts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from factortopy.baselines.features import FIELD_PLACES, FIELD_SIZES
from factortopy.baselines.linear import BAND_WEIGHTS
from factortopy.baselines.methods import is_linear
from factortopy.baselines.run import check_methods
from factortopy.fitting import COMPONENTS, default_split, yardstick_memory, yardstick_seconds
from factortopy.images import Split
from factortopy.machine import Cost
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import LIBRARIES_MEMORY, fit_options, settings_cost


def estimate_baselines(
    tokens: TokenStore,
    subject: Subject,
    *,
    which: Sequence[str] | None = None,
    split: Split | None = None,
    features: int = COMPONENTS,
    untrained: TokenStore | None = None,
    **options: Any,
) -> Cost:
    """Time, memory and disk that ``run_baselines`` will take with these arguments.

    Short fits of FactorTopy say what one takes; a small ridge says what a candidate (a layer, a weighting of
    layers, a receptive field) of the linear baselines takes.

    Args:
        tokens, subject, which, split, features, untrained, options: as for ``run_baselines``.

    Raises:
        UnknownNameError, DataError: as ``run_baselines``.

    Example:
        >>> cost = ft.estimate_baselines(tokens, subject, which=["factortopy"], steps=3)
        >>> cost.facts["methods"]
        'factortopy'
    """
    methods = check_methods(which, tokens, untrained)
    settings, machine = fit_options(**options)
    split = split or default_split(tokens, subject, settings.seed)
    fit = settings_cost(tokens, subject, settings, split, machine)
    linear = [name for name in methods if is_linear(name)]
    results = len(methods) * 1e4 * len(subject.voxels.rois) + 12.0 * len(subject.voxels)
    facts = {"methods": ", ".join(methods), **fit.facts, "measured on": "short fits and a small ridge"}
    # Every other method is a fit of FactorTopy, whose mapping is not kept.
    fits = (len(methods) - len(linear)) * replace(fit, disk=0.0)
    device = torch.device("cpu") if machine.device.type == "mps" else machine.device
    return (
        Cost(disk=results, facts=facts)
        + _linear(linear, tokens, subject, split, features, device)
        + replace(fits, facts={})
    )


def _linear(
    methods: list[str], tokens: TokenStore, subject: Subject, split: Split, features: int, device: torch.device
) -> Cost:
    """What the linear baselines take: memory by counting, time of each candidate from a small one."""
    if not methods:
        return Cost()
    layers, positions, voxels = len(tokens.layers), tokens.grid[0] * tokens.grid[1], len(subject.voxels)
    count, rows = len(split.train) + len(split.validation), len(subject.distinct_image_ids)
    candidates = {
        "ridge-best-layer": layers,
        "ridge-all-layers": 1,
        "banded-ridge": BAND_WEIGHTS,
        "fwrf": len(FIELD_SIZES) * min(FIELD_PLACES, tokens.grid[0]) * min(FIELD_PLACES, tokens.grid[1]),
    }
    tried = sum(candidates.get(name, 0) for name in methods)
    seconds = tried * yardstick_seconds(2 * features * layers, count, voxels, device)
    # The kernels of all layers are held, and predictions and responses of all voxels.
    memory = yardstick_memory(layers, positions, count, rows, features) + 4.0 * rows * (layers * count + 3 * voxels)
    return Cost(seconds, LIBRARIES_MEMORY + memory)
