"""Brain score: how much of each voxel's held-out variance is predicted."""

import numpy as np
from jaxtyping import Float

from factortopy.errors import ShapeError


def r_squared(
    responses: Float[np.ndarray, "image voxel"], predictions: Float[np.ndarray, "image voxel"]
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
    _check(responses, predictions)
    residual = np.square(responses - predictions).sum(axis=0)
    total = np.square(responses - responses.mean(axis=0)).sum(axis=0)
    return 1 - np.divide(residual, total, out=np.full_like(total, np.nan), where=total > 0)


def correlation(
    responses: Float[np.ndarray, "image voxel"], predictions: Float[np.ndarray, "image voxel"]
) -> Float[np.ndarray, "voxel"]:
    """Pearson correlation over images, voxel by voxel; NaN where either side is constant.

    Raises:
        ShapeError: if the shapes differ.
    """
    _check(responses, predictions)
    left, right = responses - responses.mean(axis=0), predictions - predictions.mean(axis=0)
    norm = np.sqrt(np.square(left).sum(axis=0) * np.square(right).sum(axis=0))
    return np.divide((left * right).sum(axis=0), norm, out=np.full_like(norm, np.nan), where=norm > 0)


def _check(responses: np.ndarray, predictions: np.ndarray) -> None:
    if responses.shape != predictions.shape or responses.ndim != 2:
        raise ShapeError(
            f"responses {responses.shape} and predictions {predictions.shape} must both be (image, voxel)"
        )
