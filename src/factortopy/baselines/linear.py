"""The linear baselines: ridge regressions chosen by cross-validation, then those of all images that are not tested.

Layer, weighting of layers, receptive field and penalty are those that predict left-out folds of training and
validation images best, voxel by voxel, in closed form (:func:`factortopy.fitting.leave_folds_out`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.baselines.features import Features, Field
from factortopy.baselines.methods import MEAN
from factortopy.fitting import PENALTIES, Spectrum, centre, decompose, decompose_kernel, dual_weights, leave_folds_out
from factortopy.progress import progress_bar

BAND_WEIGHTS = 20
"""Weightings of the layers that banded ridge tries."""
SMALLEST_WEIGHT = 1e-6
VOXELS = 2_048
"""Voxels computed at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """What a linear baseline predicts and what it chose by cross-validation.

    Attributes:
        predictions: of the responses to the test images.
        chosen: candidate (layer, weighting, receptive field) of each voxel.
        score: R^2 of left-out images of it.
        penalty: index of its penalty in ``PENALTIES``; -1 where none was chosen.
    """

    predictions: Float[np.ndarray, "image voxel"]
    chosen: Int[np.ndarray, "voxel"]
    score: Float[np.ndarray, "voxel"]
    penalty: Int[np.ndarray, "voxel"]

    def at_edge(self) -> str | None:
        """How many voxels chose the first or the last of the penalties, in words; None if none did."""
        ends = {
            "smallest": (0, "a smaller one may predict better"),
            "largest": (len(PENALTIES) - 1, "next to the mean"),
        }
        counts = {end: int((self.penalty == number).sum()) for end, (number, _) in ends.items()}
        told = [
            f"{count:,} of {len(self.penalty):,} voxels take the {end} penalty tried ({ends[end][1]})"
            for end, count in counts.items()
            if count
        ]
        return "; ".join(told) or None


class Regression(NamedTuple):
    """A ridge ready for any responses: its spectrum, and predictions of the test rows from dual weights."""

    spectrum: Spectrum
    predict: Callable[[Float[Tensor, "n M"]], Float[Tensor, "test M"]]


def fit_linear(
    name: str, features: Features, *, seed: int = 0, progress: bool = True, description: str = "Ridge"
) -> LinearFit:
    """Fit a linear baseline of ``METHODS``; the seed is of the weightings that banded ridge tries."""
    if name == MEAN:
        return _mean(features)
    layers = features.layers
    weightings = {
        "ridge-best-layer": np.eye(layers),
        "ridge-all-layers": np.full((1, layers), 1 / layers),
        "banded-ridge": band_weightings(layers, seed),
    }
    candidates: list[Callable[[], Regression]] = (
        [partial(_by_features, features, field) for field in features.fields()]
        if name == "fwrf"
        else [partial(_by_kernel, features, row) for row in weightings[name]]
    )
    with progress_bar(description, len(candidates), show=progress) as advance:
        return fit_candidates(candidates, features, advance)


def fit_candidates(
    candidates: Sequence[Callable[[], Regression]], features: Features, advance: Callable[[], None] = lambda: None
) -> LinearFit:
    """The regression that is best for each voxel; ``advance`` is called once a candidate."""
    y, mean = centre(features.responses, features.repeats)
    score = torch.full_like(mean, -torch.inf)
    chosen, penalties = (torch.zeros_like(mean, dtype=torch.long) for _ in range(2))
    predictions = mean.repeat(len(features.tokens) - len(y), 1)
    for number, candidate in enumerate(candidates):
        regression = candidate()
        for some in torch.arange(len(mean), device=y.device).split(VOXELS):
            best, penalty = leave_folds_out(regression.spectrum, y[:, some], features.folds).max(dim=0)
            better = best > score[some]
            voxels, penalty = some[better], penalty[better]
            score[voxels], chosen[voxels], penalties[voxels] = best[better], number, penalty
            weights = torch.zeros(len(PENALTIES), len(voxels)).to(y).scatter_(0, penalty[None], 1.0)
            predictions[:, voxels] = mean[voxels] + regression.predict(
                dual_weights(regression.spectrum, y[:, voxels], weights)
            )
        advance()
    return LinearFit(*(part.cpu().numpy() for part in (predictions, chosen, score, penalties)))


def band_weightings(bands: int, seed: int) -> Float[np.ndarray, "weighting band"]:
    """Weightings of bands to try: equal ones, then random ones, sparse (0.1) and even (1) by turns."""
    random = np.random.default_rng(seed)
    drawn = [random.dirichlet(np.full(bands, (0.1, 1.0)[number % 2])) for number in range(BAND_WEIGHTS - 1)]
    weightings = np.maximum(np.stack([np.full(bands, 1 / bands), *drawn]), SMALLEST_WEIGHT)
    return np.asarray(weightings / weightings.sum(axis=1, keepdims=True))


def _by_kernel(features: Features, weights: Float[np.ndarray, "layer"]) -> Regression:
    kernel, root, count = features.kernel(weights.tolist()), features.repeats.sqrt(), len(features.repeats)
    spectrum = decompose_kernel(root[:, None] * kernel[:count] * root, features.repeats)
    return Regression(spectrum, lambda dual: kernel[count:] @ (root[:, None] * dual))


def _by_features(features: Features, field: Field) -> Regression:
    rows, root, count = features.of_field(field), features.repeats.sqrt(), len(features.repeats)
    fitted = root[:, None] * rows[:count]
    return Regression(decompose(fitted, features.repeats), lambda dual: rows[count:] @ (fitted.T @ dual))


def _mean(features: Features) -> LinearFit:
    mean = centre(features.responses, features.repeats)[1].cpu().numpy()
    rows = len(features.tokens) - len(features.responses)
    none = np.zeros(len(mean), int)
    return LinearFit(np.tile(mean, (rows, 1)), none, np.zeros(len(mean), np.float32), none - 1)
