"""What a fit says beyond its point values: limits of every voxel, and draws of ROI means and slopes.

The draws of ROI means and of the slope are kept with the mapping: two networks that were scored on the
same test images have the same draws, so their difference has an interval without their predictions.
"""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from factortopy.analysis.bootstrap import (
    CONFIDENCE,
    SlopeWeights,
    chunks,
    draw_images,
    draw_r2,
    draw_share,
    percentiles,
)
from factortopy.analysis.hierarchy import hierarchy_slope
from factortopy.analysis.roi_scores import ALL
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.mapping import Mapping

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]


@dataclass(frozen=True, eq=False)
class Measured:
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


def uncertainty(measured: Measured, resamples: int = 1_000, confidence: float = CONFIDENCE) -> Variables:
    """Bootstrap over test images of scores, depth, scale share and hierarchy line.

    Args:
        measured: responses, predictions and their parts.
        resamples: number of draws.
        confidence: part of the draws between the limits.

    Returns:
        Variables of a mapping: ``r2_low``, ``r2_high``, ``depth_low``, ``depth_high``, ``scale_share_low``,
        ``scale_share_high`` (voxel); ``drawn_r2`` and ``drawn_depth`` (draw, region), mean R^2 and mean depth
        of ROIs and of all voxels; and, where the ROIs allow a line, ``drawn_slope``, ``drawn_b0`` and
        ``drawn_b1`` (draw).

    Raises:
        DataError: if there are fewer than two test images.
    """
    draws = draw_images(measured.images, resamples)
    voxels = measured.responses.shape[1]
    regions = _regions(measured.rois, voxels)
    known = np.ptp(measured.predictions, axis=0) > 0
    line = SlopeWeights.of(measured.rois, known)
    limits: dict[str, list[np.ndarray]] = {"r2": [], "depth": [], "scale_share": []}
    totals, counts = np.zeros((2, resamples, len(regions))), np.zeros((2, resamples, len(regions)))
    slopes = np.zeros((2, resamples))
    for some in chunks(voxels):
        predictions = measured.predictions[:, some]
        drawn = {
            "r2": draw_r2(measured.responses[:, some], predictions, draws),
            "depth": draw_share(measured.depth[:, some], predictions, draws),
            "scale_share": draw_share(measured.global_[:, some], predictions, draws),
        }
        for name, values in drawn.items():
            limits[name].append(percentiles(values, confidence))
        here = np.stack(regions)[:, some].astype(np.float32).T
        for number, name in enumerate(("r2", "depth")):
            totals[number] += np.nan_to_num(drawn[name]) @ here
            counts[number] += np.isfinite(drawn[name]) @ here
        if line is not None:
            depth = np.nan_to_num(drawn["depth"])
            slopes += np.stack([depth @ line.slope[some], depth @ line.b0[some]])
    found: Variables = {}
    for name, parts in limits.items():
        low, high = np.concatenate(parts, axis=1).astype(np.float32)
        found |= {f"{name}_low": (("voxel",), low), f"{name}_high": (("voxel",), high)}
    means = np.divide(totals, counts, out=np.full_like(totals, np.nan), where=counts > 0)
    found |= {"drawn_r2": (("draw", "region"), means[0]), "drawn_depth": (("draw", "region"), means[1])}
    if line is not None:
        drawn_line = {"slope": slopes[0], "b0": slopes[1], "b1": slopes.sum(axis=0)}
        found |= {f"drawn_{name}": (("draw",), values) for name, values in drawn_line.items()}
    return found


def error_limits(
    values: Float[np.ndarray, "*shape"],
    error: Float[np.ndarray, "*shape"],
    confidence: float = CONFIDENCE,
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """Limits from standard errors, ``value -+ z error``, z the normal distribution's."""
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return values - reach, values + reach


@dataclass(frozen=True)
class Estimate:
    """A number with its limits.

    Attributes:
        value: the number.
        low: lower limit.
        high: upper limit.
        confidence: of the limits, in 0..1.
    """

    value: float
    low: float
    high: float
    confidence: float


def estimate(
    mapping: Mapping, quantity: str = "r2", region: str = ALL, confidence: float = CONFIDENCE
) -> Estimate:
    """A quantity of a mapping with its interval over test images.

    Args:
        mapping: a mapping fitted with a bootstrap.
        quantity: ``"r2"``, the mean over a region, or ``"slope"``, ``"b0"``, ``"b1"`` of the hierarchy line.
        region: an ROI or ``"all voxels"``, for ``"r2"``.
        confidence: part of the draws between the limits.

    Raises:
        DataError: if the mapping has no draws of it.
        UnknownNameError: if there is no such quantity or region.
    """
    value, drawn = _value(mapping, quantity, region)
    low, high = percentiles(drawn, confidence)
    return Estimate(value, float(low), float(high), confidence)


def paired_difference(
    one: Mapping, other: Mapping, quantity: str = "r2", region: str = ALL, confidence: float = CONFIDENCE
) -> Estimate:
    """One mapping's quantity minus another's, with an interval over the same draws of test images.

    Args:
        one: a mapping fitted with a bootstrap.
        other: another network's mapping of the same subject and split.
        quantity: as in :func:`estimate`.
        region: as in :func:`estimate`.
        confidence: part of the draws between the limits.

    Raises:
        DataError: if they were not scored on the same test images, or have no draws.
        UnknownNameError: if there is no such quantity or region.
    """
    for name in ("subject", "split"):
        left, right = (str(mapping.dataset.attrs.get(name)) for mapping in (one, other))
        if left != right:
            raise DataError(
                f"a paired difference needs one {name}; these mappings have {left!r} and {right!r}: fit both "
                "with the same split"
            )
    (value, drawn), (reference, redrawn) = (_value(held, quantity, region) for held in (one, other))
    if drawn.shape != redrawn.shape:
        raise DataError(f"the mappings have {len(drawn)} and {len(redrawn)} draws; fit both with as many")
    low, high = percentiles(drawn - redrawn, confidence)
    return Estimate(value - reference, float(low), float(high), confidence)


def over_fits(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean of independent fits, such as subjects or seeds, with Student's interval of the mean.

    Raises:
        DataError: if there are fewer than two.
    """
    from scipy.stats import sem, t

    if len(values) < 2:
        raise DataError(f"an interval over fits needs two or more, got {len(values)}")
    mean = float(np.mean(values))
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1) * sem(values))
    return Estimate(mean, mean - reach, mean + reach, confidence)


def over_seeds(mappings: Sequence[Mapping]) -> xr.Dataset:
    """Mean and standard deviation over several fits of the same voxels, such as seeds.

    Returns:
        Every variable of numbers over voxels that all mappings hold: its mean, and ``<name>_sd``.

    Raises:
        DataError: if there are fewer than two.
        ShapeError: if the mappings have other voxels or layers.
    """
    if len(mappings) < 2:
        raise DataError(f"a spread over fits needs two mappings or more, got {len(mappings)}")
    first = mappings[0].dataset
    for held in mappings[1:]:
        same = all(
            np.array_equal(held.dataset[name].values, first[name].values)
            for name in ("vertex", "hemisphere", "network_layer")
            if name in first.coords and name in held.dataset.coords
        )
        if not same or held.dataset.sizes["voxel"] != first.sizes["voxel"]:
            raise ShapeError("a spread over fits needs the same voxels and layers in every mapping")
    names = [
        name for name in first if "voxel" in first[name].dims and all(name in m.dataset for m in mappings)
    ]
    result = first.drop_vars(list(first.data_vars))
    for name in names:
        stacked = np.stack([held.dataset[name].values for held in mappings]).astype(np.float64)
        result[str(name)] = (first[name].dims, stacked.mean(axis=0))
        result[f"{name}_sd"] = (first[name].dims, stacked.std(axis=0, ddof=1))
    seeds: list[Any] = [held.dataset.attrs.get("seed", "unknown") for held in mappings]
    return result.assign_attrs(seeds=seeds)


def region_names(rois: MappingType[str, Any]) -> list[str]:
    """Names along the dimension ``region``: the ROIs, then all voxels."""
    return [*rois, ALL]


def _regions(rois: MappingType[str, np.ndarray], voxels: int) -> list[np.ndarray]:
    return [*(np.asarray(inside, dtype=bool) for inside in rois.values()), np.ones(voxels, dtype=bool)]


def _value(mapping: Mapping, quantity: str, region: str) -> tuple[float, Float[np.ndarray, "draw"]]:
    data = mapping.dataset
    if quantity not in ("r2", "slope", "b0", "b1"):
        raise UnknownNameError("quantity", quantity, ("r2", "slope", "b0", "b1"))
    if f"drawn_{quantity}" not in data:
        raise DataError(f"this mapping has no draws of {quantity!r}; fit it with bootstrap=1000")
    drawn = data[f"drawn_{quantity}"]
    if quantity != "r2":
        return float(getattr(hierarchy_slope(mapping), quantity)), drawn.values
    names = [str(name) for name in data["region"].values]
    if region not in names:
        raise UnknownNameError("region", region, names)
    inside = np.ones(data.sizes["voxel"], dtype=bool) if region == ALL else mapping.rois[region].values
    return float(np.nanmean(data["r2"].values[inside])), drawn.values[:, names.index(region)]
