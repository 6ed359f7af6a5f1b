"""What a comparison of baselines will take, before it starts."""

import time

import numpy as np

from factortopy.baselines.features import FIELD_PLACES, FIELD_SIZES
from factortopy.baselines.linear import BAND_WEIGHTS, VOXELS, choose
from factortopy.baselines.methods import is_linear
from factortopy.brain import Split, Subject
from factortopy.cli.estimate import LIBRARIES, estimate_fit
from factortopy.cli.options import readable_bytes, readable_seconds
from factortopy.fitting import FitSettings, Machine
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

    Two short fits of FactorTopy say what one takes; one ridge regression on random numbers of the true size
    says what a candidate (a layer, a receptive field, a weighting of layers) of the linear baselines takes.
    """
    fit = estimate_fit(tokens, subject, settings, split, machine)
    linear = [name for name in methods if is_linear(name)]
    places = min(FIELD_PLACES, tokens.grid[0]) * min(FIELD_PLACES, tokens.grid[1])
    candidates = {
        "ridge-best-layer": len(tokens.layers),
        "ridge-all-layers": 1,
        "banded-ridge": BAND_WEIGHTS,
        "fwrf": places * len(FIELD_SIZES),
    }
    ridge = _candidate_seconds(fit.images, subject.voxels, features, machine) if linear else 0.0
    seconds = (len(methods) - len(linear)) * fit.seconds + ridge * sum(candidates[name] for name in linear)
    images = sum(fit.images.values())
    # Components in float16, twice while they are joined; responses; one candidate and its penalised inverses.
    components = 2 * 2.0 * images * features * (tokens.grid[0] * tokens.grid[1] + 1) / 2
    held = LIBRARIES + components + 4.0 * images * (2 * subject.voxels + 16 * features)
    return [
        ("methods", ", ".join(methods)),
        ("images", ", ".join(f"{count:,} {side}" for side, count in fit.images.items())),
        ("voxels", f"{subject.voxels:,}"),
        ("memory", f"about {readable_bytes(max(fit.memory, held if linear else 0))}"),
        ("disk", f"about {readable_bytes(len(methods) * 1e4 * len(subject.rois) + 12.0 * subject.voxels)}"),
        ("time", f"about {readable_seconds(seconds)}, from two short fits and one regression"),
    ]


def _candidate_seconds(images: dict[str, int], voxels: int, features: int, machine: Machine) -> float:
    """Of one candidate, chosen and fitted, for all voxels; a few voxels are timed."""
    random = np.random.default_rng(0)
    some = min(voxels, VOXELS)

    def sides(count: int) -> dict[str, np.ndarray]:
        return {side: random.standard_normal((size, count), np.float32) for side, size in images.items()}

    start = time.perf_counter()
    choose([sides(features)], sides(some), None, machine.device)
    return (time.perf_counter() - start) * voxels / some
