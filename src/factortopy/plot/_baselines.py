"""The figure of a comparison: R^2 of every method in every ROI, with intervals and the noise ceiling."""

import math
from typing import TYPE_CHECKING

import pandas

from factortopy.analysis import Estimate
from factortopy.baselines import METHODS, REFERENCE, BaselineScores
from factortopy.plot.style import INK, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    "linear baseline": ("#0072b2", "s"),
    "FactorTopy": ("#d55e00", "D"),
    "ablation": ("#009e73", "o"),
    "control": ("#767676", "^"),
}
"""Colour and marker of each family: told apart without colour, and by colour-blind eyes."""
COLUMNS, LABELS, GAP, RIGHT = 3, 38.0, 5.0, 5.0
LINE, TITLE, TICKS = 4.2, 8.0, 7.0
"""Heights of a method, of a panel's title and of its ticks, mm."""
KEY = 14.0


@styled
def baselines(comparison: BaselineScores) -> "Figure":
    """Mean R^2 of each method in each ROI, a panel a ROI; dashes are the noise ceiling, a line is FactorTopy.

    Args:
        comparison: what to show.
    """
    methods, rois, rows = comparison.methods, comparison.rois, comparison.table()
    lines = math.ceil(len(rois) / COLUMNS)
    panel = LINE * len(methods)
    height = KEY + lines * (panel + TITLE + TICKS)
    attributes = comparison.dataset.attrs
    overall = rows[(rows["roi"] == rois[-1]) & rows["r2"].notna()]
    said = "; ".join(f"{label} {r2:.3f}" for label, r2 in zip(overall["label"], overall["r2"], strict=True))
    figure = new_figure(
        comparison, "Baselines and ablations at equal budget", height,
        source=f"raw R², mean over voxels · 95 % of {attributes['resamples']} draws of images",
        alt=f"Dots with intervals, one for each method in each ROI. Over all voxels: {said}.",
    )  # fmt: skip
    width = (PAGE - LABELS - RIGHT - (COLUMNS - 1) * GAP) / COLUMNS
    low, high = _limits(rows)
    for number, roi in enumerate(rois):
        line, column = divmod(number, COLUMNS)
        bottom = KEY + (lines - 1 - line) * (panel + TITLE + TICKS) + TICKS
        axes = add_axes(figure, LABELS + column * (width + GAP), bottom, width, panel)
        here = rows[rows["roi"] == roi]
        _draw_panel(axes, here)
        axes.set(xlim=(low, high), ylim=(len(methods) - 0.5, -0.5))
        names = [METHODS[method].label for method in methods] if column == 0 else []
        axes.set_yticks(range(len(methods)), names or [""] * len(methods))
        axes.set_xlabel("R²", labelpad=1)
        axes.set_title(f"{roi} ({here['voxels'].iloc[0]:,})", loc="left", pad=3)
    _draw_key(figure, bool(rows["ceiling"].notna().any()))
    return figure


def _draw_panel(axes: "Axes", rows: pandas.DataFrame) -> None:
    axes.axvline(0, color=MUTED, linewidth=0.5)
    for place, row in enumerate(rows.to_dict("records")):
        r2 = Estimate.in_row(row, "r2")
        if not (r2.known and r2.limited):
            continue
        colour, marker = LOOKS[row["family"]]
        axes.plot([r2.low, r2.high], [place, place], color=colour, linewidth=1.2)
        axes.plot(r2.value, place, marker, color=colour, markeredgecolor="white", markersize=4.5, markeredgewidth=0.4)
        if row["method"] == REFERENCE:
            axes.axvline(r2.value, color=colour, linewidth=0.6, alpha=0.6)
    ceiling = rows["ceiling"].iloc[0]
    if math.isfinite(ceiling):
        axes.axvline(ceiling, color=INK, linewidth=0.9, linestyle="--", gid="ceiling")
    axes.grid(axis="x", color="#e3e5e8", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=4)


def _limits(rows: pandas.DataFrame) -> tuple[float, float]:
    """Limits that hold all intervals and ceilings; what is worse than -0.1 is left out of the picture."""
    values = rows[["r2_low", "r2_high", "ceiling"]]
    low, high = max(-0.1, min(0.0, float(values.min().min()))), float(values.max().max())
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def _draw_key(figure: "Figure", ceiling: bool) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=colour, marker=marker, linewidth=1.2, markersize=4.5, label=family)
        for family, (colour, marker) in LOOKS.items()
    ]
    if ceiling:
        entries.append(Line2D([], [], color=INK, linewidth=0.9, linestyle="--", label="noise ceiling"))
    figure.legend(handles=entries, loc="lower center", ncols=len(entries), borderaxespad=0.8)
