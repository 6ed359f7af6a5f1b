"""Maps of a comparison: differences, who predicts best, what is unique to a network, counts of subjects."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis import QUANTITIES, Comparison, Difference, Partition, Winners
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.colours import Palette, roi_colours
from factortopy.plot.fading import PALE
from factortopy.plot.panels import draw_inset, draw_map, map_height, paint_mapping
from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DIVERGING = {"default": "RdBu_r", "colour-blind": "PuOr_r"}
NOBODY = np.array([0.36, 0.40, 0.44, 1.0])
"""Slate grey: voxels that no network predicts."""
MAP_WIDTH, KEY_LEFT, KEY_WIDTH = 122.0, 139.0, 35.0
BAR_LINE = 5.0
"""Height of a line of the bars, mm."""


@styled
def difference_map(comparison: Comparison, found: Difference, *, palette: Palette = "default") -> "Figure":
    """One mapping's quantity less another's, painted; the colour of no difference is white.

    Args:
        comparison: what is compared.
        found: from :func:`factortopy.analysis.difference`.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping lies on no surface that can be painted, or nothing is known.
    """
    name = QUANTITIES.get(found.quantity, found.quantity)
    largest = largest_shown(found.values)
    mapping = comparison.mappings[comparison.index(found.one)]
    flat_map = paint_mapping(mapping, diverging_colours(found.values, largest, palette))
    height = max(map_height(flat_map, MAP_WIDTH), 88.0)
    figure = new_figure(
        comparison, f"{name[:1].upper()}{name[1:]}: {found.one} less {found.other}", height + 2, source=name,
        alt=f"Flat map of the cortex; colour shows {name} in {found.one} less that in {found.other}.",
    )  # fmt: skip
    bottom = (height - map_height(flat_map, MAP_WIDTH)) / 2 + 1
    draw_map(figure, mapping, flat_map, (MARGIN, bottom, MAP_WIDTH))
    if flat_map.zoomed:
        draw_inset(figure, mapping, (KEY_LEFT - 6, 5, KEY_WIDTH + 8))
    axes = add_axes(figure, KEY_LEFT - 2, height - 15, KEY_WIDTH + 3, 3.5)
    difference_bar(figure, axes, largest, found.values, palette)
    axes.set_xlabel("difference", labelpad=1)
    _means(
        add_axes(figure, KEY_LEFT - 5, height - 30 - 4 * len(found.regions), 44, 4 * len(found.regions)),
        found,
    )
    return figure


@styled
def winner_map(comparison: Comparison, won: Winners, *, palette: Palette = "default") -> "Figure":
    """Which mapping predicts each voxel best, pale where that is in doubt, and its share of each ROI.

    Args:
        comparison: what is compared.
        won: from :func:`factortopy.analysis.winners` or ``paired_winners``.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping lies on no surface that can be painted.
    """
    colours = roi_colours(len(comparison.labels), palette)
    rgba = np.where((won.best >= 0)[:, None], colours[won.best], NOBODY)
    if won.clear is not None:
        doubt = (won.best >= 0) & ~won.clear
        rgba[doubt, :3] = 0.3 * rgba[doubt, :3] + 0.7 * PALE
    mapping, regions = comparison.mappings[0], comparison.regions
    flat_map = paint_mapping(mapping, rgba)
    bars = BAR_LINE * len(regions) + 12
    height = max(map_height(flat_map, MAP_WIDTH), 80.0)
    figure = new_figure(
        comparison, "Which network predicts best", height + bars + 4,
        source=f"raw R² · {won.basis}",
        alt=f"Flat map of the cortex; colour: which of {', '.join(comparison.labels)} has the largest R².",
    )  # fmt: skip
    bottom = bars + 2 + (height - map_height(flat_map, MAP_WIDTH)) / 2
    draw_map(figure, mapping, flat_map, (MARGIN, bottom, MAP_WIDTH))
    if flat_map.zoomed:
        draw_inset(figure, mapping, (KEY_LEFT - 6, bars + 4, KEY_WIDTH + 8))
    _winner_key(figure, comparison, colours, won.clear is not None)
    axes = add_axes(figure, 34, 11, PAGE - 34 - 2 * MARGIN, BAR_LINE * len(regions))
    _winner_bars(axes, regions, won, colours)
    return figure


@styled
def unique_maps(comparison: Comparison, partition: Partition, *, palette: Palette = "default") -> "Figure":
    """R^2 that is unique to each network, painted side by side; negative values are shown as they are.

    Args:
        comparison: what is compared.
        partition: from :func:`factortopy.analysis.partition_variance`.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping lies on no surface that can be painted.
    """
    count = len(partition.labels)
    values, mapping = partition.parts[:count], comparison.mappings[0]
    largest = largest_shown(values)
    maps = [paint_mapping(mapping, diverging_colours(row, largest, palette)) for row in values]
    columns = min(count, 2)
    width = (PAGE - (columns + 1) * MARGIN) / columns
    height = max(map_height(flat_map, width) for flat_map in maps)
    lines = -(-count // columns)
    figure = new_figure(
        comparison, "Variance that only one network predicts", lines * (height + 8) + 18,
        source="R²(all) − R²(others), weights from validation images",
        alt=f"Flat maps of the cortex; colour shows the R² unique to {', '.join(partition.labels)}.",
    )  # fmt: skip
    for number, (label, flat_map) in enumerate(zip(partition.labels, maps, strict=True)):
        line, column = divmod(number, columns)
        bottom = 18 + (lines - 1 - line) * (height + 8)
        axes = draw_map(figure, mapping, flat_map, (MARGIN + column * (width + MARGIN), bottom, width))
        axes.set_title(f"{label}\nmean {np.nanmean(values[number]):+.3f}")
    bar = add_axes(figure, PAGE / 2 - 35, 13, 70, 3.5)
    difference_bar(figure, bar, largest, values, palette)
    bar.set_xlabel("unique R²", labelpad=2)
    return figure


@styled
def subject_counts(average: Mapping, *, palette: Palette = "default") -> "Figure":
    """How many subjects have each vertex of an average.

    Args:
        average: from :func:`factortopy.analysis.averaging._subject_average`.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping is no average, or lies on no surface that can be painted.
    """
    if "subjects" not in average.dataset:
        raise DataError("this mapping is no average over subjects; make one with subject_average")
    from matplotlib import colormaps

    counts, most = average.dataset["subjects"].values, average.dataset.sizes["person"]
    steps = colormaps["cividis" if palette == "colour-blind" else "viridis"](np.linspace(0.1, 0.95, most))
    flat_map = paint_mapping(average, steps[counts - 1])
    height = max(map_height(flat_map, MAP_WIDTH), 88.0)
    figure = new_figure(
        average, "How many subjects have each vertex", height + 2, source="count",
        alt=f"Flat map of the cortex; colour shows how many of {most} subjects have a vertex.",
    )  # fmt: skip
    bottom = (height - map_height(flat_map, MAP_WIDTH)) / 2 + 1
    draw_map(figure, average, flat_map, (MARGIN, bottom, MAP_WIDTH))
    if flat_map.zoomed:
        draw_inset(figure, average, (KEY_LEFT - 6, 5, KEY_WIDTH + 8))
    entries = [
        (colour, f"{count}: {(counts == count).sum():,} vertices") for count, colour in enumerate(steps, start=1)
    ]
    _key(figure, entries, height)
    return figure


def diverging_colours(
    values: Float[np.ndarray, "voxel"], largest: float, palette: Palette
) -> Float[np.ndarray, "voxel 4"]:
    """Colours from ``-largest`` over white at 0 to ``largest``; NaN is transparent."""
    from matplotlib.colors import Normalize

    return np.asarray(_diverging(palette)(Normalize(-largest, largest)(np.ma.masked_invalid(values))))


def _diverging(palette: Palette) -> "Colormap":
    from matplotlib import colormaps

    return colormaps[DIVERGING[palette]].with_extremes(bad=(0, 0, 0, 0))


def largest_shown(values: np.ndarray) -> float:
    """The largest size shown: the 98th percentile, rounded up to two digits; the rest has the last colour."""
    if not np.isfinite(values).any():
        raise DataError("no voxel has this quantity in both mappings; there is no difference to paint")
    largest = max(float(np.nanpercentile(np.abs(values), 98)), 1e-3)
    step = 10.0 ** np.floor(np.log10(largest)) / 2
    return float(np.ceil(largest / step) * step)


def difference_bar(figure: "Figure", axes: "Axes", largest: float, values: np.ndarray, palette: Palette) -> None:
    """Draw the colour bar of a difference map.

    Args:
        figure: the figure.
        axes: where the bar goes.
        largest: size of the difference at either end.
        values: differences that are painted; those beyond an end give it a point.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes.set_gid("key")
    beyond = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    extend = beyond[bool(np.nanmin(values) < -largest), bool(np.nanmax(values) > largest)]
    mappable = ScalarMappable(Normalize(-largest, largest), _diverging(palette))
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal", extend=extend)
    bar.set_ticks([-largest, 0, largest], labels=[f"−{largest:g}", "0", f"+{largest:g}"])
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]


def _means(axes: "Axes", found: Difference) -> None:
    """Mean difference of each region with its limits, as a small table."""
    axes.set(xlim=(0, 1), ylim=(len(found.regions) - 0.5, -0.5))
    axes.set_axis_off()
    for row, (name, mean) in enumerate(found.regions.items()):
        if not mean.known:
            continue
        axes.text(0, row, name.removesuffix(" voxels"), va="center", fontsize=7)
        axes.text(0.48, row, f"{mean.value:+.3f}", va="center", ha="right", fontsize=7)
        if mean.limited:
            axes.text(0.52, row, f"{mean.low:+.3f} … {mean.high:+.3f}", va="center", fontsize=7, color=MUTED)


def _key(figure: "Figure", entries: list[tuple[np.ndarray, str]], top: float) -> None:
    """A list of colours with words, its upper edge at a height in mm."""
    height = 4.6 * len(entries)
    axes = add_axes(figure, KEY_LEFT - 4, top - height, KEY_WIDTH + 8, height)
    axes.set(xlim=(0, 1), ylim=(len(entries) - 0.5, -0.5))
    axes.set_axis_off()
    axes.set_gid("key")
    for row, (colour, words) in enumerate(entries):
        axes.plot(0.03, row, "s", color=colour, markersize=6, markeredgecolor=MUTED, markeredgewidth=0.4)
        axes.text(0.1, row, words, va="center", fontsize=7)


def _winner_key(figure: "Figure", comparison: Comparison, colours: np.ndarray, pale: bool) -> None:
    entries = [(colour, label) for colour, label in zip(colours, comparison.labels, strict=True)]
    if pale:
        entries.append((np.append(0.3 * colours[0, :3] + 0.7 * PALE, 1.0), "pale: in doubt"))
    entries.append((NOBODY, "R² of none above 0"))
    _key(figure, entries, figure.get_size_inches()[1] * 25.4 - 20)


def _winner_bars(
    axes: "Axes", regions: dict[str, Bool[np.ndarray, "voxel"]], won: Winners, colours: np.ndarray
) -> None:
    """Share of each ROI's voxels by winner; what is beyond doubt in full colour, the rest pale."""
    for row, inside in enumerate(regions.values()):
        left = 0.0
        for place, colour in [*enumerate(colours), (-1, NOBODY)]:
            whole = won.share(inside, place)
            clear = won.share(inside, place, clear=True)
            parts = [(whole, colour)]
            if won.clear is not None and place >= 0:
                pale = np.append(0.3 * colour[:3] + 0.7 * PALE, 1.0)
                parts = [(clear, colour), (whole - clear, pale)]
            for share, shade in parts:
                axes.barh(row, share, left=left, color=shade, height=0.78, edgecolor="white", linewidth=0.4)
                left += share
    axes.set_yticks(range(len(regions)), [f"{name} ({int(inside.sum()):,})" for name, inside in regions.items()])
    axes.set(xlim=(0, 1), ylim=(len(regions) - 0.5, -0.5), xlabel="share of voxels")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(axis="y", length=0)
    for line in (0.25, 0.5, 0.75):
        axes.axvline(line, color=INK, linewidth=0.3, alpha=0.4)
