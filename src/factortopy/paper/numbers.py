"""The numbers of the tables: the paper's, read from ``numbers.toml``, and ours, measured, beside them."""

import tomllib
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis import estimate, hierarchy_slope, layer_position, record_of
from factortopy.errors import DataError, FactortopyError, UnknownNameError
from factortopy.mapping import Mapping
from factortopy.plot import surface_of, to_vertices

Row = dict[str, Any]
"""A line of a table: columns by name, JSON-ready values."""
LINE = ("slope", "b0", "b1")
"""Numbers of a hierarchy line."""


@dataclass(frozen=True)
class PaperRow:
    """One line of a table of the paper: printed numbers by quantity; no network for the best of all."""

    label: str
    network: str
    values: MappingType[str, float]


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper: its number there, what it shows, the names of its columns of numbers, its lines."""

    source: str
    title: str
    quantities: tuple[str, ...]
    rows: tuple[PaperRow, ...]

    def row(self, network: str) -> PaperRow | None:
        """The line of a network; None where the paper has none."""
        return next((row for row in self.rows if row.network == network), None)


@cache
def paper_table(name: str) -> PaperTable:
    """A table of the paper.

    Args:
        name: ``"table1"`` or ``"table2"``.

    Raises:
        UnknownNameError: if the paper has no numbers under this name.
    """
    tables = tomllib.loads(files("factortopy.paper").joinpath("numbers.toml").read_text(encoding="utf-8"))
    if name not in tables:
        raise UnknownNameError("table of the paper", name, tables)
    table = tables[name]
    rows = tuple(
        PaperRow(row["label"], row["network"], {quantity: row[quantity] for quantity in table["quantities"]})
        for row in table["rows"]
    )
    return PaperTable(table["source"], table["title"], tuple(table["quantities"]), rows)


def beside(ours: MappingType[str, float | None], paper: PaperRow | None) -> Row:
    """For each of our numbers ``<name>``, ``<name>_paper`` and, ours less the paper's, ``<name>_difference``.

    All are None where there is none.
    """
    row: Row = {}
    for name, value in ours.items():
        printed = None if paper is None else paper.values.get(name)
        row[name] = value
        row[f"{name}_paper"] = printed
        row[f"{name}_difference"] = None if value is None or printed is None else value - printed
    return row


def selector_source(mapping: Mapping) -> str:
    """The variable of the layer selectors that the paper has: as trained where kept, else in the canonical gauge."""
    return "layer_raw" if "layer_raw" in mapping.dataset else "layer"


def selector_weights(mapping: Mapping) -> Float[np.ndarray, "voxel layer"]:
    """Layer selectors as the paper has them."""
    return np.asarray(mapping.dataset[selector_source(mapping)].values)


def max_model(mappings: Sequence[Mapping]) -> Float[np.ndarray, "voxel"]:
    """The largest R^2 of any network at each voxel; NaN where none has one.

    Raises:
        DataError: if the mappings are not of the same voxels.
    """
    first = mappings[0].dataset
    for mapping in mappings:
        if not np.array_equal(mapping.dataset["vertex"].values, first["vertex"].values):
            raise DataError("the max model needs mappings of the same voxels: all networks fitted to one subject")
    scores = np.stack([mapping.dataset["r2"].values for mapping in mappings]).astype(float)
    return np.asarray(np.fmax.reduce(scores, axis=0))


def distance_to_max(
    best: Float[np.ndarray, "voxel"], own: Float[np.ndarray, "voxel"], inside: Bool[np.ndarray, "voxel"]
) -> float | None:
    """``sqrt(mean_i (max_i - R^2_i)^2)`` over the voxels of an ROI (table 1); None if none has both.

    The paper calls it root sum squared difference; its values only fit a mean over the voxels.
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

    Returns:
        ``r2`` with ``_low`` and ``_high``; ``slope``, ``b0`` and ``b1`` of the selectors; ``share_slope``,
        ``share_b0`` and ``share_b1`` with ``_low`` and ``_high``; ``limits`` and ``share_limits``, what those of
        R^2 and of the shares are over. None for what the mapping's ROIs do not allow.
    """
    score = estimate(mapping, "r2")
    row = record_of({"r2": score})
    try:
        line = hierarchy_slope(mapping, selector_source(mapping))
        row |= {name: getattr(line, name) for name in LINE}
    except FactortopyError:
        row |= dict.fromkeys(LINE)
    shares = {f"share_{name}": estimate(mapping, name) for name in LINE}
    over = {"limits": score.over or "none", "share_limits": shares["share_slope"].over or "none"}
    return row | record_of(shares) | over


def limits_text(rows: Sequence[Row], column: str) -> str:
    """What the limits of rows are over, by the column that names it, in words."""
    over = dict.fromkeys(row[column] for row in rows if row[column] != "none")
    return f"95 % over {' or '.join(over)}" if over else "no limits"


def roughness(mapping: Mapping) -> float:
    """Mean absolute difference of layer position between neighbouring vertices, by selector (figure 3).

    Returns:
        0 for a map that is everywhere alike; two vertices at random differ by 1/3 where all positions are
        equally common.

    Raises:
        DataError: if no two voxels are neighbours.
    """
    surface, position = surface_of(mapping), layer_position(selector_weights(mapping))
    positions = to_vertices(mapping, surface, position)
    voxels = to_vertices(mapping, surface, np.ones(len(position), dtype=bool))
    steps = []
    for hemisphere in surface.hemispheres:
        own = np.where(voxels[hemisphere.name], positions[hemisphere.name], np.nan)
        steps.append(np.abs(own[hemisphere.edges[:, 0]] - own[hemisphere.edges[:, 1]]))
    finite = np.concatenate(steps)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        raise DataError("no two voxels of this mapping are neighbours on its surface")
    return float(finite.mean())
