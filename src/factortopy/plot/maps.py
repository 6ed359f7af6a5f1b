"""Figures that paint a mapping on the flat cortex."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from factortopy.errors import DataError
from factortopy.mapping import Mapping, best_layer, layer_confidence
from factortopy.plot.colours import (
    Palette,
    Quantity,
    layer_colours,
    roi_colours,
    scalar_colormap,
    scalar_colours,
    space_colours,
)
from factortopy.plot.fading import fade_out, name_of, with_fading
from factortopy.plot.flatmap import FlatMap
from factortopy.plot.panels import draw_inset, draw_layer_key, draw_map, draw_space_key, map_height, paint_mapping
from factortopy.plot.style import MARGIN, MUTED, PAGE, Which, add_axes, chosen, new_figure, styled, values_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAP_WIDTH = 122.0
KEY_LEFT = 139.0
KEY_WIDTH = 35.0


@styled
def layers(mapping: Mapping, which: Which = "share", *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Layer map: hue is the layer of largest weight, brightness the confidence, with a key of both.

    Args:
        mapping: what to paint.
        which: ``"share"`` for the layer share on held-out images, ``"selector"`` for the selector.
        palette: ``"default"`` or ``"colour-blind"``.
        fade: pale where the prediction is uncertain.

    Raises:
        DataError: if the mapping lacks the variable or lies on no surface that can be painted.
    """
    weights = values_of(mapping, chosen(which, ("layer_share", "layer")))
    certain, best = layer_confidence(weights), best_layer(weights)
    # Full brightness at the 95th percentile: soft selections would else be too dark to tell apart.
    largest = max(0.1, float(np.ceil(np.nanpercentile(certain, 95) * 20) / 20))
    rgba = layer_colours(best, certain / largest, palette)
    flat_map = paint_mapping(mapping, fade_out(mapping, rgba) if fade else rgba)
    name = name_of(mapping, "layer", which)
    figure = _map_figure(
        mapping, flat_map, f"Which layer each vertex reads (layer {which})", source=with_fading(name, fade),
        alt=f"Flat map of the cortex; hue: the layer of largest {name}; brightness: its confidence.",
    )  # fmt: skip
    top = figure.get_size_inches()[1] * 25.4
    draw_layer_key(add_axes(figure, KEY_LEFT, top - 55, KEY_WIDTH, 30), mapping, largest, palette)
    return figure


@styled
def space(mapping: Mapping, *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Space map: the place in the image that each vertex reads, in the colours of a square key.

    Args:
        mapping: what to paint.
        palette: ``"default"`` or ``"colour-blind"``.
        fade: pale where the prediction is uncertain.

    Raises:
        DataError: if the mapping lies on no surface that can be painted.
    """
    rgba = space_colours(values_of(mapping, "space"), palette)
    flat_map = paint_mapping(mapping, fade_out(mapping, rgba) if fade else rgba)
    figure = _map_figure(
        mapping, flat_map, "Where in the image each vertex reads (space selector)",
        source=with_fading("space selector", fade),
        alt="Flat map of the cortex; colour shows the place in the image that each vertex reads.",
    )  # fmt: skip
    top = figure.get_size_inches()[1] * 25.4
    draw_space_key(add_axes(figure, KEY_LEFT, top - 60, KEY_WIDTH, KEY_WIDTH), palette)
    return figure


@styled
def scale(mapping: Mapping, which: Which = "share", *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Scale map: how much of each vertex's prediction comes from the global token.

    Args:
        mapping: what to paint.
        which: ``"share"`` for the scale share on held-out images, ``"selector"`` for the selector.
        palette: ``"default"`` or ``"colour-blind"``.
        fade: pale where the prediction is uncertain.

    Raises:
        DataError: if the mapping lacks the variable or lies on no surface that can be painted.
    """
    values = values_of(mapping, chosen(which, ("scale_share", "scale")))
    token = mapping.dataset.attrs.get("global_token", "global")
    name = name_of(mapping, "scale", which)
    rgba = scalar_colours(values, (0.0, 1.0), "scale", palette)
    flat_map = paint_mapping(mapping, fade_out(mapping, rgba) if fade else rgba)
    figure = _map_figure(
        mapping, flat_map, f"Local or global: the scale each vertex reads (scale {which})",
        source=with_fading(name, fade),
        alt=f"Flat map of the cortex; colour shows the {name} from local (0) to global (1).",
    )  # fmt: skip
    _colour_bar(
        figure,
        values,
        (0.0, 1.0),
        "scale",
        palette=palette,
        label=f"scale {which}\n0 local, 1 global ({token} token)",
    )
    return figure


@styled
def scores(mapping: Mapping, *, palette: Palette = "default") -> "Figure":
    """Brain score: raw R^2 on held-out images, and the noise ceiling beside it where it is known.

    Args:
        mapping: what to paint.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping lies on no surface that can be painted, or no R² is known.
    """
    shown = {"R² on held-out images": values_of(mapping, "r2")}
    if not np.isfinite(shown["R² on held-out images"]).any():
        raise DataError("no R² is known: the weights were imported without responses; import them with some")
    if "ceiling" in mapping.dataset:
        shown["noise ceiling (largest possible R²)"] = values_of(mapping, "ceiling")
    largest = max(0.05, float(np.ceil(max(np.nanpercentile(values, 99) for values in shown.values()) * 20) / 20))
    limits = (0.0, largest)
    source = "R² raw, not divided by the ceiling"
    title, alt = "Brain score: variance predicted", "Flat maps of the cortex; colour shows R² of each vertex"
    maps = {
        name: paint_mapping(mapping, scalar_colours(values, limits, "score", palette)) for name, values in shown.items()
    }
    everything = np.stack(list(shown.values()))
    label = "R², fraction of variance"
    if len(maps) == 1:
        figure = _map_figure(mapping, next(iter(maps.values())), title, source=source, alt=f"{alt}.")
        _colour_bar(figure, everything, limits, "score", palette=palette, label=label)
        return figure
    width = (PAGE - 3 * MARGIN) / 2
    height = max(map_height(flat_map, width) for flat_map in maps.values())
    figure = new_figure(mapping, title, height + 29, source=source, alt=f"{alt}, beside its noise ceiling.")
    for column, (name, flat_map) in enumerate(maps.items()):
        axes = draw_map(figure, mapping, flat_map, (MARGIN + column * (width + MARGIN), 23, width))
        axes.set_title(name)
    bar = (PAGE / 2 - 35, 17.0, 70.0)
    _colour_bar(figure, everything, limits, "score", palette=palette, label=label, place=bar)
    return figure


@styled
def rois(mapping: Mapping, *, palette: Palette = "default") -> "Figure":
    """Regions of interest of the subject, with their number of vertices.

    Args:
        mapping: what to paint.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the mapping has no ROIs or lies on no surface that can be painted.
    """
    if not mapping.rois:
        raise DataError("this mapping has no ROIs to show; give the subject's ROIs when it is loaded")
    colours = roi_colours(len(mapping.rois), palette)
    rgba = np.tile(np.array([0.93, 0.93, 0.95, 1.0]), (mapping.dataset.sizes["voxel"], 1))
    for colour, members in zip(colours, mapping.rois.values(), strict=True):
        rgba[members] = colour
    figure = _map_figure(
        mapping, paint_mapping(mapping, rgba), "Regions of interest",
        alt=f"Flat map of the cortex with the regions {', '.join(mapping.rois)}.",
    )  # fmt: skip
    _roi_key(figure, mapping, colours)
    return figure


def _map_figure(mapping: Mapping, flat_map: FlatMap, title: str, *, source: str = "", alt: str) -> "Figure":
    """A figure with one flat map on the left, room for a key at the upper right and an inset below it."""
    height = max(map_height(flat_map, MAP_WIDTH), 88.0)
    figure = new_figure(mapping, title, height + 2, source=source, alt=alt)
    draw_map(figure, mapping, flat_map, (MARGIN, (height - map_height(flat_map, MAP_WIDTH)) / 2 + 1, MAP_WIDTH))
    if flat_map.zoomed:
        draw_inset(figure, mapping, (KEY_LEFT - 6, 5, KEY_WIDTH + 8))
    return figure


def _colour_bar(
    figure: "Figure",
    values: Float[np.ndarray, "*map voxel"],
    limits: tuple[float, float],
    quantity: Quantity,
    *,
    palette: Palette,
    label: str,
    place: tuple[float, float, float] | None = None,
) -> None:
    """A horizontal colour bar; its ends are pointed where values lie beyond, and their number is said."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    values = np.atleast_2d(values)
    below, above = (values < limits[0]).any(axis=0), (values > limits[1]).any()
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    left, bottom, width = place or (KEY_LEFT - 2, figure.get_size_inches()[1] * 25.4 - 35, KEY_WIDTH + 3)
    axes = add_axes(figure, left, bottom, width, 3.5)
    axes.set_gid("key")
    mappable = ScalarMappable(Normalize(*limits), scalar_colormap(quantity, palette))
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal", extend=extend[bool(below.any()), bool(above)])
    bar.set_ticks(np.linspace(*limits, 3).tolist())
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    if below.any():
        share = f"{below.mean():.0%}" if below.mean() >= 0.005 else "under 1%"
        label += f"\n{share} of vertices below {limits[0]:g}:\nslate grey"
    bar.set_label(label)


def _roi_key(figure: "Figure", mapping: Mapping, colours: Float[np.ndarray, "roi 4"]) -> None:
    top = figure.get_size_inches()[1] * 25.4
    axes = add_axes(figure, KEY_LEFT, top - 24 - 4.2 * (len(colours) + 1), KEY_WIDTH, 4.2 * (len(colours) + 1))
    axes.set(xlim=(0, 1), ylim=(len(colours) + 0.5, -0.5))
    axes.set_axis_off()
    axes.set_gid("key")
    for x, text in ((0.72, "left"), (1.0, "right")):
        axes.text(x, 0, text, ha="right", va="center", color=MUTED, fontsize=7)
    left = mapping.dataset["hemisphere"].values == "left"
    for row, (colour, (name, inside)) in enumerate(zip(colours, mapping.rois.items(), strict=True), start=1):
        axes.plot(0.03, row, "s", color=colour, markersize=6, markeredgecolor=MUTED, markeredgewidth=0.4)
        axes.text(0.1, row, name, va="center", fontsize=7)
        for x, count in ((0.72, (inside & left).sum()), (1.0, (inside & ~left).sum())):
            axes.text(x, row, f"{count}", ha="right", va="center", fontsize=7)
