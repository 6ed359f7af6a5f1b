"""Hierarchy beyond the line: rank correlation, a monotone fit and a null, for any order of ROIs.

Limits come from the draws of test images in the mapping: a line needs only the mean depth of each level,
which was kept for every draw. Voxels are not independent, so none is counted as an observation.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import permutations

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from factortopy.analysis.estimates._of_mapping import limits_over
from factortopy.analysis.estimates.estimate_tables import CONFIDENCE, Estimate
from factortopy.analysis.slope import DEPTH_SOURCES, LINE, Order, depth_source, fit_slope
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping

PERMUTATIONS = 1_000
SAME_DEPTH = 1e-9
"""Depths that differ by less are the same but for rounding."""
CHUNK = 50
"""Permutations at a time: an array of voxels x permutations is ranked."""


@dataclass(frozen=True)
class LevelDepth:
    """Depth of the voxels of one level.

    Attributes:
        rois: name of the level.
        level: its ideal depth.
        voxels: how many have a depth.
        depth: their mean depth, with limits where the mapping has draws of it.
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
        slope, b0, b1: the line ``depth = slope * level + b0`` over voxels, and its value at level 1, with limits.
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
    distance: Real[np.ndarray, "layer"] | None = None,
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

    Example:
        >>> fitted = ft.fit_hierarchy(mapping, ft.parse_order("V1,V2V3,OPA,EBA"), permutations=99)
        >>> -1 <= fitted.spearman <= 1
        True
    """
    weights, positions = depth_source(mapping, source).astype(np.float64), _positions(mapping, distance)
    measured = np.asarray(np.isfinite(weights).all(axis=1))
    members = _members(order, mapping, measured)
    counts = np.array([inside.sum() for inside in members.values()])
    voxels = np.concatenate([np.flatnonzero(inside) for inside in members.values()])
    levels = np.repeat(list(order.levels.values()), counts)
    depth = (weights @ positions)[voxels]
    line = fit_slope(weights @ positions, members, order.levels)
    spearman = spearman_correlation(depth, levels)
    null = shuffle_layers(weights[voxels], positions, levels, permutations, seed)
    slope_p, spearman_p = null.p(line.slope, spearman)
    means = np.array([part.mean() for part in np.split(depth, counts.cumsum()[:-1])])
    monotone = monotone_fit(means, counts)
    drawn = _drawn_means(mapping, order, measured) if source == DEPTH_SOURCES[0] and distance is None else None
    lines = _drawn_lines(drawn, counts, np.array(list(order.levels.values())))
    limited = partial(Estimate.of_draws, confidence=confidence, over=limits_over(mapping, "depth"))
    return HierarchyFit(
        order=order.name,
        source=source,
        axis="layer index" if distance is None else "distance from the pixels",
        slope_p=slope_p,
        **{name: limited(getattr(line, name), lines[name]) for name in LINE},
        spearman=spearman,
        spearman_p=spearman_p,
        r2_line=_explained(depth, line.b0 + line.slope * levels),
        r2_monotone=_explained(depth, np.repeat(monotone, counts)),
        r2_levels=_explained(depth, np.repeat(means, counts)),
        in_order=math.nan if drawn is None else float((np.diff(drawn, axis=1) > 0).all(axis=1).mean()),
        permutations=len(null.slope),
        levels=tuple(
            LevelDepth(name, level, int(counts[k]), limited(float(means[k]), own), float(monotone[k]))
            for k, ((name, level), own) in enumerate(
                zip(order.levels.items(), [None] * len(means) if drawn is None else drawn.T, strict=True)
            )
        ),
    )


def monotone_fit(means: Float[np.ndarray, "level"], counts: Int[np.ndarray, "level"]) -> Float[np.ndarray, "level"]:
    """Rising steps of least squared error over voxels (isotonic regression): ``min sum_k n_k (m_k - f_k)^2``."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(means, weights=np.asarray(counts, dtype=float)).x)


def _members(
    order: Order, mapping: Mapping, measured: Bool[np.ndarray, "voxel"]
) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """Voxels of each level that have a depth; one that lies in two levels counts in both."""
    members = {name: inside & measured for name, inside in order.members(mapping.rois).items()}
    for name, inside in members.items():
        if not inside.any():
            raise DataError(f"order {order.name!r}: {name} has no voxel with a depth; leave it out")
    return members


def _positions(mapping: Mapping, distance: Real[np.ndarray, "layer"] | None) -> Float[np.ndarray, "layer"]:
    layers = mapping.dataset.sizes["layer"]
    if layers < 2:
        raise DataError("a hierarchy needs a network of two layers or more; this mapping has one")
    if distance is None:
        return np.linspace(0, 1, layers)
    if np.shape(distance) != (layers,):
        raise ShapeError(f"the mapping has {layers} layers, got {np.shape(distance)} distances; give one each")
    return np.asarray(distance, dtype=np.float64)


def _drawn_means(
    mapping: Mapping, order: Order, measured: Bool[np.ndarray, "voxel"]
) -> Float[np.ndarray, "draw level"] | None:
    """Mean depth of each level in every draw; None where there are no draws, or ROIs of a level overlap."""
    if "drawn_depth" not in mapping.dataset:
        return None
    regions = [str(name) for name in mapping.dataset["region"].values]
    drawn = mapping.dataset["drawn_depth"].values
    columns = []
    for parts in order.steps.values():
        inside = np.stack([mapping.rois[name] & measured for name in parts])
        if not set(parts) <= set(regions) or inside.sum(axis=0).max() > 1:
            return None
        chosen = inside.any(axis=1)
        share = inside.sum(axis=1)[chosen] / inside.sum()
        columns.append(drawn[:, [regions.index(name) for name in parts]][:, chosen] @ share)
    return np.stack(columns, axis=1)


def _drawn_lines(
    drawn: Float[np.ndarray, "draw level"] | None, counts: Int[np.ndarray, "level"], levels: Float[np.ndarray, "level"]
) -> dict[str, Float[np.ndarray, "draw"] | None]:
    """Slope, b0 and b1 of every draw: least squares over voxels is that over levels weighted by their voxels."""
    if drawn is None:
        return dict.fromkeys(LINE)
    middle = counts @ levels / counts.sum()
    slope = drawn @ (counts * (levels - middle)) / (counts @ np.square(levels - middle))
    b0 = drawn @ counts / counts.sum() - slope * middle
    return {"slope": slope, "b0": b0, "b1": b0 + slope}


def _explained(values: Float[np.ndarray, "voxel"], fitted: Float[np.ndarray, "voxel"]) -> float:
    if np.ptp(values) < SAME_DEPTH:
        return math.nan
    return float(1 - np.square(values - fitted).sum() / np.square(values - values.mean()).sum())


@dataclass(frozen=True, eq=False)
class ShuffledLayers:
    """Slope and rank correlation of permutations of the layers; ``exact`` if every one is there once."""

    slope: Float[np.ndarray, "permutation"]
    spearman: Float[np.ndarray, "permutation"]
    exact: bool

    def p(self, slope: float, spearman: float) -> tuple[float, float]:
        """Two-sided p values: the share of orders at least as far from 0 as the true one.

        Random orders count the true one in: ``(1 + orders as far) / (1 + orders)``.
        """
        return self._p(self.slope, slope), self._p(self.spearman, spearman)

    def _p(self, null: Float[np.ndarray, "permutation"], value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        # Sums in another order must not make equal numbers differ.
        far = int((np.abs(null) >= abs(value) * (1 - 1e-6) - 1e-12).sum())
        return far / len(null) if self.exact else (1 + far) / (1 + len(null))


def shuffle_layers(
    weights: Float[np.ndarray, "voxel layer"],
    positions: Float[np.ndarray, "layer"],
    levels: Float[np.ndarray, "voxel"],
    count: int = PERMUTATIONS,
    seed: int = 0,
) -> ShuffledLayers:
    """Slope and rank correlation of ``depth = weights @ permuted positions`` with the levels of voxels."""
    drawn, exact = _permutations(len(positions), count, seed)
    x = levels - levels.mean()
    # Least squares is linear in depth and depth in the positions: one weight of each layer gives all slopes.
    by_layer = x @ weights / (x @ x)
    ranks = _standard_ranks(levels[:, None])[:, 0]
    spearman = [
        ranks @ _standard_ranks(weights @ positions[drawn[start : start + CHUNK]].T)
        for start in range(0, len(drawn), CHUNK)
    ]
    return ShuffledLayers(positions[drawn] @ by_layer, np.concatenate(spearman), exact)


def spearman_correlation(depth: Float[np.ndarray, "voxel"], levels: Float[np.ndarray, "voxel"]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where all depths or levels are the same."""
    return float(_standard_ranks(depth[:, None])[:, 0] @ _standard_ranks(levels[:, None])[:, 0])


def _permutations(layers: int, count: int, seed: int) -> tuple[Int[np.ndarray, "permutation layer"], bool]:
    if math.factorial(layers) <= count:
        return np.array(list(permutations(range(layers)))), True
    random = np.random.default_rng(seed)
    return random.permuted(np.tile(np.arange(layers), (count, 1)), axis=1), False


def _standard_ranks(values: Float[np.ndarray, "voxel column"]) -> Float[np.ndarray, "voxel column"]:
    """Ranks of each column with mean 0 and length 1; 0 where the column is constant."""
    from scipy.stats import rankdata

    # Rounded: equal depths must tie however their sums came about.
    ranks = rankdata(np.round(values, 9), axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
