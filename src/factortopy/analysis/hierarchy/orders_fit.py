"""Hierarchy beyond the line: rank correlation, a monotone fit and a null, for any order of ROIs.

Limits come from the draws of test images in the mapping: a line needs only the mean depth of each level,
which was kept for every draw. Voxels are not independent, so none is counted as an observation.
"""

import math
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.analysis.estimates._estimate import CONFIDENCE, Estimate
from factortopy.analysis.hierarchy.orders import Order
from factortopy.analysis.hierarchy.shuffled_layers import PERMUTATIONS, shuffle_layers, spearman_correlation
from factortopy.analysis.hierarchy.slope import DEPTH_SOURCES, LINE, HierarchySlope, depth_source, fit_slope
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping


@dataclass(frozen=True)
class LevelDepth:
    """Depth of the voxels of one level.

    Attributes:
        rois: name of the level.
        level: its ideal depth.
        voxels: how many have a depth.
        depth: their mean depth, with limits over test images where the mapping has draws of it.
        monotone: depth by the monotone fit.
    """

    rois: str
    level: float
    voxels: int
    depth: Estimate
    monotone: float


@dataclass(frozen=True)
class HierarchyFit:
    """How well depth in a network follows an order of ROIs.

    Attributes:
        order: name of the order.
        source: what depth was computed from: layer shares or a selector.
        axis: what positions of layers are: ``"layer index"`` or ``"distance from the pixels"``.
        slope, b0, b1: the line ``depth = slope * level + b0`` over voxels, and its value at level 1, with limits
            over test images.
        slope_p: of the slope against shuffled layers, two-sided.
        spearman: rank correlation of depth and level over voxels.
        spearman_p: against shuffled layers.
        r2_line, r2_monotone, r2_levels: share of the depth's variance over voxels that the line, the best
            rising steps and any steps explain. Rising steps explain less than the line only where it falls.
            NaN where all depths are the same.
        in_order: share of the draws in which the mean depth rises from every level to the next; NaN
            where the mapping has none.
        permutations: orders of the layers in the null.
        levels: depth of each level.
    """

    order: str
    source: str
    axis: str
    slope: Estimate
    slope_p: float
    b0: Estimate
    b1: Estimate
    spearman: float
    spearman_p: float
    r2_line: float
    r2_monotone: float
    r2_levels: float
    in_order: float
    permutations: int
    levels: tuple[LevelDepth, ...]


def fit_hierarchy(
    mapping: Mapping,
    order: Order,
    source: str = "layer_share",
    *,
    distance: Float[np.ndarray, "layer"] | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> HierarchyFit:
    """Fit an order of ROIs to the depth of a mapping's voxels.

    Args:
        mapping: the mapping.
        order: ROIs and their ideal levels.
        source: ``"layer_share"``, or the selector ``"layer"`` (canonical gauge) or ``"layer_raw"``.
        distance: distance of every layer from the pixels, which then stands for the layer's index.
        permutations: orders of the layers in the null.
        seed: of these orders.
        confidence: part of the draws between the limits.

    Raises:
        UnknownNameError: if the source or an ROI does not exist.
        DataError: if a level has no voxel with a depth, or the network has one layer.
        ShapeError: if there are not as many distances as layers.
    """
    weights, positions = depth_source(mapping, source).astype(np.float64), _positions(mapping, distance)
    known = np.asarray(np.isfinite(weights).all(axis=1))
    voxels = _LevelVoxels.of(order, mapping, known)
    depth = (weights @ positions)[voxels.inside]
    line = fit_slope(weights @ positions, voxels.members, order.levels)
    spearman = spearman_correlation(depth, voxels.levels)
    null = shuffle_layers(weights[voxels.inside], positions, voxels.levels, permutations, seed)
    slope_p, spearman_p = null.p(line.slope, spearman)
    means = np.array([part.mean() for part in np.split(depth, voxels.counts.cumsum()[:-1])])
    monotone = monotone_fit(means, voxels.counts)
    drawn = _drawn_means(mapping, order, known) if source == DEPTH_SOURCES[0] and distance is None else None
    return HierarchyFit(
        order=order.name,
        source=source,
        axis="layer index" if distance is None else "distance from the pixels",
        slope_p=slope_p,
        **_line_with_limits(line, drawn, voxels.counts, order.levels, confidence),
        spearman=spearman,
        spearman_p=spearman_p,
        r2_line=_explained(depth, line.b0 + line.slope * voxels.levels),
        r2_monotone=_explained(depth, np.repeat(monotone, voxels.counts)),
        r2_levels=_explained(depth, np.repeat(means, voxels.counts)),
        in_order=math.nan if drawn is None else float((np.diff(drawn, axis=1) > 0).all(axis=1).mean()),
        permutations=len(null.slope),
        levels=_level_depths(order, voxels.counts, means, monotone, drawn, confidence),
    )


def monotone_fit(means: Float[np.ndarray, "level"], counts: Int[np.ndarray, "level"]) -> Float[np.ndarray, "level"]:
    """Rising steps of least squared error over voxels (isotonic regression): ``min sum_k n_k (m_k - f_k)^2``.

    Args:
        means: mean depth of each level, in the order of the levels.
        counts: voxels of each level.
    """
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(means, weights=np.asarray(counts, dtype=float)).x)


@dataclass(frozen=True, eq=False)
class _LevelVoxels:
    """Voxels of an order that have a depth; one that lies in two levels counts in both.

    Attributes:
        members: voxels of each level.
        counts: how many each level has.
        inside: indices of all of them, level by level.
        levels: ideal depth of each of these.
    """

    members: dict[str, Bool[np.ndarray, "voxel"]]
    counts: Int[np.ndarray, "level"]
    inside: Int[np.ndarray, "member"]
    levels: Float[np.ndarray, "member"]

    @classmethod
    def of(cls, order: Order, mapping: Mapping, known: Bool[np.ndarray, "voxel"]) -> "_LevelVoxels":
        """Voxels of an order's levels that have a depth.

        Raises:
            DataError: if a level has none.
        """
        members = {name: inside & known for name, inside in order.members(mapping.rois).items()}
        counts = np.array([inside.sum() for inside in members.values()])
        if not counts.all():
            empty = list(members)[int(counts.argmin())]
            raise DataError(f"order {order.name!r}: {empty} has no voxel with a depth; leave it out")
        inside = np.concatenate([np.flatnonzero(mask) for mask in members.values()])
        return cls(members, counts, inside, np.repeat(list(order.levels.values()), counts))


def _positions(mapping: Mapping, distance: Float[np.ndarray, "layer"] | None) -> Float[np.ndarray, "layer"]:
    layers = mapping.dataset.sizes["layer"]
    if layers < 2:
        raise DataError("a hierarchy needs a network of two layers or more; this mapping has one")
    if distance is None:
        return np.linspace(0, 1, layers)
    if np.shape(distance) != (layers,):
        raise ShapeError(f"the mapping has {layers} layers, got {np.shape(distance)} distances; give one each")
    return np.asarray(distance, dtype=np.float64)


def _drawn_means(
    mapping: Mapping, order: Order, known: Bool[np.ndarray, "voxel"]
) -> Float[np.ndarray, "draw level"] | None:
    """Mean depth of each level in every draw; None where there are no draws, or ROIs of a level overlap."""
    if "drawn_depth" not in mapping.dataset:
        return None
    regions = [str(name) for name in mapping.dataset["region"].values]
    drawn = mapping.dataset["drawn_depth"].values
    columns = []
    for parts in order.steps.values():
        inside = np.stack([mapping.rois[name] & known for name in parts])
        if not set(parts) <= set(regions) or inside.sum(axis=0).max() > 1:
            return None
        chosen = inside.any(axis=1)
        share = inside.sum(axis=1)[chosen] / inside.sum()
        columns.append(drawn[:, [regions.index(name) for name in parts]][:, chosen] @ share)
    return np.stack(columns, axis=1)


def _line_with_limits(
    line: HierarchySlope,
    drawn: Float[np.ndarray, "draw level"] | None,
    counts: Int[np.ndarray, "level"],
    levels: MappingType[str, float],
    confidence: float,
) -> dict[str, Any]:
    """``slope``, ``b0`` and ``b1``."""
    draws: dict[str, np.ndarray] = {}
    if drawn is not None:
        # Over voxels, least squares is that over the levels' means weighted by how many voxels they have.
        x = np.array(list(levels.values()))
        middle = counts @ x / counts.sum()
        slope = drawn @ (counts * (x - middle)) / (counts @ np.square(x - middle))
        b0 = drawn @ counts / counts.sum() - slope * middle
        draws = {"slope": slope, "b0": b0, "b1": b0 + slope}
    return {name: Estimate.of_draws(getattr(line, name), draws.get(name), confidence=confidence) for name in LINE}


def _level_depths(
    order: Order,
    counts: Int[np.ndarray, "level"],
    means: Float[np.ndarray, "level"],
    monotone: Float[np.ndarray, "level"],
    drawn: Float[np.ndarray, "draw level"] | None,
    confidence: float,
) -> tuple[LevelDepth, ...]:
    draws = [None] * len(means) if drawn is None else list(drawn.T)
    return tuple(
        LevelDepth(name, level, int(count), Estimate.of_draws(float(mean), own, confidence=confidence), float(step))
        for (name, level), count, mean, own, step in zip(
            order.levels.items(), counts, means, draws, monotone, strict=True
        )
    )


def _explained(values: Float[np.ndarray, "voxel"], fitted: Float[np.ndarray, "voxel"]) -> float:
    total = np.square(values - values.mean()).sum()
    return float(1 - np.square(values - fitted).sum() / total) if total > 0 else math.nan
