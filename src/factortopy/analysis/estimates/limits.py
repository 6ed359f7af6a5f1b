"""Numbers of a mapping and differences of two, with limits over test images or subjects."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from factortopy.analysis.averaging._subject_average import region_mean, student_limits
from factortopy.analysis.comparing.comparison import regions_of, voxel_values
from factortopy.analysis.estimates.bootstrap import CONFIDENCE, percentiles
from factortopy.analysis.estimates.estimates import LINE
from factortopy.analysis.heldout._roi_scores import ALL
from factortopy.analysis.hierarchy.slope import hierarchy_slope
from factortopy.errors import FactortopyError
from factortopy.mapping import Mapping

RATIO = "normalised"
OVER_IMAGES, OVER_SUBJECTS, NONE = "test images", "subjects", "none"


@dataclass(frozen=True)
class Limited:
    """A number with its limits, as far as they are known.

    Attributes:
        value: the number; None if the mapping has none.
        low: lower limit; None if not known.
        high: upper limit; None if not known.
        over: what the limits are over: ``"test images"``, ``"subjects"`` or ``"none"``.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    over: str = NONE


def limited(mapping: Mapping, quantity: str, region: str = ALL) -> Limited:
    """A quantity of a region with its limits.

    Args:
        mapping: a mapping, or an average over subjects.
        quantity: ``"r2"``, ``"depth"``, ``"scale"`` or ``"ceiling"``, means over the region;
            ``"normalised"``, mean R^2 over mean ceiling; ``"slope"``, ``"b0"`` or ``"b1"`` of the hierarchy
            line by share.
        region: an ROI that has voxels, or ``"all voxels"``.

    Returns:
        The number with limits over subjects for an average, over test images where the mapping has draws of
        it, else without; no number where the mapping has nothing to make it from.
    """
    persons = _persons(mapping, quantity, region)
    if persons is not None:
        low, high = student_limits(persons)
        return _limited(float(np.nanmean(persons)), low, high, OVER_SUBJECTS)
    value, drawn = _value(mapping, quantity, region), _drawn(mapping, quantity, region)
    if value is None or drawn is None:
        return Limited(value)
    low, high = percentiles(drawn, CONFIDENCE)
    return _limited(value, low, high, OVER_IMAGES)


def limited_difference(one: Mapping, other: Mapping, quantity: str, region: str = ALL) -> Limited:
    """One mapping's quantity less another's, with limits of the difference: drawn, or taken, in pairs.

    Args:
        one: a mapping.
        other: another that may be compared with it (:func:`factortopy.analysis.compare`).
        quantity: as in :func:`limited`.
        region: as in :func:`limited`.
    """
    left, right = _persons(one, quantity, region), _persons(other, quantity, region)
    if left is not None and right is not None:
        low, high = student_limits(left - right)
        return _limited(float(np.nanmean(left - right)), low, high, OVER_SUBJECTS)
    values = _value(one, quantity, region), _value(other, quantity, region)
    if values[0] is None or values[1] is None:
        return Limited(None)
    value = values[0] - values[1]
    left, right = _drawn(one, quantity, region), _drawn(other, quantity, region)
    if left is None or right is None or len(left) != len(right):
        return Limited(value)
    low, high = percentiles(left - right, CONFIDENCE)
    return _limited(value, low, high, OVER_IMAGES)


def _value(mapping: Mapping, quantity: str, region: str) -> float | None:
    """The number from the voxels; None where the mapping has nothing to make it from."""
    if quantity == RATIO:
        above, below = (_value(mapping, name, region) for name in ("r2", "ceiling"))
        return None if above is None or not below else above / below
    try:
        if quantity in LINE:
            return float(getattr(hierarchy_slope(mapping), quantity))
        mean = region_mean(voxel_values(mapping, quantity), regions_of(mapping).get(region))
    except FactortopyError:
        return None
    return mean if np.isfinite(mean) else None


def _drawn(mapping: Mapping, quantity: str, region: str) -> Float[np.ndarray, "draw"] | None:
    """The number in every draw of test images."""
    if quantity == RATIO:
        drawn, ceiling = _drawn(mapping, "r2", region), _value(mapping, "ceiling", region)
        return None if drawn is None or not ceiling else drawn / ceiling
    return _sample(mapping, f"drawn_{quantity}", region)


def _persons(mapping: Mapping, quantity: str, region: str) -> Float[np.ndarray, "person"] | None:
    """The number of every subject of an average."""
    if quantity == RATIO:
        parts = [_persons(mapping, name, region) for name in ("r2", "ceiling")]
        return None if parts[0] is None or parts[1] is None else parts[0] / parts[1]
    values = _sample(mapping, f"persons_{quantity}", region)
    return values if values is not None and np.isfinite(values).any() else None


def _sample(mapping: Mapping, name: str, region: str) -> np.ndarray | None:
    data = mapping.dataset
    if name not in data:
        return None
    if "region" not in data[name].dims:
        return np.asarray(data[name].values, dtype=float)
    names = [str(known) for known in data["region"].values]
    return data[name].values[:, names.index(region)].astype(float) if region in names else None


def _limited(value: float, low: np.ndarray, high: np.ndarray, over: str) -> Limited:
    known = np.isfinite(low) and np.isfinite(high)
    return Limited(value, float(low), float(high), over) if known else Limited(value)
