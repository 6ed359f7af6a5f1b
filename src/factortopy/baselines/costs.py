"""What a comparison of baselines will take, before it starts."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from factortopy.baselines import receptive_fields
from factortopy.baselines.features import FIELD_PLACES, FIELD_SIZES, Features
from factortopy.baselines.linear import BAND_WEIGHTS, VOXELS, choose
from factortopy.baselines.methods import is_linear
from factortopy.baselines.run import FEATURES, check_methods
from factortopy.fitting import default_split
from factortopy.images import Split
from factortopy.machine import Cost
from factortopy.networks import Tokens
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import LIBRARIES_MEMORY, fit_options, settings_cost


def estimate_baselines(
    tokens: TokenStore,
    subject: Subject,
    *,
    which: Sequence[str] | None = None,
    split: Split | None = None,
    features: int = FEATURES,
    untrained: TokenStore | None = None,
    **options: Any,
) -> Cost:
    """Time, memory and disk that ``run_baselines`` will take with these arguments.

    Two short fits of FactorTopy say what one takes; regressions on random numbers of the true size say what a
    candidate (a layer, a weighting of layers, a receptive field) of the linear baselines takes.

    Args:
        tokens, subject, which, split, features, untrained, options: as for ``run_baselines``.

    Raises:
        UnknownNameError, UnavailableError, DataError: as ``run_baselines``.

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
    images = {side: len(ids) for side, ids in split.to_dict().items()}
    results = len(methods) * 1e4 * len(subject.voxels.rois) + 12.0 * len(subject.voxels)
    facts = {"methods": ", ".join(methods), **fit.facts, "measured on": "two short fits and some regressions"}
    # Every other method is a fit of FactorTopy, whose mapping is not kept.
    fits = (len(methods) - len(linear)) * replace(fit, disk=0.0)
    return (
        Cost(disk=results, facts=facts)
        + _linear(linear, tokens, subject, images, features, machine.device)
        + replace(fits, facts={})
    )


def _linear(
    methods: list[str],
    tokens: TokenStore,
    subject: Subject,
    images: dict[str, int],
    features: int,
    device: torch.device,
) -> Cost:
    """What the linear baselines take: memory by counting, time from one candidate and the fields of one position."""
    if not methods:
        return Cost()
    voxels, positions = len(subject.voxels), tokens.grid[0] * tokens.grid[1]
    candidates = {"ridge-best-layer": len(tokens.layers), "ridge-all-layers": 1, "banded-ridge": BAND_WEIGHTS}
    ridges, fields = sum(candidates.get(name, 0) for name in methods), 0
    if "fwrf" in methods:
        fields = len(FIELD_SIZES) * min(FIELD_PLACES, tokens.grid[0]) * min(FIELD_PLACES, tokens.grid[1])
    seconds = 0.0
    if ridges:
        seconds += ridges * _ridge_seconds(images, voxels, features, device)
    if fields:
        seconds += fields * _field_seconds(images, voxels, features, device)
    # Components in float16, twice while they are joined; responses; one candidate and its penalised inverses.
    count = sum(images.values())
    memory = 2 * 2.0 * count * features * (positions + 1) / 2 + 4.0 * count * (2 * voxels + 16 * features)
    # Receptive fields: eigenvectors of each, and products of positions with some voxels.
    products = positions * receptive_fields.VOXELS if fields else 0
    memory += LIBRARIES_MEMORY + 4.0 * features * (fields * features + products / 2)
    return Cost(seconds, memory)


def _ridge_seconds(images: dict[str, int], voxels: int, features: int, device: torch.device) -> float:
    """Of one candidate, chosen and fitted, for all voxels; a few voxels are timed."""
    random = np.random.default_rng(0)
    some = min(voxels, VOXELS)

    def sides(count: int) -> dict[str, np.ndarray]:
        return {side: random.standard_normal((size, count), np.float32) for side, size in images.items()}

    start = time.perf_counter()
    choose([sides(features)], sides(some), None, device)
    return (time.perf_counter() - start) * voxels / some


def _field_seconds(images: dict[str, int], voxels: int, features: int, device: torch.device) -> float:
    """Of one receptive field for all voxels: of the fields of a single position, some voxels are timed."""
    random = torch.Generator().manual_seed(0)
    some, half = min(voxels, receptive_fields.VOXELS), max(1, features // 2)

    def drawn(size: int) -> Tokens:
        local, global_ = (torch.randn(size, half, generator=random).half() for _ in range(2))
        return Tokens((local[:, :, None, None],), (global_,))

    one = Features({side: drawn(size) for side, size in images.items()}, features)
    responses = {side: torch.randn(size, some, generator=random).numpy() for side, size in images.items()}
    start = time.perf_counter()
    receptive_fields.fit_fields(one, responses, device=device)
    return (time.perf_counter() - start) / len(one.fields()) * voxels / some
