"""Numbers of a mapping and paired differences of two, with limits over test images or subjects."""

import math

import numpy as np
from jaxtyping import Float

from factortopy.analysis.estimates.estimate_tables import (
    CONFIDENCE,
    OVER_IMAGES,
    OVER_SUBJECTS,
    OVER_TRAINING,
    Estimate,
)
from factortopy.analysis.quantities import QUANTITIES, finite_mean, regions_of, voxel_values
from factortopy.analysis.slope import LINE, hierarchy_slope
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, FactortopyError, UnknownNameError
from factortopy.mapping import Mapping

RATIO = "normalised"
OPTIONAL = (*QUANTITIES, "ceiling", RATIO, *LINE)
"""Quantities that a mapping need not have."""
TRAINING_TOLD = "training_told"
"""Attribute of a mapping whose limits of depth, scale and line have the training in them."""
SPLITS = "splits"
"""Attribute of an average over seeds of other splits: digest of all of them."""
OF_TRAINING = ("depth", "scale", *LINE)
"""Quantities whose limits have the training in them where a fit has a parametric bootstrap."""


def estimate(
    mapping: Mapping, quantity: str = "r2", region: str = ALL_VOXELS, confidence: float = CONFIDENCE
) -> Estimate:
    """A quantity of a region with its limits.

    Args:
        mapping: a mapping, or an average over subjects.
        quantity: ``"r2"``, ``"depth"``, ``"scale"`` or ``"ceiling"``, means over the region;
            ``"normalised"``, mean R^2 over mean ceiling; ``"slope"``, ``"b0"`` or ``"b1"`` of the hierarchy
            line by share; or any variable of one number a voxel.
        region: an ROI, or ``"all voxels"``.
        confidence: part of the draws between the limits.

    Returns:
        The number with limits over subjects for an average, over test images where the mapping has draws of
        it, and over the training for depth, scale and line of a fit with a parametric bootstrap, else without;
        ``over`` says which. NaN where the mapping has nothing to make it from, or nothing was found.

    Raises:
        UnknownNameError: if there is no such quantity or region.

    Example:
        >>> one = ft.estimate(mapping, "depth", "V1")  # without draws of test images, no limits
        >>> 0 <= one.value <= 1, one.limited
        (True, False)
    """
    subjects = _by_subject(mapping, quantity, region)
    if subjects is not None:
        return Estimate.of_sample(subjects, OVER_SUBJECTS, confidence)
    value, draws, over = (
        _value(mapping, quantity, region),
        drawn(mapping, quantity, region),
        limits_over(mapping, quantity),
    )
    return Estimate.of_draws(value, draws, confidence=confidence, over=over)


def paired_difference(
    one: Mapping, other: Mapping, quantity: str = "r2", region: str = ALL_VOXELS, confidence: float = CONFIDENCE
) -> Estimate:
    """One mapping's quantity less another's, with limits of the difference: drawn, or taken, in pairs.

    Args:
        one: a mapping.
        other: another network's mapping of the same subject and split, or average of the same subjects.
        quantity, region, confidence: as in :func:`estimate`.

    Returns:
        As :func:`estimate`; without limits where the two have no draws, or not as many.

    Raises:
        DataError: if they were not scored on the same test images.
        UnknownNameError: if there is no such quantity or region.

    Example:
        >>> ft.paired_difference(mapping, mapping, "depth").value
        0.0
    """
    subjects = [str(mapping.dataset.attrs.get("subject")) for mapping in (one, other)]
    for name, names in (("subject", subjects), ("split", [str(split_of(one)), str(split_of(other))])):
        if names[0] != names[1]:
            raise DataError(
                f"a paired difference needs one {name}; these mappings have {names[0]!r} and {names[1]!r}: fit "
                "both with the same split"
            )
    left, right = (_by_subject(mapping, quantity, region) for mapping in (one, other))
    if left is not None and right is not None:
        return Estimate.of_sample(left - right, OVER_SUBJECTS, confidence)
    value = _value(one, quantity, region) - _value(other, quantity, region)
    left, right = (drawn(mapping, quantity, region) for mapping in (one, other))
    paired = None if left is None or right is None or len(left) != len(right) else left - right
    over = [limits_over(mapping, quantity) for mapping in (one, other)]
    both = over[0] if over[0] == over[1] else OVER_IMAGES
    return Estimate.of_draws(value, paired, confidence=confidence, over=both)


def limits_over(mapping: Mapping, quantity: str) -> str:
    """What the limits from a mapping's draws are over: the training too, of what is read, where a fit was simulated."""
    return OVER_TRAINING if quantity in OF_TRAINING and mapping.dataset.attrs.get(TRAINING_TOLD) else OVER_IMAGES


def drawn(mapping: Mapping, quantity: str, region: str) -> Float[np.ndarray, "draw"] | None:
    """A quantity of a region in every draw of test images; None where the mapping has no draws of it."""
    if quantity == RATIO:
        r2, ceiling = drawn(mapping, "r2", region), _value(mapping, "ceiling", region)
        return None if r2 is None or not ceiling else r2 / ceiling
    return _sample(mapping, f"drawn_{quantity}", region)


def tells(mapping: Mapping) -> bool:
    """Whether depth, scale and line of a mapping say anything: not where no voxel is predicted."""
    return mapping.told_of is None or bool(mapping.told_of.any())


def counted_values(mapping: Mapping, quantity: str) -> Float[np.ndarray, "voxel"]:
    """:func:`voxel_values` as they go into means of regions: ceilings are of the voxels that have an R^2."""
    values = voxel_values(mapping, quantity)
    if quantity in OF_TRAINING and not tells(mapping):
        return np.full_like(values, math.nan)
    return mapping.found(quantity).astype(np.float64) if quantity == "ceiling" else values


def split_of(mapping: Mapping) -> str | None:
    """Digest of the split; of all splits where a mapping is an average over seeds of several; None if not known."""
    split = mapping.dataset.attrs.get(SPLITS, mapping.dataset.attrs.get("split"))
    return None if split is None else str(split)


def _value(mapping: Mapping, quantity: str, region: str) -> float:
    """The number from the voxels; NaN where the mapping has nothing to make it from."""
    if region not in mapping.rois and region != ALL_VOXELS:
        raise UnknownNameError("region", region, [*mapping.rois, ALL_VOXELS])
    if quantity == RATIO:
        above, below = (_value(mapping, name, region) for name in ("r2", "ceiling"))
        return above / below if below else math.nan
    try:
        if quantity in LINE:
            return float(getattr(hierarchy_slope(mapping), quantity)) if tells(mapping) else math.nan
        values = counted_values(mapping, quantity)
    except FactortopyError:
        if quantity in OPTIONAL:
            return math.nan
        raise
    inside = regions_of(mapping).get(region)
    return math.nan if inside is None else float(finite_mean(values[inside]))


def _by_subject(mapping: Mapping, quantity: str, region: str) -> Float[np.ndarray, "subject"] | None:
    """The number of every subject of an average."""
    if quantity == RATIO:
        parts = [_by_subject(mapping, name, region) for name in ("r2", "ceiling")]
        return None if parts[0] is None or parts[1] is None else parts[0] / parts[1]
    values = _sample(mapping, f"persons_{quantity}", region)
    return values if values is not None and np.isfinite(values).any() else None


def _sample(mapping: Mapping, name: str, region: str) -> np.ndarray | None:
    data = mapping.dataset
    if name not in data:
        return None
    if "region" not in data[name].dims:
        return np.asarray(data[name].values, dtype=float)
    names = [str(name) for name in data["region"].values]
    return data[name].values[:, names.index(region)].astype(float) if region in names else None
