"""The chart of numbers with their limits: a dot each, in panels with the same lines."""

import math
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from factortopy.analysis import Estimate
from factortopy.plot.style import GRID, MARGIN, MUTED, PAGE, Described, add_axes, new_figure, shortened, styled, wrap

LINE, KEY, NOTE = 5.0, 10.0, 9.0
"""Heights of a line, of the key and of a note below the chart, mm."""
WRAP = 26
"""Characters of a label in a line."""


@dataclass(frozen=True)
class Look:
    """How a kind of dot or line is drawn: told apart without colour, and by colour-blind eyes.

    Attributes:
        colour: as matplotlib takes it.
        marker: matplotlib's; empty for a line.
        name: in the key; empty for none.
        filled: whether the marker is.
        style: of the line.
        width: of the line of limits, points.
        size: of the marker, points.
    """

    colour: Any
    marker: str = "o"
    name: str = ""
    filled: bool = True
    style: Any = "-"
    width: float = 1.4
    size: float = 5.0

    def draw(self, axes: Axes, at: float, estimate: Estimate, *, upright: bool = False, gid: str = "") -> None:
        """Draw a number, if there is one, and the line of its limits where they are known.

        Args:
            axes: where to draw.
            at: on which line, from 0; or at which x, if upright.
            estimate: the number.
            upright: whether values lie along y.
            gid: of the dot.
        """
        if not estimate.known:
            return
        limits, position = ((estimate.low, estimate.high), (at, at)), (estimate.value, at)
        if upright:
            limits, position = limits[::-1], position[::-1]
        if estimate.limited:
            axes.plot(*limits, color=self.colour, linewidth=self.width, zorder=5 if upright else 2)
        axes.plot(
            *position, self.marker, color=self.colour if self.filled else "white", markersize=self.size,
            markeredgecolor="white" if self.filled else self.colour, markeredgewidth=0.5 if self.filled else 1.0,
            gid=gid or None, label=self.name or None, zorder=5 if upright else 2,
        )  # fmt: skip


@dataclass(frozen=True)
class Dot:
    """A number on a line of a panel.

    Attributes:
        line: from 0, the first on top; fractions stand between lines.
        estimate: the number with its limits.
        look: how it is drawn.
        beside: small marks on the same line, such as of halves.
        gid: of the dot.
    """

    line: float
    estimate: Estimate
    look: Look
    beside: Sequence[float] = ()
    gid: str = ""


@dataclass(frozen=True)
class DotPanel:
    """One panel of a chart.

    Attributes:
        title: above it.
        dots: its numbers.
        axis: what the values are.
        guides: upright lines by name, each a value and its look; without a value none is drawn.
        missing: what stands on a line that has no number.
    """

    title: str
    dots: Sequence[Dot]
    axis: str = ""
    guides: MappingType[str, tuple[float, Look]] | None = None
    missing: str = ""


@dataclass(frozen=True)
class Grid:
    """Panels of one size in rows, below the header of a figure; lengths in mm.

    Attributes:
        panels: how many.
        height: of a panel's axes.
        left: room for the labels of the first column.
        columns: panels a row.
        above: room for a panel's title.
        below: room for its ticks and its label.
        gap: between columns.
        foot: free space below all panels, for a key.
    """

    panels: int
    height: float
    left: float = 40.0
    columns: int = 3
    above: float = 8.0
    below: float = 10.0
    gap: float = 5.0
    foot: float = 2.0

    @property
    def total(self) -> float:
        """Height of all rows and the foot."""
        return self.foot + self._rows * self._row

    def add(self, figure: Figure, number: int) -> Axes:
        """The axes of a panel, counted from 0 row by row."""
        row, column = divmod(number, self.columns)
        width = (PAGE - self.left - 5 - (self.columns - 1) * self.gap) / self.columns
        bottom = self.foot + (self._rows - 1 - row) * self._row + self.below
        return add_axes(figure, self.left + column * (width + self.gap), bottom, width, self.height)

    @property
    def _rows(self) -> int:
        return -(-self.panels // self.columns)

    @property
    def _row(self) -> float:
        return self.above + self.height + self.below


@styled
def dot_chart(
    header: Described,
    title: str,
    panels: Sequence[DotPanel],
    labels: Sequence[str],
    *,
    source: str = "",
    alt: str = "Dots with limits.",
    columns: int = 3,
    limits: tuple[float, float] | None = None,
    key: Sequence[Look] = (),
    note: str = "",
) -> Figure:
    """Numbers with their limits: a panel each quantity or region, and in every panel the same lines.

    Args:
        header: whose facts the header states.
        title: of the figure.
        panels: the numbers.
        labels: of the lines, the first on top.
        source: what the numbers are, for the header.
        alt: what is drawn, for readers who cannot see it; the last panel's numbers are added.
        columns: panels a row.
        limits: of the values in all panels; each panel's own if None.
        key: what is explained below.
        note: in words, below.
    """
    wrapped = [wrap(shortened(label, 2 * WRAP), WRAP) for label in labels]
    line = LINE * max(label.count("\n") + 1 for label in wrapped) ** 0.5
    foot = 2 + KEY * bool(key) + NOTE * bool(note)
    grid = Grid(len(panels), line * len(labels), columns=min(columns, len(panels)), foot=foot)
    last = {labels[round(dot.line)]: dot.estimate.value for dot in panels[-1].dots if dot.estimate.known}
    numbers = "; ".join(f"{label} {value:.3f}" for label, value in last.items())
    figure = new_figure(header, title, grid.total, source=source, alt=f"{alt} {panels[-1].title}: {numbers}.")
    for number, panel in enumerate(panels):
        axes = grid.add(figure, number)
        axes.set_yticks(range(len(labels)), wrapped if number % grid.columns == 0 else [""] * len(labels))
        axes.set(ylim=(len(labels) - 0.5, -0.5))
        _draw_panel(axes, panel)
        if limits is not None:
            axes.set_xlim(limits)
    if note:
        figure.text(MARGIN / PAGE, 0.01, note, fontsize=7, color=MUTED, va="bottom", gid="note")
    if key:
        draw_key(figure, key)
    return figure


def draw_key(figure: Figure, looks: Sequence[Look], rows: int = 1) -> None:
    """Names of looks at the foot of a figure, in so many rows."""
    entries = [
        Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.style, linewidth=look.width,
               markersize=4.5, markerfacecolor=look.colour if look.filled else "white", label=look.name)
        for look in looks
    ]  # fmt: skip
    figure.legend(handles=entries, loc="lower center", ncols=math.ceil(len(entries) / rows), borderaxespad=0.6)


def _draw_panel(axes: Axes, panel: DotPanel) -> None:
    axes.set_title(panel.title, loc="left", pad=3)
    axes.set_xlabel(panel.axis, labelpad=1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(x=0.08)
    if not any(dot.estimate.known for dot in panel.dots):
        axes.text(0.5, 0.5, "cannot be told", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_xticks([])
        return
    for name, (value, look) in (panel.guides or {}).items():
        if math.isfinite(value):
            axes.axvline(value, color=look.colour, linewidth=look.width, linestyle=look.style, gid=name)
    for dot in panel.dots:
        if panel.missing and not dot.estimate.known:
            axes.text(0, dot.line, panel.missing, va="center", color=MUTED, fontsize=6.5)
        if dot.beside:
            axes.plot(dot.beside, [dot.line] * len(dot.beside), "|", color=MUTED, markersize=6, markeredgewidth=0.8)
        dot.look.draw(axes, dot.line, dot.estimate, gid=dot.gid)
    axes.locator_params(axis="x", nbins=4)
