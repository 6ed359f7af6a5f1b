"""What a fit says beyond its point values: limits of every voxel, and draws of ROI means and slopes.

The draws of ROI means and of the slope are kept with the mapping: two networks that were scored on the
same test images have the same draws, so their difference has an interval without their predictions.
"""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.estimates._estimate import CONFIDENCE, percentiles
from factortopy.analysis.estimates.bootstrap import (
    RegionMeans,
    SlopeWeights,
    chunks,
    draw_images,
    draw_r2,
    draw_share,
)

DRAWN = {"r2": "r2", "depth": "depth", "scale_share": "scale"}
"""Variables of one number a voxel, and how their means over ROIs are called."""


@dataclass(frozen=True, eq=False)
class PredictedParts:
    """What draws of test images are made from.

    Attributes:
        responses: measured responses to the test images.
        predictions: predicted responses.
        depth: parts of the predictions weighted by layer position.
        global_: parts of the predictions from the global tokens.
        images: the image of every row.
        rois: membership of ROIs by name.
    """

    responses: Float[np.ndarray, "image voxel"]
    predictions: Float[np.ndarray, "image voxel"]
    depth: Float[np.ndarray, "image voxel"]
    global_: Float[np.ndarray, "image voxel"]
    images: Sequence[str]
    rois: MappingType[str, Bool[np.ndarray, "voxel"]] = field(default_factory=dict)


def uncertainty(
    measured: PredictedParts, resamples: int = 1_000, confidence: float = CONFIDENCE
) -> dict[str, np.ndarray]:
    """Bootstrap over test images of scores, depth, scale share and hierarchy line.

    Args:
        measured: responses, predictions and their parts.
        resamples: number of draws.
        confidence: part of the draws between the limits.

    Returns:
        Variables of a mapping by name: ``r2_low``, ``r2_high``, ``depth_low``, ``depth_high``, ``scale_share_low``,
        ``scale_share_high`` (voxel); ``drawn_r2``, ``drawn_depth`` and ``drawn_scale`` (draw, region), means
        of R^2, depth and scale share over ROIs and over all voxels; and, where the ROIs allow a line,
        ``drawn_slope``, ``drawn_b0`` and ``drawn_b1`` (draw).

    Raises:
        DataError: if there are fewer than two test images.
    """
    draws = draw_images(measured.images, resamples)
    drawn = _Drawn(measured, resamples, confidence)
    for some in chunks(measured.responses.shape[1]):
        predictions = measured.predictions[:, some]
        drawn.add(
            some,
            {
                "r2": draw_r2(measured.responses[:, some], predictions, draws),
                "depth": draw_share(measured.depth[:, some], predictions, draws),
                "scale_share": draw_share(measured.global_[:, some], predictions, draws),
            },
        )
    return drawn.variables()


class _Drawn:
    """What is kept of the draws: limits of every voxel, means of regions, and the hierarchy line."""

    def __init__(self, measured: PredictedParts, resamples: int, confidence: float) -> None:
        self._confidence = confidence
        voxels = measured.responses.shape[1]
        regions = [*measured.rois.values(), np.ones(voxels, dtype=bool)]
        self._limits: dict[str, list[np.ndarray]] = {name: [] for name in DRAWN}
        self._means = {name: RegionMeans(regions, resamples) for name in DRAWN}
        self._weights = SlopeWeights.of(measured.rois, np.ptp(measured.predictions, axis=0) > 0)
        self._slope, self._b0 = np.zeros((2, resamples))

    def add(self, some: slice, drawn: MappingType[str, Float[np.ndarray, "draw some"]]) -> None:
        """Take in the draws of some of the voxels."""
        for name, values in drawn.items():
            self._limits[name].append(percentiles(values, self._confidence))
            self._means[name].add(some, values)
        if self._weights is not None:
            depth = np.nan_to_num(drawn["depth"])
            self._slope += depth @ self._weights.slope[some]
            self._b0 += depth @ self._weights.b0[some]

    def variables(self) -> dict[str, np.ndarray]:
        """Limits of every voxel and draws of every region and line, as a mapping holds them."""
        variables: dict[str, np.ndarray] = {}
        for name, parts in self._limits.items():
            low, high = np.concatenate(parts, axis=1).astype(np.float32)
            variables |= {f"{name}_low": low, f"{name}_high": high}
            variables[f"drawn_{DRAWN[name]}"] = self._means[name].values()
        if self._weights is not None:
            line = {"slope": self._slope, "b0": self._b0, "b1": self._b0 + self._slope}
            variables |= {f"drawn_{name}": values for name, values in line.items()}
        return variables


def error_limits(
    values: Float[np.ndarray, "*shape"],
    error: Float[np.ndarray, "*shape"],
    confidence: float = CONFIDENCE,
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Limits from standard errors, ``value -+ z error``, z the normal distribution's."""
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return values - reach, values + reach
