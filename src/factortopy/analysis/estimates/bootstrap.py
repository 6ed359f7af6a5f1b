"""Bootstrap over test images: how far scores, depth, scale and slope depend on which images were shown.

Voxels are not independent, images are (nearly), so images are drawn, with replacement and the same ones for
all voxels. A statistic of a draw needs only sums over images weighted by how often each was drawn::

    sums = draws (resample x image) @ values (image x voxel)

so 1,000 draws are a few matrix products. Intervals are percentiles of the draws.

Draws of ROI means and of the hierarchy line are kept with the mapping: two networks that were scored on the
same test images have the same draws, so their difference has an interval without their predictions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
import torch
from jaxtyping import Bool, Float

from factortopy.analysis.estimates.estimate_tables import CONFIDENCE, percentiles
from factortopy.analysis.quantities import deviations
from factortopy.analysis.slope import PAPER_LEVELS
from factortopy.errors import ShapeError
from factortopy.images import FEWEST_TEST_IMAGES
from factortopy.machine import in_threads

CHUNK = 1_024
"""Voxels at a time: some ten arrays of 1,000 draws x 1,024 voxels, 4 MB each."""
CPU = torch.device("cpu")
DRAWN = {"r2": "r2", "depth": "depth", "scale_share": "scale"}
"""Variables of one number a voxel, and how their means over ROIs are called."""


@dataclass(frozen=True, eq=False)
class PredictedParts:
    """Responses and predictions of test images, the predictions' parts of which draws are made, and ROIs.

    Attributes:
        depth: parts of the predictions weighted by layer position.
        global_: parts of the predictions from the global tokens.
        images: the image of every row.
    """

    responses: Float[np.ndarray, "image voxel"]
    predictions: Float[np.ndarray, "image voxel"]
    depth: Float[np.ndarray, "image voxel"]
    global_: Float[np.ndarray, "image voxel"]
    images: Sequence[str]
    rois: Mapping[str, Bool[np.ndarray, "voxel"]] = field(default_factory=dict)


def uncertainty(measured: PredictedParts, resamples: int = 1_000) -> dict[str, np.ndarray]:
    """Bootstrap over test images of scores, depth, scale share and hierarchy line.

    Returns:
        Variables of a mapping by name: ``r2_low``, ``r2_high``, ``depth_low``, ``depth_high``, ``scale_share_low``,
        ``scale_share_high`` (voxel); ``drawn_r2``, ``drawn_depth`` and ``drawn_scale`` (draw, region), means
        of R^2, depth and scale share over ROIs and over all voxels; and, where the ROIs allow a line,
        ``drawn_slope``, ``drawn_b0`` and ``drawn_b1`` (draw).
    """
    draws = draw_images(measured.images, resamples)
    regions = [*measured.rois.values(), np.ones(measured.responses.shape[1], dtype=bool)]
    limits: dict[str, list[np.ndarray]] = {name: [] for name in DRAWN}
    means = {name: RegionMeans(regions, resamples) for name in DRAWN}
    # Responses that are the same to all images, or missed by predictions, say nothing of what a voxel reads.
    varied = np.ptp(measured.responses, axis=0) > 0
    told = varied & (np.ptp(measured.predictions, axis=0) > 0)
    once = np.ones((1, len(measured.responses)), np.float32)
    above = np.nan_to_num(draw_r2(measured.responses, measured.predictions, once)[0]) > 0

    def scores(some: slice) -> tuple[np.ndarray, np.ndarray]:
        r2 = draw_r2(measured.responses[:, some], measured.predictions[:, some], draws)
        r2[:, ~varied[some]] = np.nan
        return r2, percentiles(r2)

    parts = list(chunks(measured.responses.shape[1]))
    for some, (r2, ends) in zip(parts, in_threads(scores, parts, CPU), strict=True):
        limits["r2"].append(ends)
        means["r2"].add(some, r2)
    # Where nothing was found the line has draws all the same: that it is none is said elsewhere.
    if percentiles(means["r2"].values()[:, -1])[0] > 0:
        told &= above
    weights = line_weights(measured.rois, told)
    line = np.zeros((resamples, 2))

    def part_shares(some: slice) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        own = {"depth": measured.depth[:, some], "scale_share": measured.global_[:, some]}
        drawn = draw_shares(list(own.values()), measured.predictions[:, some], draws)
        for values in drawn:
            values[:, ~told[some]] = np.nan
        return {name: (values, percentiles(values)) for name, values in zip(own, drawn, strict=True)}

    for some, found in zip(parts, in_threads(part_shares, parts, CPU), strict=True):
        for name, (values, ends) in found.items():
            limits[name].append(ends)
            means[name].add(some, values)
        if weights is not None:
            line += np.nan_to_num(found["depth"][0]) @ weights[some]
    variables: dict[str, np.ndarray] = {}
    for name, ends_of_parts in limits.items():
        low, high = np.concatenate(ends_of_parts, axis=1).astype(np.float32)
        variables |= {f"{name}_low": low, f"{name}_high": high}
        variables[f"drawn_{DRAWN[name]}"] = means[name].values()
    if weights is not None:
        slope, b0 = line.T
        lines = {"slope": slope, "b0": b0, "b1": b0 + slope}
        variables |= {f"drawn_{name}": values for name, values in lines.items()}
    return variables


def line_weights(
    rois: Mapping[str, Bool[np.ndarray, "voxel"]], measured: Bool[np.ndarray, "voxel"]
) -> Float[np.ndarray, "voxel 2"] | None:
    """Weights of voxels' depth in slope and b0 of the hierarchy line: least squares is linear in depth.

    They are 0 for voxels outside the ROIs or without a depth; None where the ROIs allow no line.
    """
    if not set(PAPER_LEVELS) <= set(rois):
        return None
    voxels = [np.flatnonzero(np.asarray(rois[name], dtype=bool) & measured) for name in PAPER_LEVELS]
    x = np.repeat(list(PAPER_LEVELS.values()), [len(own) for own in voxels])
    if len(np.unique(x)) < 2:
        return None
    weights = np.zeros((len(measured), 2))
    # A voxel that lies in two of the ROIs counts twice, as in the fit.
    np.add.at(weights, np.concatenate(voxels), np.linalg.pinv(np.stack([x, np.ones_like(x)], axis=1)).T)
    return weights


def error_limits(
    values: Float[np.ndarray, "*shape"], error: Float[np.ndarray, "*shape"]
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Limits from standard errors, ``value -+ z error``, z the normal distribution's."""
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return values - reach, values + reach


def has_limits(images: Sequence[str]) -> bool:
    """Whether the images of these rows are enough for limits."""
    return len(set(images)) >= FEWEST_TEST_IMAGES


def draw_images(images: Sequence[str] | int, resamples: int = 1_000) -> Float[np.ndarray, "resample row"]:
    """How often each row was drawn; rows of one image (single trials) are drawn together.

    A draw of one image alone has no variance and is drawn again. The same images give the same draws, so that
    networks are compared on the same ones; a number instead of images is that of rows of an image each. Of fewer than
    ``FEWEST_TEST_IMAGES`` distinct images all draws are NaN, and so is all that is made from them: there are no limits.
    """
    names = np.arange(images) if isinstance(images, int) else np.asarray(images)
    # Images count in the order of their rows.
    _, first, image = np.unique(names, return_index=True, return_inverse=True)
    rank = first.argsort().argsort()
    count = len(first)
    if count < FEWEST_TEST_IMAGES:
        return np.full((resamples, len(image)), np.nan, dtype=np.float32)
    rng, even = np.random.default_rng(0), np.full(count, 1 / count)
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

    Returns:
        NaN for voxels whose responses are constant.
    """
    if responses.shape != predictions.shape or len(responses) != draws.shape[1]:
        raise ShapeError(
            f"responses {responses.shape}, predictions {predictions.shape} and draws of {draws.shape[1]} "
            "images must be of the same images and voxels"
        )
    centred = deviations(responses).astype(np.float32)
    residual = _sums(draws, np.square((responses - predictions).astype(np.float32)))
    return 1 - _divide(residual, _sums(draws, np.square(centred)))


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


def draw_shares(
    parts: Sequence[Float[np.ndarray, "image voxel"]],
    predictions: Float[np.ndarray, "image voxel"],
    draws: Float[np.ndarray, "resample image"],
) -> list[Float[np.ndarray, "resample voxel"]]:
    """Shares of parts in the variance of predictions, ``cov(part, yhat) / var(yhat)``, in every draw.

    With the part of the global tokens it is the scale share; with ``sum_l (l - 1) / (L - 1) p_l`` it is the
    depth, the mean layer position by layer share.
    """
    whole, count = deviations(predictions).astype(np.float32), draws.sum(axis=1, keepdims=True)
    mean = _sums(draws, whole) / count
    variance = _sums(draws, np.square(whole)) - count * np.square(mean)
    centred = (deviations(part).astype(np.float32) for part in parts)
    return [_divide(_sums(draws, part * whole) - _sums(draws, part) * mean, variance) for part in centred]


def _sums(draws: Float[np.ndarray, "resample image"], values: np.ndarray) -> Float[np.ndarray, "resample voxel"]:
    """Sums over the images of every draw, by PyTorch: beside other threads it computes in one, as NumPy does not."""
    return (torch.from_numpy(draws) @ torch.from_numpy(values)).numpy()


def chunks(voxels: int) -> Iterator[slice]:
    """All voxels, some at a time."""
    return (slice(start, start + CHUNK) for start in range(0, voxels, CHUNK))


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
