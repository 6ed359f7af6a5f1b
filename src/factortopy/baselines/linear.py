"""The linear baselines: himalaya chooses on the validation images, scikit-learn fits the training images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from factortopy.baselines import receptive_fields
from factortopy.baselines.features import PENALTIES, Features, LinearFit, Sides
from factortopy.errors import import_extra
from factortopy.progress import progress_bar

BAND_WEIGHTS = 20
"""Weightings of the layers that banded ridge tries."""
SMALLEST_WEIGHT = 1e-6
VOXELS, PENALTIES_AT_ONCE = 2_048, 4
"""Voxels and penalties computed at a time, which bounds the memory."""

Bands = Callable[[], Sequence[Sides]]
"""Makes the feature spaces of one candidate."""


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
    """Fit a linear baseline of ``METHODS``; the seed is of the weightings that banded ridge tries.

    Raises:
        MissingExtraError: if himalaya is not installed and the name is not ``"fwrf"``.
    """
    if name == "fwrf":
        rounds = -(-responses["train"].shape[1] // receptive_fields.VOXELS)
        with progress_bar(description, (1 + rounds) * len(features.fields()), show=progress) as advance:
            return receptive_fields.fit_fields(features, responses, device=device, advance=advance)
    layers = range(features.layers)

    def one(layer: int) -> list[Sides]:
        return [features.of_layer(layer, features.count)]

    def by_layer() -> list[Sides]:
        return [features.of_layer(layer, max(1, features.count // len(layers))) for layer in layers]

    def together() -> list[Sides]:
        bands = by_layer()
        return [{side: np.concatenate([band[side] for band in bands], axis=1) for side in bands[0]}]

    candidates: dict[str, list[Bands]] = {
        "ridge-best-layer": [partial(one, layer) for layer in layers],
        "ridge-all-layers": [together],
        "banded-ridge": [by_layer],
    }
    weightings = band_weightings(len(layers), seed) if name == "banded-ridge" else None
    with progress_bar(description, 2 * len(candidates[name]), show=progress) as advance:
        return fit_candidates(candidates[name], responses, weightings, device=device, advance=advance)


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
    Validation images are not trained on, as for FactorTopy. Each row of the weightings sums to 1; only equal
    weights are tried if None. ``advance`` is called twice a candidate.
    """
    tried = []
    for candidate in candidates:
        tried.append(choose(candidate(), responses, weightings, device))
        advance()
    scores, penalties, weights = (np.stack(part) for part in zip(*tried, strict=True))
    chosen = scores.argmax(axis=0)
    predictions = np.empty((len(responses["test"]), len(chosen)), np.float32)
    for number, candidate in enumerate(candidates):
        here = np.flatnonzero(chosen == number)
        if len(here):
            training = responses["train"][:, here]
            predictions[:, here] = _predict(candidate(), training, penalties[number, here], weights[number, here])
        advance()
    return LinearFit(predictions, chosen, scores.max(axis=0))


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
    with _backend(device) as backend:
        array = backend.asarray
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
        ratios = np.exp(backend.to_numpy(deltas))
        return backend.to_numpy(scores).max(axis=0), 1 / ratios.sum(axis=0), (ratios / ratios.sum(axis=0)).T


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
        training, test = (
            np.concatenate([root * band[side] for root, band in zip(np.sqrt(row), bands, strict=True)], axis=1)
            for side in ("train", "test")
        )
        ridge = Ridge(alpha=penalty[here], solver="svd").fit(training, responses[:, here])
        predictions[:, here] = ridge.predict(test).reshape(len(test), -1)
    return predictions


@contextmanager
def _backend(device: torch.device | None) -> Iterator[Any]:
    """himalaya's functions on a device, and its own setting left as it was."""
    from himalaya.backend import get_backend, set_backend

    before = get_backend()
    try:
        yield set_backend("torch_cuda" if device is not None and device.type == "cuda" else "numpy")
    finally:
        set_backend(before)
