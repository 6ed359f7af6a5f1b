"""Numbers of a mapping with their limits over test images, and differences of two mappings, paired."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.estimates.bootstrap import CONFIDENCE, percentiles
from factortopy.analysis.heldout._roi_scores import ALL
from factortopy.analysis.hierarchy.slope import hierarchy_slope
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping

MEANS = {"r2": "r2", "depth": "depth", "scale": "scale_share"}
"""Quantities that are means over a region, and the variable each is the mean of."""
LINE = ("slope", "b0", "b1")


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


def estimate(mapping: Mapping, quantity: str = "r2", region: str = ALL, confidence: float = CONFIDENCE) -> Estimate:
    """A quantity of a mapping with its interval over test images.

    Args:
        mapping: a mapping fitted with a bootstrap.
        quantity: ``"r2"``, ``"depth"`` or ``"scale"``, the mean R^2, layer position by share or scale share
            over a region; or ``"slope"``, ``"b0"``, ``"b1"`` of the hierarchy line by share.
        region: an ROI or ``"all voxels"``, for means.
        confidence: part of the draws between the limits.

    Raises:
        DataError: if the mapping has no draws of it.
        UnknownNameError: if there is no such quantity or region.
    """
    value, drawn = point_value(mapping, quantity, region), _draws(mapping, quantity, region)
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
    drawn, redrawn = (_draws(held, quantity, region) for held in (one, other))
    if drawn.shape != redrawn.shape:
        raise DataError(f"the mappings have {len(drawn)} and {len(redrawn)} draws; fit both with as many")
    low, high = percentiles(drawn - redrawn, confidence)
    value = point_value(one, quantity, region) - point_value(other, quantity, region)
    return Estimate(value, float(low), float(high), confidence)


def point_value(mapping: Mapping, quantity: str, region: str = ALL) -> float:
    """A quantity without limits; NaN where no voxel of the region has it.

    Args:
        mapping: any mapping.
        quantity: as in :func:`estimate`.
        region: as in :func:`estimate`.

    Raises:
        DataError: if the mapping lacks what it is made from.
        UnknownNameError: if there is no such quantity, region, or ROI of the line.
    """
    if quantity in LINE:
        return float(getattr(hierarchy_slope(mapping), quantity))
    if quantity not in MEANS:
        raise UnknownNameError("quantity", quantity, (*MEANS, *LINE))
    if MEANS[quantity] not in mapping.dataset:
        raise DataError(f"this mapping has no {MEANS[quantity]!r}; fit it with this version")
    values = mapping.dataset[MEANS[quantity]].values[_members(mapping, region)]
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _members(mapping: Mapping, region: str) -> Bool[np.ndarray, "voxel"]:
    if region == ALL:
        return np.ones(mapping.dataset.sizes["voxel"], dtype=bool)
    if region not in mapping.rois:
        raise UnknownNameError("region", region, [*mapping.rois, ALL])
    return mapping.rois[region]


def _draws(mapping: Mapping, quantity: str, region: str) -> Float[np.ndarray, "draw"]:
    if quantity not in (*MEANS, *LINE):
        raise UnknownNameError("quantity", quantity, (*MEANS, *LINE))
    if f"drawn_{quantity}" not in mapping.dataset:
        raise DataError(f"this mapping has no draws of {quantity!r}; fit it with bootstrap=1000")
    drawn = mapping.dataset[f"drawn_{quantity}"]
    if quantity in LINE:
        return np.asarray(drawn.values)
    names = [str(name) for name in mapping.dataset["region"].values]
    if region not in names:
        raise UnknownNameError("region", region, names)
    return np.asarray(drawn.values[:, names.index(region)])
