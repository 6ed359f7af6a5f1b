"""Quantities of a mapping that do not depend on how features are scaled, one number a voxel."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from factortopy.analysis.slope import layer_position
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import UnknownNameError
from factortopy.mapping import Mapping

FEWEST = 3
"""Voxels from which on a correlation is given."""
QUANTITIES = {
    "r2": "raw R²",
    "depth": "layer position by share",
    "scale": "scale share",
    "x": "x in the image",
    "y": "y in the image",
}
"""Quantities that do not depend on how features are scaled, with their names in figures."""


def voxel_values(mapping: Mapping, quantity: str) -> Float[np.ndarray, "voxel"]:
    """A quantity of every voxel.

    Args:
        mapping: whose voxels.
        quantity: ``"r2"``; ``"depth"``, the mean layer position in 0..1 by layer share; ``"scale"``, the
            scale share; ``"x"`` or ``"y"``, the place in the image in [-1, 1]; or any variable of the mapping
            that has one number a voxel.

    Raises:
        UnknownNameError: if the mapping has no such quantity.
    """
    data = mapping.dataset
    if quantity in ("x", "y"):
        values = mapping.found("space")[:, ("x", "y").index(quantity)]
    elif quantity == "depth" and "layer_share" in data:
        values = layer_position(mapping.found("layer_share"))
    elif quantity == "scale" and "scale_share" in data:
        values = mapping.found("scale_share")
    elif quantity not in ("depth", "scale") and quantity in data and data[quantity].dims == ("voxel",):
        values = data[quantity].values
    else:
        own = [str(name) for name in data.data_vars if data[name].dims == ("voxel",)]
        names = dict.fromkeys([name for name in QUANTITIES if has_quantity(mapping, name)] + own)
        raise UnknownNameError("quantity", quantity, names)
    return np.asarray(values, dtype=np.float64)


def has_quantity(mapping: Mapping, quantity: str) -> bool:
    """Whether a mapping has what a quantity of ``QUANTITIES`` is made from."""
    needed = {"depth": "layer_share", "scale": "scale_share", "x": "space", "y": "space"}
    return needed.get(quantity, quantity) in mapping.dataset


def map_correlation(
    left: Float[np.ndarray, "voxel *component"], right: Float[np.ndarray, "voxel *component"]
) -> tuple[float, int]:
    """Correlation of two maps over the voxels that both have, ``r = sum A B / sqrt(sum A^2 sum B^2)``.

    Returns:
        The correlation, NaN where fewer than three voxels have both or nothing varies; and how many have both.
    """
    pair = np.stack([left, right]).reshape(2, len(left), math.prod(left.shape[1:])).astype(np.float64)
    finite = np.isfinite(pair).all(axis=(0, 2))
    if finite.sum() < FEWEST:
        return math.nan, int(finite.sum())
    a, b = (deviations(values) for values in pair[:, finite])
    norm = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / norm) if norm > 0 else math.nan, int(finite.sum())


Rows = TypeVar("Rows", np.ndarray, Tensor)


def deviations(values: Rows) -> Rows:
    """Deviations of rows from their mean; exactly 0 where all rows are equal.

    The mean of equal numbers need not be that number in floating point; that of their differences from one is.
    """
    from_first = values - values[:1]
    return from_first - from_first.mean(0)


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
