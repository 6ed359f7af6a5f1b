"""The figure of hierarchies: depth along each order of ROIs, with limits, line, monotone fit and null."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from factortopy.analysis import HierarchyFit, RepresentationalDepth
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.style import INK, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {
    ("layer_share", "layer index"): ("layer share", "#0072b2", "s"),
    ("layer", "layer index"): ("layer selector", "#d55e00", "o"),
    ("layer_raw", "layer index"): ("raw layer selector", "#767676", "D"),
    ("layer_share", "distance from the pixels"): ("share x distance from pixels", "#009e73", "^"),
    ("layer", "distance from the pixels"): ("selector x distance from pixels", "#cc79a7", "v"),
    ("layer_raw", "distance from the pixels"): ("raw selector x distance", "#a08000", "<"),
}
"""Name, colour and marker by source and axis: told apart without colour, and by colour-blind eyes."""
COLUMNS, LEFT, GAP, RIGHT = 3, 14.0, 11.0, 4.0
PANEL, TICKS, TITLE, LINE, KEY = 40.0, 9.0, 6.0, 2.9, 13.0
"""Heights in mm: of a panel, its ticks, its title, a line of numbers, the key of all."""
INDENT = -0.2
"""Where titles and numbers begin, left of the axes, in parts of their width."""
NUDGE = 0.012
"""How far apart series of one level stand."""


@styled
def hierarchy_orders(
    mapping: Mapping, fits: Sequence[HierarchyFit], distance: RepresentationalDepth | None = None
) -> "Figure":
    """Mean depth of each level of every order, a panel an order, and distances from the pixels.

    Args:
        mapping: what was fitted.
        fits: of its orders, by share, selector or both.
        distance: of the layers from the pixels, where they are known.

    Raises:
        DataError: if there are no fits.
    """
    if not fits:
        raise DataError("there is no order of ROIs to show; name one, e.g. V1,V2+V3,V4")
    orders = list(dict.fromkeys(fit.order for fit in fits))
    series = [look for look in LOOKS if look in {(fit.source, fit.axis) for fit in fits}]
    panels, numbers = len(orders) + (distance is not None), LINE * len(series)
    rows, row = math.ceil(panels / COLUMNS), PANEL + TICKS + TITLE + numbers
    said = "; ".join(f"{fit.order}, {LOOKS[fit.source, fit.axis][0]}: slope {fit.slope.value:.2f}" for fit in fits)
    figure = new_figure(
        mapping, "Does depth follow the visual hierarchy, along which order of areas?", rows * row + KEY,
        source=_source(fits),
        alt=f"Mean depth by level of each order, with the fitted line and monotone steps. {said}.",
    )  # fmt: skip
    width = (PAGE - LEFT - RIGHT - (COLUMNS - 1) * GAP) / COLUMNS
    for number in range(panels):
        line, column = divmod(number, COLUMNS)
        bottom = KEY + (rows - 1 - line) * row + TICKS
        axes = add_axes(figure, LEFT + column * (width + GAP), bottom, width, PANEL)
        if number < len(orders):
            _draw_order(axes, [fit for fit in fits if fit.order == orders[number]], series)
        elif distance is not None:
            _draw_distance(axes, distance)
    _draw_key(figure, series)
    return figure


def _source(fits: Sequence[HierarchyFit]) -> str:
    orders = max(fit.permutations for fit in fits)
    return f"mean depth over voxels · 95 % of draws of test images · p: {orders:,} orders of the layers"


def _draw_order(axes: "Axes", fits: list[HierarchyFit], series: list[tuple[str, str]]) -> None:
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.6)
    for fit in fits:
        place = series.index((fit.source, fit.axis))
        _, colour, marker = LOOKS[fit.source, fit.axis]
        x = [level.level + (place - (len(series) - 1) / 2) * NUDGE for level in fit.levels]
        for at, level in zip(x, fit.levels, strict=True):
            if level.depth.limited:
                axes.plot([at, at], [level.depth.low, level.depth.high], color=colour, linewidth=2.4, alpha=0.5)
        first, last = fit.levels[0].level, fit.levels[-1].level
        ends = [fit.b0.value + fit.slope.value * level for level in (first, last)]
        axes.plot([first, last], ends, color=colour, linewidth=1.1, gid="fitted-line")
        axes.plot(x, [level.monotone for level in fit.levels], ":", color=colour, linewidth=1.1)
        axes.plot(x, [level.depth.value for level in fit.levels], marker, color=colour, markersize=4.5,
                  markerfacecolor=colour if fit.source == "layer_share" else "white")  # fmt: skip
        height = 1 + ((len(series) - 1 - place) * LINE + 1) / PANEL
        axes.text(INDENT, height, _numbers(fit), transform=axes.transAxes, fontsize=5.8, color=colour)
    _title(axes, fits[0].order if "," not in fits[0].order else "as given", len(series))
    levels = fits[0].levels
    axes.set_xticks([level.level for level in levels], [f"{_short(level.rois)}\n{level.voxels:,}" for level in levels])
    axes.set(xlim=(-0.12, 1.12), ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    axes.set_ylabel("depth", labelpad=1)


def _draw_distance(axes: "Axes", distance: RepresentationalDepth) -> None:
    from matplotlib.ticker import MaxNLocator

    layers = range(1, len(distance.layers) + 1)
    axes.plot(layers, distance.distance, "-", marker=".", color=INK, linewidth=1, markersize=4)
    axes.set(xlabel=f"layer, {distance.images:,} images", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _title(axes, "distance from the pixels", 0)
    axes.set_ylabel("1 - CKA", labelpad=1)


def _title(axes: "Axes", text: str, lines: int) -> None:
    """A panel's title above so many lines of numbers."""
    height = 1 + (lines * LINE + 1.5) / PANEL
    axes.text(INDENT, height, text, transform=axes.transAxes, fontsize=8, fontweight="bold")


def _numbers(fit: HierarchyFit) -> str:
    return f"slope {fit.slope.text(2)} p {fit.slope_p:.3f}, rank r {fit.spearman:.2f} p {fit.spearman_p:.3f}"


def _short(name: str) -> str:
    return name if len(name) <= 11 else f"{name[:10]}…"


def _draw_key(figure: "Figure", series: list[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    entries = [
        Line2D([], [], color=LOOKS[look][1], marker=LOOKS[look][2], markersize=4.5, linewidth=1.1,
               markerfacecolor=LOOKS[look][1] if look[0] == "layer_share" else "white", label=LOOKS[look][0])
        for look in series
    ]  # fmt: skip
    entries.append(Line2D([], [], color=INK, linestyle=":", linewidth=1.1, label="monotone fit"))
    entries.append(Line2D([], [], color=MUTED, linestyle="--", linewidth=0.6, label="ideal"))
    figure.legend(handles=entries, loc="lower center", ncols=math.ceil(len(entries) / 2), borderaxespad=0.5)
