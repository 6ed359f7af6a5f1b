"""Brain score: how much of each voxel's held-out variance is predicted; raw, against its noise ceiling, by ROI."""

from dataclasses import dataclass

import numpy as np
import pandas
from jaxtyping import Float, Real

from factortopy.analysis.estimates._of_mapping import drawn
from factortopy.analysis.estimates.estimate_tables import Estimate, table_of
from factortopy.analysis.quantities import deviations, finite_mean
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping
from factortopy.storage import as_array


def r_squared(
    responses: Real[np.ndarray, "image voxel"], predictions: Real[np.ndarray, "image voxel"]
) -> Float[np.ndarray, "voxel"]:
    """Brain score, ``R^2 = 1 - sum (y - yhat)^2 / sum (y - ybar)^2``, raw: no ceiling, nothing clipped.

    A voxel whose responses are constant has no R^2: NaN.

    Args:
        responses: measured responses to held-out images.
        predictions: predicted responses, of the same shape.

    Returns:
        Values up to 1; negative where the prediction is worse than the mean.

    Raises:
        ShapeError: if the shapes differ.
    """
    responses, predictions = _checked(responses, predictions)
    residual = np.square(responses - predictions).sum(axis=0)
    total = np.square(deviations(responses)).sum(axis=0)
    return 1 - np.divide(residual, total, out=np.full_like(total, np.nan), where=total > 0)


def correlation(
    responses: Real[np.ndarray, "image voxel"], predictions: Real[np.ndarray, "image voxel"]
) -> Float[np.ndarray, "voxel"]:
    """Pearson correlation over images, voxel by voxel; NaN where either side is constant.

    Raises:
        ShapeError: if the shapes differ.
    """
    left, right = (deviations(values) for values in _checked(responses, predictions))
    norm = np.sqrt(np.square(left).sum(axis=0) * np.square(right).sum(axis=0))
    return np.divide((left * right).sum(axis=0), norm, out=np.full_like(norm, np.nan), where=norm > 0)


@dataclass(frozen=True, eq=False)
class NormalisedScore:
    """R^2 as a fraction of the R^2 that noise leaves possible.

    Attributes:
        values: ``R^2 / ceiling``; NaN where the ceiling is below the threshold or either is NaN.
        masked: number of voxels that are NaN for that.
        threshold: the smallest ceiling that was divided by.
    """

    values: Float[np.ndarray, "voxel"]
    masked: int
    threshold: float


def normalised(
    r2: Float[np.ndarray, "voxel"], ceiling: Float[np.ndarray, "voxel"], threshold: float = 0.05
) -> NormalisedScore:
    """Score against its noise ceiling, ``R^2 / ceiling``, voxel by voxel; nothing is clipped.

    Below the threshold the ceiling is mostly the error of its own estimate, so those voxels are masked.

    Args:
        r2: raw brain scores on responses that average the trials that the ceiling is for.
        ceiling: R^2 in 0..1 of a perfect model.
        threshold: smallest ceiling to divide by, above 0 and at most 1.

    Raises:
        ShapeError: if the shapes differ.
        DataError: if the threshold or a ceiling is out of range.

    Example:
        >>> float(ft.normalised(np.array([0.1]), np.array([0.2])).values[0])
        0.5
    """
    r2, ceiling = as_array(r2, "scores"), as_array(ceiling, "ceilings")
    if r2.shape != ceiling.shape:
        raise ShapeError(f"scores {r2.shape} and ceilings {ceiling.shape} must be of the same voxels")
    if not 0 < threshold <= 1:
        raise DataError(f"the threshold of the noise ceiling must be above 0 and at most 1, got {threshold}")
    if ((ceiling < 0) | (ceiling > 1)).any():
        raise DataError("noise ceilings must lie in 0..1; divide percentages by 100")
    values = np.full(r2.shape, np.nan)
    np.divide(r2, ceiling, out=values, where=ceiling >= threshold)
    return NormalisedScore(values, int(np.isnan(values).sum()), threshold)


SMALLEST_CEILING = 1e-14


def algonauts_score(r: Float[np.ndarray, "voxel"], noise_ceiling: Float[np.ndarray, "voxel"]) -> float:
    """Score of the Algonauts 2023 challenge, per cent: ``100 median_voxels min(1, max(r, 0)^2 / ceiling)``.

    It differs from ``r_squared`` in four ways: responses are averages over repeats, the squared correlation
    forgives a wrong scale and mean, it is divided by the ceiling, and it is clipped to 0..100. So it is
    higher, and not to be compared with the paper's raw R^2. The challenge's own score is the mean over its
    eight subjects. As in the organisers' code, a ceiling of 0 counts as 1e-14.

    Args:
        r: correlations with averaged responses to held-out images; NaN (a constant prediction) counts as 0.
        noise_ceiling: R^2 of a perfect model of these averaged responses, 0..1.

    Raises:
        ShapeError: if there is not one ceiling a voxel.
        DataError: if a ceiling lies outside 0..1.

    Example:
        >>> ft.algonauts_score(r=np.array([0.3, 0.6]), noise_ceiling=np.array([0.36, 0.72]))
        37.5
    """
    if r.shape != noise_ceiling.shape or r.ndim != 1 or not r.size:
        raise ShapeError(f"r {r.shape} and noise_ceiling {noise_ceiling.shape} must both be (voxel,)")
    if not ((noise_ceiling >= 0) & (noise_ceiling <= 1)).all():
        raise DataError("noise_ceiling must lie in 0..1; divide percentages by 100")
    explained = np.square(np.maximum(np.nan_to_num(r.astype(np.float64)), 0))
    return float(100 * np.median(np.minimum(explained / np.maximum(noise_ceiling, SMALLEST_CEILING), 1)))


def _checked(responses: np.ndarray, predictions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as floating-point numbers: differences of unsigned ones would wrap."""
    if responses.shape != predictions.shape or responses.ndim != 2:
        raise ShapeError(f"responses {responses.shape} and predictions {predictions.shape} must both be (image, voxel)")
    dtype = np.result_type(responses, predictions, np.float32)
    return responses.astype(dtype, copy=False), predictions.astype(dtype, copy=False)


NORMALISED_FORMULA = "R^2 / ceiling of each voxel, then the mean; not clipped, so it may be negative or above 1"
GIVEN = "as the subject gave it"


def roi_scores(mapping: Mapping, threshold: float = 0.05) -> pandas.DataFrame:
    """Scores of each ROI in the mapping's order, then of all voxels.

    Args:
        mapping: what is scored.
        threshold: smallest ceiling of voxels that are normalised, above 0.

    Returns:
        Columns ``roi``, ``voxels``; ``r2`` (mean raw R^2, voxels with constant responses left out) with ``r2_low``
        and ``r2_high`` over test images; ``ceiling`` (mean noise ceiling of the same voxels); ``normalised`` (mean of
        R^2 over ceiling where the ceiling is not below the threshold); ``masked``, voxels left out of that. NaN what is
        not known.

    Raises:
        DataError: if the threshold is not above 0 and at most 1.

    Example:
        >>> list(ft.roi_scores(mapping)["roi"])[-1]
        'all voxels'
    """
    r2 = mapping.dataset["r2"].values
    ceiling = mapping.found("ceiling") if "ceiling" in mapping.dataset else np.full_like(r2, np.nan)
    against = normalised(r2, ceiling, threshold).values
    regions = {**mapping.rois, ALL_VOXELS: np.ones(len(r2), dtype=bool)}
    return table_of(
        {
            "roi": name,
            "voxels": int(inside.sum()),
            "r2": Estimate.of_draws(finite_mean(r2[inside]), drawn(mapping, "r2", name)),
            "ceiling": finite_mean(ceiling[inside]),
            "normalised": finite_mean(against[inside]),
            "masked": int(np.isnan(against[inside]).sum()),
        }
        for name, inside in regions.items()
    )


def ceiling_facts(mapping: Mapping) -> tuple[str, dict[int, int]]:
    """How the noise ceiling was had, and how many test responses average how many trials.

    Args:
        mapping: what is scored.

    Returns:
        The formula as the subject's reader stated it; and the number of test responses by number of trials,
        empty where it is not known.
    """
    formula = mapping.provenance.get("subject", {}).get("noise_ceiling", GIVEN)
    counts = mapping.dataset.attrs.get("repeats_test", [])
    repeats = {trials: int(images) for trials, images in enumerate(counts, start=1) if images}
    return str(formula), repeats
