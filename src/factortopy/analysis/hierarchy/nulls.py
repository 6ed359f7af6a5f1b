"""Spatial nulls: could a correlation of two maps, or a slope over ROIs, come from smoothness alone?

Neighbouring voxels are alike, so thousands of voxels are far fewer independent observations, and a p-value
that counts voxels is far too small. Here a map is compared with *surrogates*: random maps with the same
mean, variance and spatial autocorrelation, by Moran spectral randomisation (Wagner and Dray, Methods in
Ecology and Evolution 2015). Unlike turns of the sphere it suits a cortex that is measured in part. The
eigenvectors are those of inverse distances; coefficients keep their size and get random signs. BrainSpace
computes the same (a test holds its values against ours), but brings 725 MB of VTK along for one page.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.quantities import map_correlation
from factortopy.analysis.slope import PAPER_LEVELS, fit_slope
from factortopy.errors import DataError, ShapeError
from factortopy.storage import as_array

MOST_VOXELS = 2_000
"""More are thinned at random: the eigenvectors are those of a full matrix, voxels x voxels."""


@dataclass(frozen=True)
class NullTest:
    """An observed number against those of surrogate maps.

    Attributes:
        value: what was observed, on the voxels that were used; NaN, and all that follows, where a map that is
            correlated does not vary.
        p: two-sided, ``(1 + surrogates at least as far from 0) / (1 + surrogates)``.
        low: 2.5th percentile of the surrogates.
        high: 97.5th percentile.
        surrogates: number of surrogate maps.
        voxels: number of voxels used.
    """

    value: float
    p: float
    low: float
    high: float
    surrogates: int
    voxels: int


def surrogate_maps(
    values: Float[np.ndarray, "voxel"], coordinates: Float[np.ndarray, "voxel 3"], count: int = 1_000, seed: int = 0
) -> Float[np.ndarray, "surrogate voxel"]:
    """Random maps with the mean, variance and spatial autocorrelation of a map.

    Args:
        values: the map, finite.
        coordinates: position of every voxel in mm, all different; on a surface, on its sphere.
        count: number of surrogates.
        seed: of their random signs.

    Raises:
        DataError: if values are not finite, or two voxels lie at one position.
        ShapeError: if the shapes do not fit together.

    Example:
        >>> depth = mapping.dataset["depth"].values
        >>> some = np.flatnonzero(np.isfinite(depth))[:60]  # it is blank where nothing is predicted
        >>> drawn = ft.surrogate_maps(depth[some], subject.voxels.coordinates[some], count=3)
        >>> drawn.shape == (3, len(some))
        True
    """
    values, coordinates = as_array(values, "values"), as_array(coordinates, "coordinates")
    if values.ndim != 1 or coordinates.shape != (len(values), 3):
        raise ShapeError(f"values {values.shape} need coordinates ({len(values)}, 3), got {coordinates.shape}")
    if not np.isfinite(values).all():
        raise DataError("surrogates need finite values; leave out the voxels that have none")
    eigenvectors = moran_eigenvectors(coordinates)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(count, eigenvectors.shape[1]))
    mean = values.mean()
    return mean + (signs * ((values - mean) @ eigenvectors)) @ eigenvectors.T


def moran_eigenvectors(coordinates: Float[np.ndarray, "voxel 3"]) -> Float[np.ndarray, "voxel eigenvector"]:
    """Moran's eigenvector maps: those of the doubly centred inverse distances, orthonormal and each of mean 0.

    Every map on these voxels is its mean plus a sum of them, and its Moran's I is a mean of their eigenvalues
    weighted by the squared coefficients: so it does not depend on the coefficients' signs.

    Returns:
        One less than voxels, by rising eigenvalue.
    """
    from scipy.spatial.distance import pdist, squareform

    distance = pdist(coordinates)
    if not distance.min() > 0:
        raise DataError("two voxels lie at one position; surrogates need distances above 0")
    weights = squareform(1 / distance)
    row = weights.mean(axis=0)
    centred = weights - row - row[:, None] + row.mean()
    # The constant map has eigenvalue 0, as others may nearly have: raised above all others, it stands alone.
    raised = np.abs(centred).sum(axis=0).max() * 2
    return np.linalg.eigh(centred + raised / len(centred))[1][:, :-1]


def correlation_test(
    left: Float[np.ndarray, "voxel"],
    right: Float[np.ndarray, "voxel"],
    coordinates: Float[np.ndarray, "voxel 3"],
    count: int = 1_000,
    seed: int = 0,
) -> NullTest:
    """Pearson correlation of two maps, tested against surrogates of the first.

    Args:
        left: a map; voxels that are NaN in either map are left out.
        right: another map.
        coordinates: position of every voxel, mm.
        count: number of surrogates.
        seed: of the choice of voxels and of the surrogates.

    Raises:
        DataError: if fewer than ten voxels have values.

    Example:
        >>> some = np.flatnonzero(subject.voxels.rois["V1"])[:60]
        >>> where, depth = subject.voxels.coordinates[some], mapping.dataset["depth"].values[some]
        >>> test = ft.correlation_test(depth, depth, where, count=99)
        >>> round(test.value, 6), test.p
        (1.0, 0.01)
    """
    left, right = as_array(left, "left"), as_array(right, "right")
    used = _thinned(np.isfinite(left) & np.isfinite(right), seed)
    other = right[used]
    return _test(lambda values: map_correlation(values, other)[0], left[used], coordinates[used], count, seed)


def slope_test(
    depth: Float[np.ndarray, "voxel"],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    coordinates: Float[np.ndarray, "voxel 3"],
    levels: Mapping[str, float] = PAPER_LEVELS,
    count: int = 1_000,
    seed: int = 0,
) -> NullTest:
    """Hierarchy slope, tested against surrogates of the depth map over the voxels of its ROIs.

    Args:
        depth: relative depth of every voxel, such as ``layer_position(layer_share)``.
        rois, levels: as in :func:`fit_slope`.
        coordinates, count, seed: as in :func:`correlation_test`.

    Raises:
        UnknownNameError: if an ROI of ``levels`` is not among ``rois``.
        DataError: if fewer than two levels or ten voxels have values.

    Example:
        >>> depth, rois = mapping.dataset["depth"].values, mapping.rois
        >>> test = ft.slope_test(depth, rois, subject.voxels.coordinates, count=19)
        >>> bool(test.low <= test.high)
        True
    """
    fit_slope(depth, rois, levels)
    inside = np.any([np.asarray(rois[name], dtype=bool) for name in levels], axis=0)
    used = _thinned(inside & np.isfinite(depth), seed)
    members = {name: np.asarray(rois[name], dtype=bool)[used] for name in levels}
    return _test(lambda values: fit_slope(values, members, levels).slope, depth[used], coordinates[used], count, seed)


def _thinned(usable: Bool[np.ndarray, "voxel"], seed: int) -> np.ndarray:
    """Indices of the usable voxels, at most ``MOST_VOXELS`` of them."""
    voxels = np.flatnonzero(usable)
    if len(voxels) < 10:
        raise DataError(f"a spatial null needs ten voxels or more with values, got {len(voxels)}")
    if len(voxels) <= MOST_VOXELS:
        return voxels
    return np.sort(np.random.default_rng(seed).choice(voxels, MOST_VOXELS, replace=False))


def _test(
    statistic: Callable[[np.ndarray], float],
    values: Float[np.ndarray, "voxel"],
    coordinates: Float[np.ndarray, "voxel 3"],
    count: int,
    seed: int,
) -> NullTest:
    values = values - values[0]  # a map that does not vary is 0 then, with no rounding; no statistic changes
    observed = statistic(values)
    null = np.array([statistic(drawn) for drawn in surrogate_maps(values, coordinates, count, seed)])
    if not (math.isfinite(observed) and np.isfinite(null).all()):
        return NullTest(observed, math.nan, math.nan, math.nan, len(null), len(values))
    # Sums in another order must not make equal numbers differ.
    p = (1 + (np.abs(null) >= abs(observed) * (1 - 1e-9)).sum()) / (1 + len(null))
    low, high = np.percentile(null, [2.5, 97.5])
    return NullTest(observed, float(p), float(low), float(high), len(null), len(values))
