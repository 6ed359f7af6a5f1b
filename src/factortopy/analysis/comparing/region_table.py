"""Tables of a comparison: each mapping in each ROI, its hierarchy line, and differences between mappings."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from factortopy.analysis.averaging._subject_average import region_mean
from factortopy.analysis.comparing.comparison import Comparison, Winners, voxel_values
from factortopy.analysis.estimates.estimates import LINE
from factortopy.analysis.estimates.limits import RATIO, Limited, limited, limited_difference
from factortopy.analysis.heldout._roi_scores import ALL


@dataclass(frozen=True)
class RegionRow:
    """What one mapping says of one ROI.

    Attributes:
        mapping: its label.
        roi: the ROI, or ``"all voxels"``.
        voxels: how many it has.
        r2, r2_low, r2_high: mean raw R^2 and its limits.
        ceiling: mean noise ceiling.
        normalised, normalised_low, normalised_high: mean R^2 over mean ceiling, and its limits.
        depth, depth_low, depth_high: mean layer position by share, and its limits.
        scale, scale_low, scale_high: mean scale share, and its limits.
        difference, difference_low, difference_high: R^2 less the first mapping's, and limits in pairs.
        won: part of the voxels where this mapping's R^2 is the largest, and above 0.
        won_clearly: part where it is so beyond doubt.
        limits: what limits are over: ``"test images"``, ``"subjects"`` or ``"none"``.

    What a mapping has not is None.
    """

    mapping: str
    roi: str
    voxels: int
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    ceiling: float | None
    normalised: float | None
    normalised_low: float | None
    normalised_high: float | None
    depth: float | None
    depth_low: float | None
    depth_high: float | None
    scale: float | None
    scale_low: float | None
    scale_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    won: float | None
    won_clearly: float | None
    limits: str


@dataclass(frozen=True)
class LineRow:
    """A number of the hierarchy line of one mapping, by layer share.

    Attributes:
        mapping: its label.
        quantity: ``"slope"``, ``"b0"`` or ``"b1"``.
        value, low, high: the number and its limits.
        difference, difference_low, difference_high: less the first mapping's, and limits in pairs.
        limits: what limits are over.
    """

    mapping: str
    quantity: str
    value: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    limits: str


def region_rows(comparison: Comparison, won: Winners) -> list[RegionRow]:
    """Each mapping in each ROI that has voxels and in all voxels, ROI by ROI.

    Args:
        comparison: mappings of the same voxels.
        won: from :func:`factortopy.analysis.winners` or ``paired_winners``.
    """
    return [
        _region_row(comparison, won, place, roi)
        for roi in comparison.regions
        for place in range(len(comparison.mappings))
    ]


def line_rows(comparison: Comparison) -> list[LineRow]:
    """Slope, b0 and b1 of each mapping by layer share; empty where the ROIs allow no line.

    Args:
        comparison: mappings of the same voxels.
    """
    rows = []
    for place, (label, mapping) in enumerate(zip(comparison.labels, comparison.mappings, strict=True)):
        for quantity in LINE:
            own = limited(mapping, quantity)
            if own.value is None:
                continue
            less = _from_first(comparison, place, quantity)
            rows.append(
                LineRow(label, quantity, own.value, own.low, own.high, less.value, less.low, less.high, own.over)
            )
    return rows


@dataclass(frozen=True, eq=False)
class Difference:
    """One mapping's quantity less another's, voxel by voxel.

    Attributes:
        quantity: what is compared.
        one: label of the mapping.
        other: label of the mapping that is taken off.
        values: the difference; NaN where either has none.
        regions: mean difference by ROI and over all voxels, with limits where they are known.
    """

    quantity: str
    one: str
    other: str
    values: Float[np.ndarray, "voxel"]
    regions: dict[str, Limited]


def difference(comparison: Comparison, quantity: str, one: str, other: str) -> Difference:
    """What one mapping says more of each voxel than another.

    Args:
        comparison: mappings of the same voxels.
        quantity: as :func:`factortopy.analysis.voxel_values` takes it, such as ``"depth"`` or ``"r2"``.
        one: label of the mapping.
        other: label of the mapping that is taken off.

    Raises:
        UnknownNameError: if there is no such mapping or quantity.
    """
    left, right = (comparison.mappings[comparison.index(label)] for label in (one, other))
    values = voxel_values(left, quantity) - voxel_values(right, quantity)
    regions = {}
    for name, inside in comparison.regions.items():
        mean = region_mean(values, inside)
        limits = limited_difference(left, right, quantity, name)
        regions[name] = replace(limits, value=mean) if np.isfinite(mean) else Limited(None)
    return Difference(quantity, one, other, values, regions)


def _region_row(comparison: Comparison, won: Winners, place: int, roi: str) -> RegionRow:
    mapping, inside = comparison.mappings[place], comparison.regions[roi]
    r2, depth, scale, ratio = (limited(mapping, name, roi) for name in ("r2", "depth", "scale", RATIO))
    less = _from_first(comparison, place, "r2", roi)
    return RegionRow(
        mapping=comparison.labels[place],
        roi=roi,
        voxels=int(inside.sum()),
        r2=r2.value,
        r2_low=r2.low,
        r2_high=r2.high,
        ceiling=limited(mapping, "ceiling", roi).value,
        normalised=ratio.value,
        normalised_low=ratio.low,
        normalised_high=ratio.high,
        depth=depth.value,
        depth_low=depth.low,
        depth_high=depth.high,
        scale=scale.value,
        scale_low=scale.low,
        scale_high=scale.high,
        difference=less.value,
        difference_low=less.low,
        difference_high=less.high,
        won=won.share(inside, place),
        won_clearly=won.share(inside, place, clear=True),
        limits=r2.over,
    )


def _from_first(comparison: Comparison, place: int, quantity: str, region: str = ALL) -> Limited:
    if place == 0:
        return Limited(None)
    return limited_difference(comparison.mappings[place], comparison.mappings[0], quantity, region)
