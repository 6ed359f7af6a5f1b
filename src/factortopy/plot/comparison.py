"""Maps of a comparison: differences, who predicts best, what is unique to a network, before and after, counts.

What they show comes from :mod:`factortopy.analysis`; all maps raise :class:`DataError` where nothing is known or the
mappings lie on no surface that can be painted.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from factortopy.analysis import QUANTITIES, SIMILARITIES, Change, Comparison, Difference, Partition, Similarity, Winners
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.colours import UNCOLOURED, Palette, class_colours, scalar_colormap
from factortopy.plot.keys import BarKey, Key, LayerKey, ListKey
from factortopy.plot.pages import map_page
from factortopy.plot.panels import CortexPanel
from factortopy.plot.style import (
    INK,
    MARGIN,
    PAGE,
    Which,
    add_axes,
    chosen,
    network_names,
    new_figure,
    shortened,
    styled,
    wrap,
)

NOBODY = np.array([0.36, 0.40, 0.44, 1.0])
"""Slate grey: voxels that no network predicts."""
KEY_LETTERS = 24
"""Of a line of a network's name in a key."""
BAR_LINE = 5.0
"""Height of a line of the bars, mm."""
MATRIX_LEFT, SMALLEST_CELL = 38.0, 6.0
"""Room for labels of a matrix; size of a cell from which on its number has room, mm."""


@styled
def difference_map(comparison: Comparison, difference: Difference, *, palette: Palette = "default") -> Figure:
    """One mapping's quantity less another's, painted; the colour of no difference is white."""
    name = QUANTITIES.get(difference.quantity, difference.quantity)
    key = BarKey.diverging(difference.values, palette, "difference")
    means: list[tuple[Any, ...]] = []
    for region, mean in difference.regions.items():
        if mean.known:
            means.append((None, region.removesuffix(" voxels"), f"{mean.value:+.3f}"))
        if mean.known and mean.limited:
            means.append((None, "", f"{mean.low:+.3f} … {mean.high:+.3f}"))
    mapping = comparison.mappings[comparison.index(difference.one)]
    # No mean is given where nothing was found.
    keys: list[Key] = [key, *([ListKey(means)] if means else [])]
    return map_page(
        comparison, f"{name[:1].upper()}{name[1:]}: {difference.one} less {difference.other}",
        [CortexPanel(mapping, key.colours(difference.values))], keys, source=name,
        alt=f"Map of the cortex; colour shows {name} in {difference.one} less that in {difference.other}.",
    )  # fmt: skip


@styled
def winner_map(comparison: Comparison, won: Winners, *, palette: Palette = "default") -> Figure:
    """Which mapping predicts each voxel best, pale where that is in doubt, and its share of each ROI."""
    colours, regions = class_colours(len(comparison.labels), palette), comparison.regions
    rgba = np.where((won.best >= 0)[:, None], colours[won.best], NOBODY)
    # Long names take several lines, so that names of one beginning and end are told apart.
    entries: list[tuple[Any, str]] = [
        (None if number else colour, line)
        for colour, label in zip(colours, comparison.labels, strict=True)
        for number, line in enumerate(wrap(label, KEY_LETTERS).split("\n"))
    ]
    if won.clear is not None:
        doubt = (won.best >= 0) & ~won.clear
        rgba[doubt] = _pale(rgba[doubt])
        entries.append((_pale(colours[0]), "pale: in doubt"))
    entries.append((NOBODY, "R² of none above 0"))
    figure = map_page(
        comparison, "Which network predicts best", [CortexPanel(comparison.mappings[0], rgba)], [ListKey(entries)],
        source=f"raw R² · {won.basis}", below=BAR_LINE * len(regions) + 14,
        alt=f"Map of the cortex; colour: which of {', '.join(comparison.labels)} has the largest R².",
    )  # fmt: skip
    _winner_bars(add_axes(figure, 34, 11, PAGE - 34 - 2 * MARGIN, BAR_LINE * len(regions)), regions, won, colours)
    return figure


@styled
def unique_maps(comparison: Comparison, partition: Partition, *, palette: Palette = "default") -> Figure:
    """R^2 that is unique to each network, painted side by side; negative values are shown as they are."""
    values, mapping = partition.parts[: len(partition.labels)], comparison.mappings[0]
    key = BarKey.diverging(values, palette, "unique R²")
    panels = [
        CortexPanel(mapping, key.colours(row), f"{label}\nmean {np.nanmean(row):+.3f}")
        for label, row in zip(partition.labels, values, strict=True)
    ]
    return map_page(
        comparison, "Variance that only one network predicts", panels, [key],
        source="R²(all) − R²(others), weights from validation images",
        alt=f"Maps of the cortex; colour shows the R² unique to {', '.join(partition.labels)}.",
    )  # fmt: skip


@styled
def change_maps(change: Change, which: Which = "share", *, palette: Palette = "default") -> Figure:
    """Layer maps before and after (figure 7), and below them the change of depth and of R^2.

    Args:
        which: ``"share"`` for layer shares on held-out images, ``"selector"`` for selectors.
    """
    weights = [chosen(mapping, "layer", which)[0] for mapping in change.mappings]
    key, names = LayerKey(change.mappings[0].layers, palette), network_names(change.mappings)
    panels = [
        CortexPanel(mapping, key.colours(values), f"{label}: {name}")
        for label, name, mapping, values in zip(("before", "after"), names, change.mappings, weights, strict=True)
    ]
    depth, bars = "depth" if which == "share" else "selector_depth", []
    for title, quantity in ((f"change of layer position ({which})", depth), ("change of R²", "r2")):
        values = change.values(quantity)
        bars.append(BarKey.diverging(values, palette, title))
        panels.append(CortexPanel(change.mappings[1], bars[-1].colours(values), title))
    return map_page(
        change.comparison, "Layer map before and after the weights changed", panels, [key, *bars],
        source=f"layer {which}",
        alt=f"Maps of the cortex: layer {which} in {names[0]} and {names[1]}; change of depth and R².",
    )  # fmt: skip


@styled
def subject_counts(average: Mapping, *, palette: Palette = "default") -> Figure:
    """How many subjects have each vertex of an average (:func:`factortopy.analysis.subject_average`).

    Raises:
        DataError: if the mapping is no average.
    """
    if "subjects" not in average.dataset:
        raise DataError("this mapping is no average over subjects; make one with subject_average")
    counts, most = average.dataset["subjects"].values, average.dataset.sizes["person"]
    steps = colormaps["cividis" if palette == "colour-blind" else "viridis"](np.linspace(0.1, 0.95, most))
    entries = [
        (colour, f"{count}: {(counts == count).sum():,} vertices") for count, colour in enumerate(steps, start=1)
    ]
    return map_page(
        average, "How many subjects have each vertex", [CortexPanel(average, steps[counts - 1])], [ListKey(entries)],
        source="count", alt=f"Map of the cortex; colour shows how many of {most} subjects have a vertex.",
    )  # fmt: skip


@styled
def similarity_matrices(
    comparison: Comparison, similarities: Sequence[Similarity], *, palette: Palette = "default"
) -> Figure:
    """Correlations between whole mappings, a matrix a quantity, with the number of voxels."""
    count = len(similarities[0].labels)
    cell = min(12.0, 120.0 / count)
    side = count * cell
    columns = max(1, int((PAGE - MATRIX_LEFT) // (side + 8)))
    rows = math.ceil(len(similarities) / columns)
    names = [f"{number}" for number in range(1, count + 1)]
    numbered = [f"{number} {label}" for number, label in enumerate(similarities[0].labels, start=1)]
    figure = new_figure(
        comparison, "How alike whole mappings are", rows * (side + 18) + 4, source="correlation over voxels",
        alt=f"Matrices of correlations between {', '.join(numbered)}.",
    )  # fmt: skip
    for number, matrix in enumerate(similarities):
        row, column = divmod(number, columns)
        axes = add_axes(figure, MATRIX_LEFT + column * (side + 8), 6 + (rows - 1 - row) * (side + 18), side, side)
        axes.imshow(matrix.correlation, cmap=scalar_colormap("difference", palette), vmin=-1, vmax=1, gid="matrix")
        if cell >= SMALLEST_CELL:
            _write_cells(axes, matrix.correlation)
        axes.set_yticks(range(count), [wrap(label, 22) for label in numbered] if column == 0 else names)
        axes.set_xticks(range(count), names)
        axes.tick_params(length=0)
        few, many = matrix.voxels.min(), matrix.voxels.max()
        voxels = f"{many:,} voxels" if few == many else f"{few:,}-{many:,} voxels"
        axes.set_title(f"{wrap(SIMILARITIES[matrix.quantity], 22)}\n{voxels}", fontsize=7)
    return figure


def _pale(rgba: Float[np.ndarray, "*voxel 4"]) -> Float[np.ndarray, "*voxel 4"]:
    return np.concatenate([0.3 * rgba[..., :3] + 0.7 * UNCOLOURED, rgba[..., 3:]], axis=-1)


def _winner_bars(axes: Axes, regions: dict[str, Bool[np.ndarray, "voxel"]], won: Winners, colours: np.ndarray) -> None:
    """Share of each ROI's voxels by winner; what is beyond doubt in full colour, the rest pale."""
    for row, inside in enumerate(regions.values()):
        parts = []
        for network, colour in [*enumerate(colours), (-1, NOBODY)]:
            whole = won.share(inside, network)
            if won.clear is not None and network >= 0:
                clear = won.share(inside, network, clear=True)
                parts += [(clear, colour), (whole - clear, _pale(colour))]
            else:
                parts.append((whole, colour))
        left = 0.0
        for share, colour in parts:
            axes.barh(row, share, left=left, color=colour, height=0.78, edgecolor="white", linewidth=0.4)
            left += share
    axes.set_yticks(
        range(len(regions)), [f"{shortened(name, 24)} ({int(inside.sum()):,})" for name, inside in regions.items()]
    )
    axes.set(xlim=(0, 1), ylim=(len(regions) - 0.5, -0.5), xlabel="share of voxels")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    for line in (0.25, 0.5, 0.75):
        axes.axvline(line, color=INK, linewidth=0.3, alpha=0.4)


def _write_cells(axes: Axes, values: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(values):
        text, colour = "–" if np.isnan(value) else f"{value:.2f}", "white" if abs(value) > 0.7 else INK
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
