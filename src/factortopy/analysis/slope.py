"""Hierarchy slope: does depth in the network follow the order of visual areas?"""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from itertools import chain

import numpy as np
from jaxtyping import Bool, Float

from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping

PAPER_LEVELS: MappingType[str, float] = {"V1": 0.0, "V2V3": 0.33, "OPA": 0.66, "EBA": 1.0}
"""Ideal depth of the paper's ROIs (table 2)."""
DEPTH_SOURCES = ("layer_share", "layer", "layer_raw")
"""Variables that depth can be computed from; the first is identifiable, the last is the selector as trained."""
LINE = ("slope", "b0", "b1")
"""Numbers of a hierarchy line."""


@dataclass(frozen=True)
class HierarchySlope:
    """The line ``depth = slope * level + b0`` over all voxels of some ROIs (table 2).

    Attributes:
        slope: change of relative depth from the lowest (0) to the highest (1) level.
        b0: depth on the line at level 0.
        b1: depth on the line at level 1.
        voxels: number of voxels of every ROI that went in.
    """

    slope: float
    b0: float
    b1: float
    voxels: dict[str, int]


def layer_position(weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel"]:
    """Relative depth, ``sum_l (l - 1) / (L - 1) w_l``, of layer weights or shares that sum to 1.

    Returns:
        0 at the first layer and 1 at the last; shares that are negative somewhere can lead outside.
        All 0 for a network of one layer.
    """
    layers = weights.shape[-1]
    return weights @ np.linspace(0, 1, layers) if layers > 1 else np.zeros(len(weights))


def fit_slope(
    depth: Float[np.ndarray, "voxel"],
    rois: MappingType[str, Bool[np.ndarray, "voxel"]],
    levels: MappingType[str, float] = PAPER_LEVELS,
) -> HierarchySlope:
    """Least squares of depth against the level of the ROI a voxel lies in.

    Voxels are not independent, so no standard error is given.

    Args:
        depth: relative depth of every voxel; NaN voxels are left out.
        rois: membership of ROIs by name.
        levels: ideal depth in 0..1 of the ROIs to use.

    Raises:
        UnknownNameError: if an ROI of ``levels`` is not among ``rois``.
        DataError: if fewer than two levels have voxels.
    """
    for name in levels:
        if name not in rois:
            raise UnknownNameError("ROI", name, rois)
    members = {name: np.asarray(rois[name], dtype=bool) & np.isfinite(depth) for name in levels}
    voxels = {name: int(inside.sum()) for name, inside in members.items()}
    x = np.concatenate([np.full(voxels[name], level) for name, level in levels.items()])
    y = np.concatenate([depth[members[name]] for name in levels])
    if len(np.unique(x)) < 2:
        raise DataError(f"a slope needs voxels at two levels or more; the ROIs hold {voxels}")
    (slope, b0), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
    return HierarchySlope(float(slope), float(b0), float(b0 + slope), voxels)


def hierarchy_slope(
    mapping: Mapping, source: str = "layer_share", levels: MappingType[str, float] = PAPER_LEVELS
) -> HierarchySlope:
    """Hierarchy slope of a mapping.

    Args:
        mapping: the mapping.
        source: ``"layer_share"`` (identifiable), ``"layer"`` (the selector in the canonical gauge) or
            ``"layer_raw"`` (the selector as trained, kept for ``recipe="paper"``).
        levels: ideal depth in 0..1 of the ROIs to use.

    Raises:
        UnknownNameError: if the source or an ROI does not exist.
        DataError: if fewer than two levels have voxels.

    Example:
        >>> line = ft.hierarchy_slope(mapping)
        >>> line.b1 == line.b0 + line.slope
        True
    """
    return fit_slope(layer_position(depth_source(mapping, source)), mapping.rois, levels)


def depth_source(mapping: Mapping, source: str) -> Float[np.ndarray, "voxel layer"]:
    """What depth is computed from: layer shares or a selector."""
    sources = [name for name in DEPTH_SOURCES if name in mapping.dataset]
    if source not in sources:
        raise UnknownNameError("source of depth", source, sources)
    return mapping.found(source)


ORDERS: MappingType[str, tuple[str, ...]] = {
    "paper": (",".join(f"{name}={level}" for name, level in PAPER_LEVELS.items()),),
    "V1 to V4": ("V1,V2,V3,V4", "V1,V2V3,V4"),
    "ventral": ("early,midventral,ventral", "V1,V2V3,V4,FFA+PPA"),
    "lateral": ("early,midlateral,lateral", "V1,V2V3,EBA"),
    "dorsal": ("early,midparietal,parietal", "V1,V2V3,OPA"),
}
"""ROIs of each order by name, the best first: NSD's and Algonauts' streams, else single regions."""


@dataclass(frozen=True)
class Order:
    """ROIs in their order.

    Attributes:
        name: of the order.
        steps: the ROIs of each level, by the level's name: ``{"V2+V3": ("V2", "V3")}`` is their union.
        levels: the ideal depth of each level in 0..1, by the level's name, in rising order.
    """

    name: str
    steps: MappingType[str, tuple[str, ...]]
    levels: MappingType[str, float]

    def members(self, rois: MappingType[str, Bool[np.ndarray, "voxel"]]) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Voxels of each level.

        Args:
            rois: membership of ROIs by name.

        Raises:
            UnknownNameError: if an ROI is not among them.
        """
        for name in (name for parts in self.steps.values() for name in parts):
            if name not in rois:
                raise UnknownNameError("ROI", name, rois)
        return {
            step: np.any([np.asarray(rois[name], dtype=bool) for name in parts], axis=0)
            for step, parts in self.steps.items()
        }


def parse_order(text: str, name: str | None = None) -> Order:
    """An order from ``"V1,V2+V3,V4"`` or, with levels of one's own, ``"V1=0,V2+V3=0.33,EBA=1"``.

    Args:
        text: ROIs parted by commas, ``+`` between those that share a level. Without numbers the levels are
            evenly spaced from 0 to 1.
        name: of the order; the text itself if None.

    Raises:
        DataError: if there are fewer than two levels, one stands twice, or levels are not rising in 0..1.

    Example:
        >>> list(ft.parse_order("V1,V2V3,OPA,EBA").levels)
        ['V1', 'V2V3', 'OPA', 'EBA']
    """
    entries = [entry.strip().partition("=") for entry in text.split(",")]
    names = ["+".join(part.strip() for part in entry[0].split("+")) for entry in entries]
    if len(names) < 2 or not all(all(entry.split("+")) for entry in names) or len(set(names)) < len(names):
        raise DataError(f"{text!r} is no order of ROIs; give two or more different ones, e.g. V1,V2+V3,V4")
    given = [entry[2].strip() for entry in entries]
    try:
        levels = [float(value) for value in given] if any(given) else np.linspace(0, 1, len(names)).tolist()
    except ValueError:
        raise DataError(f"{text!r}: give every ROI a number, e.g. V1=0,V4=0.5,EBA=1, or none") from None
    if not 0 <= levels[0] < levels[-1] <= 1 or not np.all(np.diff(levels) >= 0):
        raise DataError(f"{text!r}: levels must rise, within 0 to 1; got {', '.join(map(str, levels))}")
    steps = {step: tuple(step.split("+")) for step in names}
    return Order(name or text, steps, dict(zip(names, levels, strict=True)))


def orders_of(rois: MappingType[str, Bool[np.ndarray, "voxel"]]) -> list[Order]:
    """The known orders whose every level has voxels among some ROIs, each from its best set.

    Args:
        rois: membership of ROIs by name.

    Example:
        >>> [order.name for order in ft.orders_of(subject.voxels.rois)][:1]
        ['paper']
    """
    with_voxels = {name for name, inside in rois.items() if np.any(inside)}
    orders = [[parse_order(text, name) for text in texts] for name, texts in ORDERS.items()]
    fitting = [[order for order in own if with_voxels.issuperset(chain(*order.steps.values()))] for own in orders]
    return [own[0] for own in fitting if own]
