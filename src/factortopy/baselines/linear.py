"""The linear baselines by name: ridge on one layer, on all, on weighted ones, and in receptive fields."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from factortopy.baselines import receptive_fields
from factortopy.baselines.features import Features, Sides
from factortopy.baselines.ridge import Bands, LinearFit, band_weightings, fit_candidates
from factortopy.progress import progress_bar


def fit_linear(
    name: str,
    features: Features,
    responses: Sides,
    *,
    seed: int = 0,
    device: torch.device | None = None,
    progress: bool = True,
    description: str = "Ridge",
) -> LinearFit:
    """Fit one of the linear baselines.

    Args:
        name: ``"ridge-best-layer"``, ``"ridge-all-layers"``, ``"banded-ridge"`` or ``"fwrf"``.
        features: of the images.
        responses: to the images of every side.
        seed: of the weightings that banded ridge tries.
        device: where to compute; the CPU if None.
        progress: whether to show a progress bar.
        description: what the bar calls this.

    Raises:
        UnavailableError: if himalaya is not installed and the name is not ``"fwrf"``.
    """
    if name == "fwrf":
        rounds = -(-responses["train"].shape[1] // receptive_fields.VOXELS)
        with progress_bar(description, (1 + rounds) * len(features.fields()), show=progress) as advance:
            return receptive_fields.fit_fields(features, responses, device=device, advance=advance)
    layers = range(features.layers)

    def by_layer() -> list[Sides]:
        return [features.of_layer(layer, max(1, features.count // len(layers))) for layer in layers]

    candidates: list[Bands] = [by_layer]
    if name == "ridge-best-layer":
        candidates = [partial(_alone, features.of_layer, layer, features.count) for layer in layers]
    elif name == "ridge-all-layers":
        candidates = [lambda: [_side_by_side(by_layer())]]
    weightings = band_weightings(len(layers), seed) if name == "banded-ridge" else None
    with progress_bar(description, 2 * len(candidates), show=progress) as advance:
        return fit_candidates(candidates, responses, weightings, device=device, advance=advance)


def _alone(make: Callable[..., Sides], *arguments: Any) -> list[Sides]:
    return [make(*arguments)]


def _side_by_side(bands: list[Sides]) -> Sides:
    return {side: np.concatenate([band[side] for band in bands], axis=1) for side in bands[0]}
