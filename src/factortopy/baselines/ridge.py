"""Ridge regression: himalaya chooses on the validation images, scikit-learn fits the training images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from factortopy.baselines.features import Sides
from factortopy.errors import import_extra

PENALTIES = np.logspace(0, 6, 13, dtype=np.float32)
"""Ridge penalties tried, for features of mean variance 1."""
BAND_WEIGHTS = 20
"""Weightings of the layers that banded ridge tries."""
SMALLEST_WEIGHT = 1e-6
VOXELS, PENALTIES_AT_ONCE = 2_048, 4
"""Voxels and penalties computed at a time, which bounds the memory."""

Bands = Callable[[], Sequence[Sides]]
"""Makes the feature spaces of one candidate."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """What a linear baseline predicts and what it chose on the validation images.

    Attributes:
        predictions: of the responses to the test images.
        chosen: candidate (layer, receptive field) that predicted each voxel's validation responses best.
        score: negative mean squared error there, as himalaya gives it.
    """

    predictions: Float[np.ndarray, "image voxel"]
    chosen: Int[np.ndarray, "voxel"]
    score: Float[np.ndarray, "voxel"]


def fit_candidates(
    candidates: Sequence[Bands],
    responses: Sides,
    weightings: Float[np.ndarray, "weighting band"] | None = None,
    *,
    device: torch.device | None = None,
    advance: Callable[[], None] = lambda: None,
) -> LinearFit:
    """Banded ridge on the candidate that is best for each voxel; plain ridge where there is one band.

    Minimises ``|y - sum_b sqrt(g_b) X_b w_b|^2 + penalty |w|^2`` over the training images; candidate,
    weighting g and penalty are those of the least squared error on the validation images, voxel by voxel.
    Validation images are not trained on, as for FactorTopy.

    Args:
        candidates: feature spaces to choose from.
        responses: to the images of every side.
        weightings: weights of the bands that are tried, each row summing to 1; only equal ones if None.
        device: where to choose; the CPU if None.
        advance: called twice a candidate.
    """
    voxels = responses["train"].shape[1]
    best = np.full(voxels, -np.inf, np.float32)
    chosen, penalty = np.zeros(voxels, int), np.ones(voxels, np.float32)
    weights: np.ndarray | None = None
    for number, candidate in enumerate(candidates):
        score, tried_penalty, tried_weights = choose(candidate(), responses, weightings, device)
        better = score > best
        best[better], chosen[better], penalty[better] = score[better], number, tried_penalty[better]
        weights = tried_weights if weights is None else np.where(better[:, None], tried_weights, weights)
        advance()
    predictions = np.empty((len(responses["test"]), voxels), np.float32)
    for number, candidate in enumerate(candidates):
        here = np.flatnonzero(chosen == number)
        if len(here) and weights is not None:
            training = responses["train"][:, here]
            predictions[:, here] = _predict(candidate(), training, penalty[here], weights[here])
        advance()
    return LinearFit(predictions, chosen, best)


def choose(
    bands: Sequence[Sides],
    responses: Sides,
    weightings: Float[np.ndarray, "weighting band"] | None,
    device: torch.device | None,
) -> tuple[Float[np.ndarray, "voxel"], Float[np.ndarray, "voxel"], Float[np.ndarray, "voxel band"]]:
    """Score, penalty and band weights that predict the validation images best, voxel by voxel.

    Raises:
        MissingExtraError: if himalaya is not installed.
    """
    from sklearn.model_selection import PredefinedSplit

    search = himalaya_search()
    tried = np.full((1, len(bands)), 1 / len(bands)) if weightings is None else weightings
    training, validation = len(responses["train"]), len(responses["validation"])
    fold = PredefinedSplit(np.r_[np.full(training, -1), np.zeros(validation, int)])
    both = np.concatenate([responses["train"], responses["validation"]])
    with _backend(device) as array:
        deltas, _, scores, _ = search(
            [array(np.concatenate([band["train"], band["validation"]])) for band in bands],
            array(both),
            n_iter=array(tried.astype(np.float32)),
            alphas=array(PENALTIES),
            fit_intercept=True,
            cv=fold,
            n_targets_batch=VOXELS,
            n_alphas_batch=PENALTIES_AT_ONCE,
            progress_bar=False,
            warn=False,
        )
    # himalaya gives log(weight / penalty), and the weights sum to 1.
    ratios = np.exp(_numpy(deltas))
    return _numpy(scores).max(axis=0), 1 / ratios.sum(axis=0), (ratios / ratios.sum(axis=0)).T


def band_weightings(bands: int, seed: int) -> Float[np.ndarray, "weighting band"]:
    """Weightings of bands to try: equal ones, then random ones, sparse (0.1) and even (1) by turns."""
    random = np.random.default_rng(seed)
    drawn = [random.dirichlet(np.full(bands, (0.1, 1.0)[number % 2])) for number in range(BAND_WEIGHTS - 1)]
    weightings = np.maximum(np.stack([np.full(bands, 1 / bands), *drawn]), SMALLEST_WEIGHT)
    return np.asarray(weightings / weightings.sum(axis=1, keepdims=True))


def himalaya_search() -> Callable[..., Any]:
    """himalaya's search over penalties and band weights.

    Raises:
        MissingExtraError: if himalaya is not installed.
    """
    need = "the linear baselines need himalaya"
    library = import_extra("himalaya.ridge", "baselines", need, "name other methods")
    return partial(library.solve_group_ridge_random_search, return_weights=False)


def _predict(
    bands: Sequence[Sides],
    responses: Float[np.ndarray, "image voxel"],
    penalty: Float[np.ndarray, "voxel"],
    weights: Float[np.ndarray, "voxel band"],
) -> Float[np.ndarray, "test voxel"]:
    """Predictions of the test images from ridge regression on the training images."""
    from sklearn.linear_model import Ridge

    predictions = np.empty((len(bands[0]["test"]), responses.shape[1]), np.float32)
    distinct, which = np.unique(weights.round(5), axis=0, return_inverse=True)
    for number, row in enumerate(distinct):
        here = np.flatnonzero(which.ravel() == number)
        scaled = [np.sqrt(weight) for weight in row]
        training, test = (
            np.concatenate([root * band[side] for root, band in zip(scaled, bands, strict=True)], axis=1)
            for side in ("train", "test")
        )
        ridge = Ridge(alpha=penalty[here], solver="svd").fit(training, responses[:, here])
        predictions[:, here] = ridge.predict(test).reshape(len(test), -1)
    return predictions


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, torch.Tensor) else values)


@contextmanager
def _backend(device: torch.device | None) -> Iterator[Callable[[np.ndarray], Any]]:
    """himalaya on a device, and its own setting left as it was; gives what turns arrays into its own."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend()
    backend = set_backend("torch_cuda" if device is not None and device.type == "cuda" else "numpy")
    try:
        yield backend.asarray
    finally:
        set_backend(before)
