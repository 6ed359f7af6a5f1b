"""Figures of the hierarchy: depth of each ROI against its ideal level, with the fitted line, and any order's."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from factortopy.analysis import (
    PAPER_LEVELS,
    Estimate,
    HierarchyFit,
    HierarchySlope,
    RepresentationalDepth,
    hierarchy_slope,
    layer_position,
    limits_over,
    percentiles,
)
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.colours import Palette, layer_colours
from factortopy.plot.dots import Grid, Look, draw_key
from factortopy.plot.style import INK, LINE_COLOUR, MUTED, PAGE, add_axes, new_figure, selector_name, styled, values_of

LINE_NUMBERS = ("slope", "b0", "b1")
SOURCES = {"share": "layer_share", "selector": "layer"}
ASIDE = 0.05
"""How far right of its level the mean of an ROI stands, so that it does not hide the quartiles."""
TOP = 1.45
"""Of the panels: room for the legend above the last layer."""
MEAN = Look(INK, "D", "mean of the ROI", width=1.2, size=3.0)
LOOKS = {
    ("layer_share", "layer index"): Look("#0072b2", "s", "layer share"),
    ("layer", "layer index"): Look("#d55e00", "o", "layer selector", filled=False),
    ("layer_raw", "layer index"): Look("#767676", "D", "raw layer selector", filled=False),
    ("layer_share", "distance from the pixels"): Look("#009e73", "^", "share x distance from pixels"),
    ("layer", "distance from the pixels"): Look("#cc79a7", "v", "selector x distance from pixels", filled=False),
    ("layer_raw", "distance from the pixels"): Look("#a08000", "<", "raw selector x distance", filled=False),
}
"""Of orders, by source and axis."""
LINES = Look(INK, "", "monotone fit", style=":", width=1.1), Look(MUTED, "", "ideal", style="--", width=0.6)
PANEL, LINE = 40.0, 2.9
"""Heights of an order's panel and of a line of numbers above it, mm."""
INDENT = -0.2
"""Where titles and numbers begin, left of the axes, in parts of their width."""
NUDGE = 0.012
"""How far apart series of one level stand."""


@styled
def hierarchy(
    mapping: Mapping, *, levels: MappingType[str, float] = PAPER_LEVELS, palette: Palette = "default"
) -> Figure:
    """Layer position of the vertices of each ROI against its ideal level, with the fitted line (table 2).

    Limits stand at the means of ROIs by share, around the line by share and with its numbers, where the mapping has
    draws of them; the line below the title says what they are over.

    Args:
        mapping: what to show.
        levels: ideal level in 0..1 of the ROIs; limits are known of the paper's.

    Raises:
        UnknownNameError: if an ROI of ``levels`` is not among the mapping's.
        DataError: if fewer than two levels have voxels.
    """
    drawn = _drawn_line(mapping) if levels == PAPER_LEVELS else {}
    sources = {name: variable for name, variable in SOURCES.items() if variable in mapping.dataset}
    slopes = {name: hierarchy_slope(mapping, variable, levels) for name, variable in sources.items()}
    texts = {name: _line_text(line, drawn if name == "share" else {}) for name, line in slopes.items()}
    limits = [f"95 % limits over {limits_over(mapping, 'slope')}"] if drawn else []
    figure = new_figure(
        mapping, "Does depth in the network follow the visual hierarchy?", 84,
        source="; ".join(["layer share", selector_name(mapping, "layer"), *limits]),
        alt=f"Layer position by ROI. {'; '.join(f'{name}: {text}' for name, text in texts.items())}.",
    )  # fmt: skip
    width = (PAGE - 30) / 2
    for column, (source, line) in enumerate(slopes.items()):
        axes = add_axes(figure, 14 + column * (width + 10), 16, width, 58)
        share = source == "share"
        _draw_levels(axes, mapping, layer_position(values_of(mapping, SOURCES[source])), levels, palette)
        if share:
            _draw_means(axes, mapping, levels)
        _draw_slope(axes, line, texts[source], drawn if share else {}, palette)
        axes.set_title("layer share (identifiable)" if share else selector_name(mapping, "layer"))
    figure.axes[0].set_ylabel("layer position (0 first layer, 1 last)")
    drawn_within = [axes.dataLim for axes in figure.axes]  # vertices, limits and band
    low, high = min(box.y0 for box in drawn_within), max(box.y1 for box in drawn_within)
    for axes in figure.axes:
        axes.set_ylim(min(-0.05, low), max(TOP, high))
        axes.set_yticks((0, 0.25, 0.5, 0.75, 1))
    return figure


@styled
def hierarchy_orders(
    mapping: Mapping, fits: Sequence[HierarchyFit], distance: RepresentationalDepth | None = None
) -> Figure:
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
    grid = Grid(
        len(orders) + (distance is not None), PANEL, left=14, above=6 + LINE * len(series), below=9, gap=11, foot=13
    )
    slopes = "; ".join(f"{fit.order}, {LOOKS[fit.source, fit.axis].name}: slope {fit.slope.value:.2f}" for fit in fits)
    permutations = max(fit.permutations for fit in fits)
    figure = new_figure(
        mapping, "Does depth follow the visual hierarchy, along which order of areas?", grid.total,
        source=f"mean depth over voxels · 95 % limits over {limits_over(mapping, 'depth')} · p: {permutations:,} "
        "orders of the layers",
        alt=f"Mean depth by level of each order, with the fitted line and monotone steps. {slopes}.",
    )  # fmt: skip
    for number, order in enumerate(orders):
        _draw_order(grid.add(figure, number), [fit for fit in fits if fit.order == order], series)
    if distance is not None:
        _draw_distance(grid.add(figure, len(orders)), distance)
    draw_key(figure, [*(LOOKS[look] for look in series), *LINES], rows=2)
    return figure


def _drawn_line(mapping: Mapping) -> dict[str, Float[np.ndarray, "draw"]]:
    """The line by share in every draw; empty where the mapping has no draws of it."""
    if not {f"drawn_{name}" for name in LINE_NUMBERS} <= set(mapping.dataset):
        return {}
    return {name: mapping.dataset[f"drawn_{name}"].values for name in LINE_NUMBERS}


def _line_text(line: HierarchySlope, drawn: MappingType[str, np.ndarray]) -> str:
    return ", ".join(
        f"{name} {Estimate.of_draws(getattr(line, name), drawn.get(name)).text(2)}" for name in LINE_NUMBERS
    )


def _draw_slope(
    axes: Axes, line: HierarchySlope, text: str, drawn: MappingType[str, np.ndarray], palette: Palette
) -> None:
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.8, label="ideal")
    if drawn:
        x = np.linspace(0, 1, 21)
        low, high = percentiles(drawn["b0"][:, None] + drawn["slope"][:, None] * x)
        band = axes.fill_between(x, low, high, color=LINE_COLOUR[palette], alpha=0.25, linewidth=0)
        band.set_gid("line-limits")
    fitted = axes.plot([0, 1], [line.b0, line.b1], color=LINE_COLOUR[palette], linewidth=1.4)
    # With limits the numbers need two lines.
    fitted[0].set(gid="fitted-line", label=text.replace(", b0", "\nb0") if drawn else text)
    axes.legend(loc="upper left", borderaxespad=0.1)


def _draw_levels(
    axes: Axes, mapping: Mapping, depth: Float[np.ndarray, "voxel"], levels: MappingType[str, float], palette: Palette
) -> None:
    """The distribution of depth in each ROI as a violin with quartiles, coloured by the ideal level."""
    counts = {}
    for name, level in levels.items():
        inside = mapping.rois[name] & np.isfinite(depth)
        counts[name] = int(inside.sum())
        if counts[name] < 2:
            continue
        colour = layer_colours(np.array(level), palette=palette)
        violin = axes.violinplot([depth[inside]], positions=[level], widths=0.2, showextrema=False)
        for body in cast(list[PolyCollection], violin["bodies"]):
            body.set(facecolor=colour, edgecolor=MUTED, alpha=0.75, linewidth=0.5)
        low, middle, high = np.percentile(depth[inside], (25, 50, 75))
        axes.plot([level, level], [low, high], color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.plot(level, middle, "o", color="white", markeredgecolor=INK, markersize=3.5, markeredgewidth=0.8)
    axes.set_xticks(list(levels.values()), [f"{name}\n{level:g}\nn={counts[name]}" for name, level in levels.items()])
    axes.set(xlim=(-0.15, 1.15), xlabel="ROI and its ideal level")


def _draw_means(axes: Axes, mapping: Mapping, levels: MappingType[str, float]) -> None:
    """Mean depth of each ROI with its limits, beside the violin."""
    if not {"drawn_depth", "depth"} <= set(mapping.dataset):
        return
    for number, (name, level) in enumerate(levels.items()):
        mean = float(np.nanmean(mapping.found("depth")[mapping.rois[name]]))
        drawn = mapping.dataset["drawn_depth"].sel(region=name).values
        look = MEAN if number == 0 else replace(MEAN, name="")
        look.draw(axes, level + ASIDE, Estimate.of_draws(mean, drawn), upright=True, gid="roi-mean")


def _draw_order(axes: Axes, fits: list[HierarchyFit], series: list[tuple[str, str]]) -> None:
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.6)
    for fit in fits:
        number = series.index((fit.source, fit.axis))
        look, levels = LOOKS[fit.source, fit.axis], fit.levels
        x = [level.level + (number - (len(series) - 1) / 2) * NUDGE for level in levels]
        ends = np.array([levels[0].level, levels[-1].level])
        line = fit.b0.value + fit.slope.value * ends
        axes.plot(ends, line, color=look.colour, linewidth=1.1, gid="fitted-line")
        axes.plot(x, [level.monotone for level in levels], ":", color=look.colour, linewidth=1.1)
        for at, level in zip(x, levels, strict=True):
            look.draw(axes, at, level.depth, upright=True)
        height = 1 + ((len(series) - 1 - number) * LINE + 1) / PANEL
        axes.text(INDENT, height, _numbers(fit), transform=axes.transAxes, fontsize=5.8, color=look.colour)
    _title(axes, fits[0].order if "," not in fits[0].order else "as given", len(series))
    levels = fits[0].levels
    axes.set_xticks([level.level for level in levels], [f"{_short(level.rois)}\n{level.voxels:,}" for level in levels])
    axes.set(xlim=(-0.12, 1.12), ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    axes.set_ylabel("depth", labelpad=1)


def _draw_distance(axes: Axes, distance: RepresentationalDepth) -> None:
    layers = range(1, len(distance.layers) + 1)
    axes.plot(layers, distance.distance, "-", marker=".", color=INK, linewidth=1, markersize=4)
    axes.set(xlabel=f"layer, {distance.images:,} images", ylim=(-0.05, 1.05), yticks=(0, 0.5, 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _title(axes, "distance from the pixels", 0)
    axes.set_ylabel("1 - CKA", labelpad=1)


def _title(axes: Axes, text: str, lines: int) -> None:
    """A panel's title above so many lines of numbers."""
    height = 1 + (lines * LINE + 1.5) / PANEL
    axes.text(INDENT, height, text, transform=axes.transAxes, fontsize=8, fontweight="bold")


def _numbers(fit: HierarchyFit) -> str:
    return f"slope {fit.slope.text(2)} p {fit.slope_p:.3f}, rank r {fit.spearman:.2f} p {fit.spearman_p:.3f}"


def _short(name: str) -> str:
    return name if len(name) <= 11 else f"{name[:10]}…"
