"""Charts of a comparison: ranking by ROI, likeness of whole mappings, shared and unique variance."""

import math
import textwrap
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas

from factortopy.analysis import SIMILARITIES, Comparison, Estimate, Partition, Similarity
from factortopy.errors import DataError
from factortopy.plot.colours import Palette, diverging_colormap, roi_colours
from factortopy.plot.style import INK, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, GAP, RIGHT = 3, 5.0, 5.0
LINE, TITLE, TICKS = 5.0, 8.0, 10.0
"""Heights of a line, of a panel's title and of its ticks, mm."""
LABELS = 38.0
SMALLEST_CELL = 6.0
"""Size of a cell, mm, from which on its number has room."""
WRAP = 22
"""Characters of a label in a line."""


@styled
def ranking(
    comparison: Comparison,
    regions: pandas.DataFrame,
    *,
    normalised: bool = False,
    palette: Palette = "default",
) -> "Figure":
    """Mean R^2 of each network in each ROI, a panel an ROI, with limits and the noise ceiling.

    Args:
        comparison: what is compared.
        regions: from :func:`factortopy.analysis.region_table`.
        normalised: show mean R^2 over mean ceiling instead.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if normalised values are wanted and there is no ceiling.
    """
    if normalised and regions["normalised"].isna().all():
        raise DataError("these mappings have no noise ceiling, so their R² stays raw")
    panels: dict[str, list[Estimate]] = {}
    ceilings = {}
    for row in regions.to_dict("records"):
        title = f"{row['roi']} ({row['voxels']:,})"
        panels.setdefault(title, []).append(Estimate.in_row(row, "normalised" if normalised else "r2"))
        ceilings[title] = math.nan if normalised else row["ceiling"]
    name = "R² over noise ceiling" if normalised else "raw R²"
    return _dots(
        comparison, panels, comparison.labels, title=f"Ranking of networks: {name}",
        source=f"{name}, 95 % over {regions['limits'][0]}", axis=name, ceilings=ceilings, palette=palette,
    )  # fmt: skip


@styled
def lines(comparison: Comparison, table: pandas.DataFrame, *, palette: Palette = "default") -> "Figure":
    """Slope, b0 and b1 of the hierarchy line of each network by layer share, with limits.

    Args:
        comparison: what is compared.
        table: from :func:`factortopy.analysis.line_table`.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the ROIs allow no line.
    """
    if table.empty:
        raise DataError("these mappings have no hierarchy line: their ROIs lack V1, V2V3, OPA or EBA")
    panels: dict[str, list[Estimate]] = {}
    for row in table.to_dict("records"):
        panels.setdefault(row["quantity"], []).append(Estimate.in_row(row, "value"))
    return _dots(
        comparison, panels, comparison.labels, title="Hierarchy line of each network, by layer share",
        source=f"layer share, 95 % over {table['limits'][0]}", axis="layer position", palette=palette,
    )  # fmt: skip


@styled
def partition(comparison: Comparison, found: Partition, *, palette: Palette = "default") -> "Figure":
    """Shared and unique variance in each ROI, with limits; small marks are halves of the test images.

    Args:
        comparison: what is compared.
        found: from :func:`factortopy.analysis.partition_variance`.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    panels: dict[str, list[Estimate]] = {}
    halves: dict[str, list[tuple[float, float]]] = {}
    for row in found.table.to_dict("records"):
        title = f"{row['roi']} ({row['voxels']:,})"
        panels.setdefault(title, []).append(Estimate.in_row(row, "value"))
        halves.setdefault(title, []).append((row["half_one"], row["half_two"]))
    labels = []
    for subset in found.subsets:
        names = ", ".join(str(place + 1) for place in subset)
        labels.append(f"unique to {names}" if len(subset) == 1 else f"shared by {names}")
    key = ", ".join(f"{number}: {label}" for number, label in enumerate(found.labels, start=1))
    return _dots(
        comparison, panels, [*labels, "all together"], title="Shared and unique variance",
        source=f"{key} · weights from validation images, R² of test images, 95 %, ticks: halves",
        axis="R²", beside=halves, palette=palette,
    )  # fmt: skip


@styled
def similarity_matrices(
    comparison: Comparison, found: Sequence[Similarity], *, palette: Palette = "default"
) -> "Figure":
    """Correlations between whole mappings, a matrix a quantity, with the number of voxels.

    Args:
        comparison: what is compared.
        found: from :func:`factortopy.analysis.comparing._similarity`, of the same mappings.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    count = len(found[0].labels)
    cell = min(12.0, 120.0 / count)
    columns = max(1, int((PAGE - LABELS) // (count * cell + 8)))
    lines_ = math.ceil(len(found) / columns)
    side = count * cell
    names = [f"{number}" for number in range(1, count + 1)]
    key = ", ".join(f"{number} {label}" for number, label in enumerate(found[0].labels, start=1))
    figure = new_figure(
        comparison, "How alike whole mappings are", lines_ * (side + 18) + 4,
        source="correlation over voxels",
        alt=f"Matrices of correlations between {key}.",
    )  # fmt: skip
    for place, matrix in enumerate(found):
        line, column = divmod(place, columns)
        left = LABELS + column * (side + 8)
        axes = add_axes(figure, left, 6 + (lines_ - 1 - line) * (side + 18), side, side)
        axes.imshow(matrix.correlation, cmap=diverging_colormap(palette), vmin=-1, vmax=1, gid="matrix")
        if cell >= SMALLEST_CELL:
            _write_cells(axes, matrix.correlation)
        own = [_wrapped(f"{name} {label}") for name, label in zip(names, matrix.labels, strict=True)]
        axes.set_yticks(range(count), own if column == 0 else names)
        axes.set_xticks(range(count), names)
        axes.tick_params(length=0)
        few, many = matrix.voxels.min(), matrix.voxels.max()
        voxels = f"{many:,} voxels" if few == many else f"{few:,}-{many:,} voxels"
        axes.set_title(f"{_wrapped(SIMILARITIES[matrix.quantity])}\n{voxels}", fontsize=7)
    return figure


def _write_cells(axes: "Axes", values: np.ndarray) -> None:
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        dark = abs(value) > 0.7
        axes.text(
            column, row, "–" if np.isnan(value) else f"{value:.2f}", ha="center", va="center", fontsize=7,
            color="white" if dark else INK,
        )  # fmt: skip


def _dots(
    comparison: Comparison,
    panels: MappingType[str, Sequence[Estimate]],
    labels: Sequence[str],
    *,
    title: str,
    source: str,
    axis: str,
    ceilings: MappingType[str, float] | None = None,
    beside: MappingType[str, Sequence[tuple[float, ...]]] | None = None,
    palette: Palette,
) -> "Figure":
    """Panels of dots with limits, a line a label; dashes are noise ceilings, small marks what stands beside."""
    ceilings = ceilings or {}
    wrapped = [_wrapped(label) for label in labels]
    step = LINE * max(label.count("\n") + 1 for label in wrapped) ** 0.5
    panel, rows = step * len(labels), math.ceil(len(panels) / COLUMNS)
    said = "; ".join(
        f"{label} {dot.value:.3f}" for label, dot in zip(labels, list(panels.values())[-1], strict=True) if dot.known
    )
    figure = new_figure(
        comparison, title, rows * (panel + TITLE + TICKS) + 2, source=source,
        alt=f"Dots with limits. {list(panels)[-1]}: {said}.",
    )  # fmt: skip
    width = (PAGE - LABELS - RIGHT - (COLUMNS - 1) * GAP) / COLUMNS
    colours = roi_colours(len(labels), palette)
    for number, (name, dots) in enumerate(panels.items()):
        row, column = divmod(number, COLUMNS)
        bottom = 2 + (rows - 1 - row) * (panel + TITLE + TICKS) + TICKS
        axes = add_axes(figure, LABELS + column * (width + GAP), bottom, width, panel)
        marks = (beside or {}).get(name, [()] * len(dots))
        for line_number, (dot, colour, small) in enumerate(zip(dots, colours, marks, strict=True)):
            _draw_dot(axes, line_number, dot, colour, small)
        if math.isfinite(ceilings.get(name, math.nan)):
            axes.axvline(ceilings[name], color=INK, linewidth=0.9, linestyle="--", gid="ceiling")
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_yticks(range(len(labels)), wrapped if column == 0 else [""] * len(labels))
        axes.set_title(name, loc="left", pad=3)
        axes.set_xlabel(axis, labelpad=1)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e3e5e8", linewidth=0.5)
        axes.set_axisbelow(True)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.08)
    return figure


def _draw_dot(axes: "Axes", line: int, dot: Estimate, colour: np.ndarray, beside: Sequence[float]) -> None:
    if not dot.known:
        return
    if dot.limited:
        axes.plot([dot.low, dot.high], [line, line], color=colour, linewidth=1.6)
    axes.plot(beside, [line] * len(beside), "|", color=MUTED, markersize=6, markeredgewidth=0.8)
    axes.plot(dot.value, line, "o", color=colour, markeredgecolor="white", markersize=5, markeredgewidth=0.5)


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label, WRAP)) or label
