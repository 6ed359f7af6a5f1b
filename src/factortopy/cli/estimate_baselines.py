"""What a comparison of baselines will take, before it starts."""

import time

import numpy as np
import torch

from factortopy.baselines import (
    BAND_WEIGHTS,
    FIELD_PLACES,
    FIELD_SIZES,
    VOXELS,
    Features,
    choose,
    is_linear,
    receptive_fields,
)
from factortopy.cli.estimate import LIBRARIES, estimate_fit
from factortopy.cli.options import readable_bytes, readable_seconds
from factortopy.fitting import FitSettings
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.networks import Tokens
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore


def estimate_baselines(
    tokens: TokenStore,
    subject: Subject,
    methods: list[str],
    settings: FitSettings,
    split: Split | None,
    features: int,
    machine: Machine,
) -> list[tuple[str, str]]:
    """Time, memory and disk as a table.

    Two short fits of FactorTopy say what one takes; regressions on random numbers of the true size say what a
    candidate (a layer, a weighting of layers, a receptive field) of the linear baselines takes.
    """
    fit = estimate_fit(tokens, subject, settings, split, machine)
    linear = [name for name in methods if is_linear(name)]
    fields = len(FIELD_SIZES) * min(FIELD_PLACES, tokens.grid[0]) * min(FIELD_PLACES, tokens.grid[1])
    candidates = {"ridge-best-layer": len(tokens.layers), "ridge-all-layers": 1, "banded-ridge": BAND_WEIGHTS}
    ridges = sum(candidates.get(name, 0) for name in linear)
    seconds = (len(methods) - len(linear)) * fit.seconds
    if ridges:
        seconds += ridges * _ridge_seconds(fit.images, len(subject.voxels), features, machine)
    if "fwrf" in linear:
        seconds += fields * _field_seconds(fit.images, len(subject.voxels), features, machine)
    held = _memory(tokens, subject, features, fields if "fwrf" in linear else 0, sum(fit.images.values()))
    return [
        ("methods", ", ".join(methods)),
        ("images", ", ".join(f"{count:,} {side}" for side, count in fit.images.items())),
        ("voxels", f"{len(subject.voxels):,}"),
        ("memory", f"about {readable_bytes(max(fit.memory, held if linear else 0))}"),
        ("disk", f"about {readable_bytes(len(methods) * 1e4 * len(subject.voxels.rois) + 12.0 * len(subject.voxels))}"),
        ("time", f"about {readable_seconds(seconds)}, from two short fits and some regressions"),
    ]


def _memory(tokens: TokenStore, subject: Subject, features: int, fields: int, images: int) -> float:
    """Bytes at the peak of the linear baselines."""
    places = tokens.grid[0] * tokens.grid[1]
    # Components in float16, twice while they are joined; responses; one candidate and its penalised inverses.
    held = 2 * 2.0 * images * features * (places + 1) / 2
    held += 4.0 * images * (2 * len(subject.voxels) + 16 * features)
    # Receptive fields: eigenvectors of each, and products of places with some voxels.
    products = places * receptive_fields.VOXELS if fields else 0
    return LIBRARIES + held + 4.0 * features * (fields * features + products / 2)


def _ridge_seconds(images: dict[str, int], voxels: int, features: int, machine: Machine) -> float:
    """Of one candidate, chosen and fitted, for all voxels; a few voxels are timed."""
    random = np.random.default_rng(0)
    some = min(voxels, VOXELS)

    def sides(count: int) -> dict[str, np.ndarray]:
        return {side: random.standard_normal((size, count), np.float32) for side, size in images.items()}

    start = time.perf_counter()
    choose([sides(features)], sides(some), None, machine.device)
    return (time.perf_counter() - start) * voxels / some


def _field_seconds(images: dict[str, int], voxels: int, features: int, machine: Machine) -> float:
    """Of one receptive field for all voxels: of the fields of a single place, some voxels are timed."""
    random = torch.Generator().manual_seed(0)
    some, half = min(voxels, receptive_fields.VOXELS), max(1, features // 2)

    def drawn(size: int) -> Tokens:
        local, global_ = (torch.randn(size, half, generator=random).half() for _ in range(2))
        return Tokens((local[:, :, None, None],), (global_,))

    one = Features({side: drawn(size) for side, size in images.items()}, features)
    responses = {side: torch.randn(size, some, generator=random).numpy() for side, size in images.items()}
    start = time.perf_counter()
    receptive_fields.fit_fields(one, responses, device=machine.device)
    return (time.perf_counter() - start) / len(one.fields()) * voxels / some
