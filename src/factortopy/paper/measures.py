"""The numbers of the tables: max model, distance to it, hierarchy lines, smoothness."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis import estimate, hierarchy_slope, layer_position, record_of
from factortopy.errors import DataError, FactortopyError
from factortopy.mapping import Mapping
from factortopy.paper.numbers import Row
from factortopy.plot import surface_of

if TYPE_CHECKING:
    from factortopy.cortex import Surface

LINE = ("slope", "b0", "b1")


def selector_weights(mapping: Mapping) -> Float[np.ndarray, "voxel layer"]:
    """Layer selectors as the paper has them: as trained where they are kept, else in the canonical gauge."""
    name = "layer_raw" if "layer_raw" in mapping.dataset else "layer"
    return np.asarray(mapping.dataset[name].values)


def max_model(mappings: Sequence[Mapping]) -> Float[np.ndarray, "voxel"]:
    """The largest R^2 of any network at each voxel; NaN where none has one.

    Args:
        mappings: of the same voxels.

    Raises:
        DataError: if they have other voxels.
    """
    first = mappings[0].dataset
    for mapping in mappings:
        if not np.array_equal(mapping.dataset["vertex"].values, first["vertex"].values):
            raise DataError("the max model needs mappings of the same voxels: all networks fitted to one subject")
    scores = np.stack([mapping.dataset["r2"].values for mapping in mappings]).astype(float)
    return np.asarray(np.fmax.reduce(scores, axis=0))


def distance_to_max(
    best: Float[np.ndarray, "voxel"],
    own: Float[np.ndarray, "voxel"],
    inside: Bool[np.ndarray, "voxel"],
) -> float | None:
    """``sqrt(mean_i (max_i - R^2_i)^2)`` over the voxels of an ROI (table 1).

    The paper calls it root sum squared difference; its values only fit a mean over the voxels.

    Args:
        best: R^2 of the max model.
        own: R^2 of the network.
        inside: the ROI.

    Returns:
        None if no voxel of the ROI has both.
    """
    difference = (best - own)[inside]
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.square(difference).mean())) if len(difference) else None


def roi_mean(values: Float[np.ndarray, "voxel"], mapping: Mapping, roi: str) -> float | None:
    """Mean over the voxels of an ROI that have a value; None if there are none, or no such ROI."""
    if roi not in mapping.rois:
        return None
    chosen = values[mapping.rois[roi]]
    chosen = chosen[np.isfinite(chosen)]
    return float(chosen.mean()) if len(chosen) else None


def hierarchy_row(mapping: Mapping) -> Row:
    """R^2 and the hierarchy line of table 2, by selector as in the paper, and by share with limits.

    Args:
        mapping: of one subject, or an average over subjects.

    Returns:
        ``r2`` with ``_low`` and ``_high``; ``slope``, ``b0`` and ``b1`` of the selectors; ``share_slope``,
        ``share_b0`` and ``share_b1`` with ``_low`` and ``_high``; ``limits``, what these are over. None for
        what the mapping's ROIs do not allow.
    """
    score = estimate(mapping, "r2")
    row = record_of({"r2": score})
    try:
        source = "layer_raw" if "layer_raw" in mapping.dataset else "layer"
        line = hierarchy_slope(mapping, source)
        row |= {name: getattr(line, name) for name in LINE}
    except FactortopyError:
        row |= dict.fromkeys(LINE)
    shares = {f"share_{name}": estimate(mapping, name) for name in LINE}
    return row | record_of(shares) | {"limits": score.over or "none"}


def roughness(mapping: Mapping) -> float:
    """Mean absolute difference of layer position between neighbouring vertices, by selector (figure 3).

    Args:
        mapping: on a surface.

    Returns:
        0 for a map that is everywhere alike; two vertices at random differ by 1/3 where all positions are
        equally common.

    Raises:
        DataError: if no two voxels are neighbours.
    """
    surface: Surface = surface_of(mapping)
    position = layer_position(selector_weights(mapping))
    steps = []
    for hemisphere in surface.hemispheres:
        own = np.full(hemisphere.vertices, np.nan)
        vertex = mapping.dataset["vertex"].values
        here = (mapping.dataset["hemisphere"].values == hemisphere.name) & (vertex < hemisphere.vertices)
        own[vertex[here]] = position[here]
        steps.append(np.abs(own[hemisphere.edges[:, 0]] - own[hemisphere.edges[:, 1]]))
    finite = np.concatenate(steps)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        raise DataError("no two voxels of this mapping are neighbours on its surface")
    return float(finite.mean())
