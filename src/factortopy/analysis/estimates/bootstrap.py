"""Bootstrap over test images: how far scores, depth, scale and slope depend on which images were shown.

Voxels are not independent, images are (nearly), so images are drawn, with replacement and the same ones for
all voxels. A statistic of a draw needs only sums over images weighted by how often each was drawn::

    sums = draws (resample x image) @ values (image x voxel)

so 1,000 draws are a few matrix products. Intervals are percentiles of the draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.hierarchy.slope import PAPER_LEVELS
from factortopy.errors import DataError, ShapeError

CHUNK = 1_024
"""Voxels at a time: some ten arrays of 1,000 draws x 1,024 voxels, 4 MB each."""


def draw_images(
    images: Sequence[str] | int, resamples: int = 1_000, seed: int = 0
) -> Float[np.ndarray, "resample row"]:
    """How often each row was drawn; rows of one image (single trials) are drawn together.

    A draw of one image alone has no variance and is drawn again.

    Args:
        images: the image of every row, or the number of rows when each is another image.
        resamples: number of draws.
        seed: the same seed and images give the same draws, so that networks are compared on the same ones.

    Raises:
        DataError: if there are fewer than two images.
    """
    names = np.arange(images) if isinstance(images, int) else np.asarray(images)
    # Images count in the order of their rows.
    _, first, image = np.unique(names, return_index=True, return_inverse=True)
    rank = first.argsort().argsort()
    count = len(first)
    if count < 2:
        raise DataError(f"a bootstrap needs two test images or more, got {count}")
    rng, even = np.random.default_rng(seed), np.full(count, 1 / count)
    drawn = rng.multinomial(count, even, size=resamples)
    while (alone := (drawn == count).any(axis=1)).any():
        drawn[alone] = rng.multinomial(count, even, size=alone.sum())
    return drawn[:, rank[image]].astype(np.float32)


def draw_r2(
    responses: Float[np.ndarray, "image voxel"],
    predictions: Float[np.ndarray, "image voxel"],
    draws: Float[np.ndarray, "resample image"],
) -> Float[np.ndarray, "resample voxel"]:
    """R^2 of every draw and voxel, ``1 - sum w (y - yhat)^2 / sum w (y - ybar)^2``.

    ybar stays the mean over all test images. With the mean of the drawn ones every R^2 would lie lower by
    ``(1 - R^2) / images``, on top of the same bias of R^2 itself: of 72 images, limits of an R^2 of 0 would
    then lie below 0 in 22 % of cases instead of 2.5 %.

    Args:
        responses: measured responses to test images.
        predictions: predicted responses.
        draws: how often each image was drawn, w.

    Returns:
        NaN for voxels whose responses are constant.

    Raises:
        ShapeError: if the shapes do not fit together.
    """
    if responses.shape != predictions.shape or len(responses) != draws.shape[1]:
        raise ShapeError(
            f"responses {responses.shape}, predictions {predictions.shape} and draws of {draws.shape[1]} "
            "images must be of the same images and voxels"
        )
    # In float32 a constant voxel's deviations from its mean need not be exactly 0.
    varied = np.ptp(responses, axis=0) > 0
    centred = np.where(varied, responses - responses.mean(axis=0), 0).astype(np.float32)
    residual = draws @ np.square((responses - predictions).astype(np.float32))
    return 1 - _divide(residual, draws @ np.square(centred))


def draw_roi_r2(
    responses: Float[np.ndarray, "row voxel"],
    predictions: Float[np.ndarray, "row voxel"],
    images: Sequence[str],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    resamples: int = 1_000,
) -> Float[np.ndarray, "resample roi"]:
    """Mean R^2 over the voxels of each ROI in every draw of test images.

    The draws depend on nothing but the images: those of two methods or networks are pairs.

    Args:
        responses: measured responses to test images.
        predictions: predicted responses.
        images: the image of every row.
        rois: membership of ROIs by name.
        resamples: number of draws.

    Raises:
        DataError: if there are fewer than two images.
        ShapeError: if the shapes do not fit together.
    """
    draws = draw_images(images, resamples)
    means = RegionMeans(list(rois.values()), resamples)
    for some in chunks(responses.shape[1]):
        means.add(some, draw_r2(responses[:, some], predictions[:, some], draws))
    return means.values()


class RegionMeans:
    """Means over the voxels of regions in every draw, voxels some at a time; those that are NaN left out."""

    def __init__(self, regions: Sequence[Bool[np.ndarray, "voxel"]], resamples: int) -> None:
        self._inside = np.stack([np.asarray(inside, dtype=np.float32) for inside in regions], axis=1)
        self._total, self._count = np.zeros((2, resamples, len(regions)))

    def add(self, some: slice, drawn: Float[np.ndarray, "resample some"]) -> None:
        """Take in the draws of some of the voxels."""
        self._total += np.nan_to_num(drawn) @ self._inside[some]
        self._count += np.isfinite(drawn).astype(np.float32) @ self._inside[some]

    def values(self) -> Float[np.ndarray, "resample region"]:
        """Mean of every draw and region; NaN where no voxel has a value."""
        return _divide(self._total, self._count)


def draw_share(
    part: Float[np.ndarray, "image voxel"],
    predictions: Float[np.ndarray, "image voxel"],
    draws: Float[np.ndarray, "resample image"],
) -> Float[np.ndarray, "resample voxel"]:
    """Share of a part in the variance of predictions, ``cov(part, yhat) / var(yhat)``, in every draw.

    With the part of the global tokens it is the scale share; with ``sum_l (l - 1) / (L - 1) p_l`` it is the
    depth, the mean layer position by layer share.
    """
    part = (part - part.mean(axis=0)).astype(np.float32)
    whole = (predictions - predictions.mean(axis=0)).astype(np.float32)
    return _divide(_squares(draws, part, whole), _squares(draws, whole, whole))


@dataclass(frozen=True, eq=False)
class SlopeWeights:
    """The hierarchy line as sums over voxels: least squares is linear in depth.

    Attributes:
        slope: weight of each voxel's depth in the slope; 0 outside the ROIs.
        b0: weight in the depth at level 0.
    """

    slope: Float[np.ndarray, "voxel"]
    b0: Float[np.ndarray, "voxel"]

    @classmethod
    def of(
        cls,
        rois: Mapping[str, Bool[np.ndarray, "voxel"]],
        known: Bool[np.ndarray, "voxel"],
        levels: Mapping[str, float] = PAPER_LEVELS,
    ) -> "SlopeWeights | None":
        """Weights for the ROIs of some levels, as in :func:`fit_slope`; None where they allow no line.

        Args:
            rois: membership of ROIs by name.
            known: voxels that have a depth.
            levels: ideal depth in 0..1 of the ROIs to use.
        """
        if not set(levels) <= set(rois):
            return None
        held = [np.flatnonzero(np.asarray(rois[name], dtype=bool) & known) for name in levels]
        x = np.repeat(list(levels.values()), [len(voxels) for voxels in held])
        if len(np.unique(x)) < 2:
            return None
        inverse = np.linalg.pinv(np.stack([x, np.ones_like(x)], axis=1))
        weights = np.zeros((2, len(known)))
        # A voxel that lies in two of the ROIs counts twice, as in the fit.
        for row, values in zip(weights, inverse, strict=True):
            np.add.at(row, np.concatenate(held), values)
        return cls(*weights)


def chunks(voxels: int) -> Iterator[slice]:
    """All voxels, some at a time."""
    return (slice(start, start + CHUNK) for start in range(0, voxels, CHUNK))


def _squares(draws: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Sum of products about the means of the draw."""
    count = draws.sum(axis=1, keepdims=True)
    first = draws @ left
    second = first if left is right else draws @ right
    return np.asarray(draws @ (left * right) - first * second / count)


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
