"""Our numbers beside the paper's: a dot with its interval and a diamond for each network and quantity."""

import math
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import TYPE_CHECKING

from factortopy.mapping import Mapping
from factortopy.paper.numbers import Row
from factortopy.plot import INK, MUTED, PAGE, Header, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, LABELS, GAP, LINE, HEAD, TICKS, KEY = 4, 40.0, 6.0, 5.0, 8.0, 8.0, 10.0
OURS, PAPER = "#0072b2", "#d55e00"


@styled
def numbers_chart(
    title: str,
    rows: Sequence[Row],
    quantities: MappingType[str, str],
    mappings: Sequence[Mapping],
    *,
    source: str = "",
    columns: int = COLUMNS,
    paper: bool = True,
) -> "Figure":
    """Every quantity in a panel, every row on a line.

    Args:
        title: of the figure.
        rows: with ``label``, and for each quantity ``<name>``, and where known ``<name>_paper``,
            ``<name>_low`` and ``<name>_high``.
        quantities: titles of the panels by name.
        mappings: what the numbers are from, for the header.
        source: what they are, for the header.
        columns: panels a row.
        paper: whether the paper has numbers beside which ours stand.
    """
    columns = min(columns, len(quantities))
    lines = math.ceil(len(quantities) / columns)
    panel = LINE * len(rows)
    figure = new_figure(
        Header.of(mappings), title, KEY + lines * (panel + HEAD + TICKS), source=source,
        alt=f"Dots: ours{'; diamonds: the paper' * paper}. {_said(rows, next(iter(quantities)))}",
    )  # fmt: skip
    width = (PAGE - LABELS - 5 - (columns - 1) * GAP) / columns
    for number, (name, text) in enumerate(quantities.items()):
        line, column = divmod(number, columns)
        bottom = KEY + (lines - 1 - line) * (panel + HEAD + TICKS) + TICKS
        axes = add_axes(figure, LABELS + column * (width + GAP), bottom, width, panel)
        _draw(axes, rows, name)
        labels = [str(row["label"]) for row in rows] if column == 0 else [""] * len(rows)
        axes.set_yticks(range(len(rows)), labels)
        axes.set(ylim=(len(rows) - 0.5, -0.5))
        axes.set_title(text, loc="left", pad=3)
        axes.tick_params(axis="y", length=0)
        if len(axes.lines):
            axes.locator_params(axis="x", nbins=3)
        axes.grid(axis="both", color="#e3e5e8", linewidth=0.5)
        axes.set_axisbelow(True)
    _draw_key(figure, any(f"{name}_low" in row for row in rows for name in quantities), paper)
    return figure


def _draw(axes: "Axes", rows: Sequence[Row], name: str) -> None:
    if all(row.get(name) is None for row in rows):
        axes.text(0.5, 0.5, "cannot be told", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        axes.set_xticks([])
        return
    for place, row in enumerate(rows):
        ours, paper = row.get(name), row.get(f"{name}_paper")
        low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=OURS, linewidth=1.2)
        if paper is not None:
            axes.plot(paper, place, "D", color="white", markeredgecolor=PAPER, markersize=4.5, gid="paper")
        if ours is not None:
            axes.plot(ours, place, "o", color=OURS, markeredgecolor="white", markersize=4.5, gid="ours")


def _said(rows: Sequence[Row], name: str) -> str:
    known = [row for row in rows if row.get(name) is not None]
    return "; ".join(f"{row['label']} {name} {row[name]:.3f}" for row in known) + "."


def _draw_key(figure: "Figure", intervals: bool, paper: bool) -> None:
    from matplotlib.lines import Line2D

    ours = "ours, with its interval" if intervals else "ours"
    entries = [
        Line2D([], [], color=OURS, marker="o", linewidth=1.2 * intervals, markersize=4.5, label=ours),
        Line2D([], [], color="white", marker="D", markeredgecolor=PAPER, markersize=4.5, label="the paper's"),
    ]
    entries = entries if paper else entries[:1]
    figure.legend(handles=entries, loc="lower center", ncols=2, borderaxespad=0.8, labelcolor=INK)
