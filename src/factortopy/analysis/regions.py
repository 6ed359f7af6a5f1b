"""Regions of a mapping: its ROIs and all voxels, and means over them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.mapping import Mapping

ALL_VOXELS = "all voxels"
"""Name of the region that holds every voxel."""


def region_names(rois: Iterable[str]) -> list[str]:
    """Names along the dimension ``region``: the ROIs, then all voxels."""
    return [*rois, ALL_VOXELS]


def regions_of(mapping: Mapping) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """Membership of the ROIs that have voxels, in the mapping's order, and of all voxels."""
    with_voxels = {name: inside for name, inside in mapping.rois.items() if inside.any()}
    return with_voxels | {ALL_VOXELS: np.ones(mapping.dataset.sizes["voxel"], dtype=bool)}


def finite_mean(values: Float[np.ndarray, "*shape"], axis: int | None = None) -> Any:
    """Mean of the values that are finite, along an axis or over all; NaN where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    total = np.where(finite, values, 0).sum(axis=axis, dtype=np.float64)
    mean = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return float(mean) if axis is None else mean
