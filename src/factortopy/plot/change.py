"""Figures of a change of weights: layer maps before and after, what moved, and how much each ROI lost."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from factortopy.analysis import Change, Estimate
from factortopy.mapping import Mapping, best_layer, layer_confidence
from factortopy.plot.colours import Palette, layer_colours
from factortopy.plot.comparison import difference_bar, diverging_colours, largest_shown
from factortopy.plot.panels import draw_layer_key, draw_map, map_height, paint_mapping
from factortopy.plot.style import (
    INK,
    LINE_COLOUR,
    MARGIN,
    MUTED,
    PAGE,
    Which,
    add_axes,
    chosen,
    new_figure,
    styled,
    values_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEYS, FOOT = 28.0, 12.0
"""Room for the key of layers and for the bars below the lower maps, mm."""
LINE, HEADS, LABELS, NOTE = 6.0, 10.0, 30.0, 8.0
GREY = "#8b939c"


@styled
def change_maps(change: Change, which: Which = "share", *, palette: Palette = "default") -> "Figure":
    """Layer maps before and after (figure 7), and below them the change of depth and of R^2.

    Args:
        change: from :func:`factortopy.analysis.comparing._change`.
        which: ``"share"`` for layer shares on held-out images, ``"selector"`` for selectors.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mappings lie on no surface that can be painted.
    """
    variable = chosen(which, ("layer_share", "layer"))
    weights = [values_of(mapping, variable) for mapping in change.mappings]
    largest = max(0.1, float(np.ceil(np.nanpercentile([layer_confidence(held) for held in weights], 95) * 20) / 20))
    painted = [
        paint_mapping(mapping, layer_colours(best_layer(held), layer_confidence(held) / largest, palette))
        for mapping, held in zip(change.mappings, weights, strict=True)
    ]
    width = (PAGE - 3 * MARGIN) / 2
    height = max(map_height(flat_map, width) for flat_map in painted)
    before, after = change.mappings
    names = [str(mapping.dataset.attrs.get("network", "unnamed")) for mapping in change.mappings]
    figure = new_figure(
        change.comparison, "Layer map before and after the weights changed", 2 * height + KEYS + FOOT + 12,
        source=f"layer {which}",
        alt=f"Flat maps of the cortex: layer {which} in {names[0]} and {names[1]}; change of depth and R².",
    )  # fmt: skip
    upper = height + KEYS + FOOT + 6
    for column, (label, flat_map) in enumerate(zip(("before", "after"), painted, strict=True)):
        axes = draw_map(figure, before, flat_map, (MARGIN + column * (width + MARGIN), upper, width))
        axes.set_title(f"{label}: {_shortened(names[column])}")
    draw_layer_key(add_axes(figure, PAGE / 2 - 20, upper - 13, 40, 11), before, largest, palette)
    depth = "depth" if which == "share" else "selector_depth"
    for column, (title, values) in enumerate(
        ((f"change of layer position ({which})", change.values(depth)), ("change of R²", change.values("r2")))
    ):
        place = (MARGIN + column * (width + MARGIN), FOOT, width)
        _difference(figure, after, values, title, place, palette)
    return figure


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


def _difference(
    figure: "Figure",
    mapping: Mapping,
    values: Float[np.ndarray, "voxel"],
    title: str,
    place: tuple[float, float, float],
    palette: Palette,
) -> None:
    """A map of a change with its bar below."""
    largest = largest_shown(values)
    axes = draw_map(
        figure,
        mapping,
        paint_mapping(mapping, diverging_colours(values, largest, palette)),
        place,
        names=False,
    )
    axes.set_title(title)
    left, bottom, width = place
    bar = add_axes(figure, left + width / 2 - 25, bottom - 5, 50, 3)
    difference_bar(figure, bar, largest, values, palette)


def _dot(axes: "Axes", place: int, dot: Estimate, colour: str) -> None:
    if not dot.known:
        axes.text(0, place, " not predicted before", va="center", color=MUTED, fontsize=6.5)
        return
    if dot.limited:
        axes.plot([dot.low, dot.high], [place, place], color=INK, linewidth=1.2)
    axes.plot(dot.value, place, "o", color=colour, markeredgecolor="white", markersize=5, markeredgewidth=0.5)


def _shortened(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:20]}…{name[-22:]}"
