"""Figures of a change of weights: layer maps before and after, what moved, and how much each ROI lost."""

from typing import TYPE_CHECKING

from factortopy.analysis import Change, Estimate
from factortopy.plot.colours import Palette
from factortopy.plot.style import (
    INK,
    LINE_COLOUR,
    MARGIN,
    MUTED,
    PAGE,
    add_axes,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS, FOOT = 28.0, 12.0
"""Room for the key of layers and for the bars below the lower maps, mm."""
LINE, HEADS, LABELS, NOTE = 6.0, 10.0, 30.0, 8.0
GREY = "#8b939c"


@styled
def change_bars(change: Change, *, palette: Palette = "default") -> "Figure":
    """R^2 before and after, forgetting index and change of depth in each ROI, with limits over test images.

    Args:
        change: from :func:`factortopy.analysis.comparing._change`.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    rows, count = change.regions.to_dict("records"), len(change.regions)
    said = ", ".join(
        f"{line['quantity']} {line['before']:.2f} → {line['after']:.2f}"
        for line in change.lines.to_dict("records")
        if line["source"] == "share"
    )
    overall = f"{change.forgetting.value:.2f}" if change.forgetting.known else "none"
    figure = new_figure(
        change.comparison, "What changed by ROI", LINE * count + NOTE + 12 + HEADS,
        source="layer share, means over voxels, bars: 95 % of draws of test images",
        alt=f"Dots with limits by ROI; forgetting index over all voxels: {overall}; {said}.",
    )  # fmt: skip
    names = [_shortened(str(mapping.dataset.attrs.get("network", "unnamed"))) for mapping in change.mappings]
    note = f"before: {names[0]}; after: {names[1]}" + (f"\nhierarchy line: {said}" if said else "")
    figure.text(MARGIN / PAGE, 0.01, note, fontsize=7, color=MUTED, va="bottom", gid="note")
    width = (PAGE - LABELS - 2 * 6 - MARGIN) / 3
    lefts = [LABELS + place * (width + 6) for place in range(3)]
    axes = [add_axes(figure, left, 12 + NOTE, width, LINE * count) for left in lefts]
    colours = GREY, LINE_COLOUR[palette]
    for place, row in enumerate(rows):
        axes[0].plot(row["r2_before"], place - 0.13, "s", color=colours[0], markersize=5)
        axes[0].plot(row["r2_after"], place + 0.13, "o", color=colours[1], markersize=5)
        _dot(axes[1], place, Estimate.in_row(row, "forgetting"), colours[1])
        _dot(axes[2], place, Estimate.in_row(row, "depth_change"), colours[1])
    titles = ("raw R²: square before, dot after", "forgetting index", "change of layer position")
    labels = ("R²", "1 − R² after / R² before", "after − before")
    for number, (panel, title, label) in enumerate(zip(axes, titles, labels, strict=True)):
        panel.axvline(0, color=MUTED, linewidth=0.6)
        panel.set(ylim=(count - 0.5, -0.5), title=title, xlabel=label)
        panel.set_yticks(range(count), [f"{row['roi']} ({row['voxels']:,})" if number == 0 else "" for row in rows])
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="#e3e5e8", linewidth=0.5)
        panel.set_axisbelow(True)
        panel.margins(x=0.1)
        panel.locator_params(axis="x", nbins=5)
    return figure


def _dot(axes: "Axes", place: int, dot: Estimate, colour: str) -> None:
    if not dot.known:
        axes.text(0, place, " not predicted before", va="center", color=MUTED, fontsize=6.5)
        return
    if dot.limited:
        axes.plot([dot.low, dot.high], [place, place], color=INK, linewidth=1.2)
    axes.plot(dot.value, place, "o", color=colour, markeredgecolor="white", markersize=5, markeredgewidth=0.5)


def _shortened(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:20]}…{name[-22:]}"
