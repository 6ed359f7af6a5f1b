"""Many small flat maps on one page, with one key: how the paper shows networks beside each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from jaxtyping import Float

from factortopy.mapping import Mapping, best_layer, layer_confidence
from factortopy.plot import (
    FOOT,
    MARGIN,
    MUTED,
    PAGE,
    FlatMap,
    Palette,
    Quantity,
    add_axes,
    draw_map,
    draw_space_key,
    layer_colours,
    map_height,
    new_figure,
    paint,
    scalar_colormap,
    scalar_colours,
    space_colours,
    styled,
    surface_of,
    to_vertices,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["layer", "space", "scale", "score", "weight"]
COUNTED = ("network", "subject", "recipe", "split", "seed")
"""Facts of which a header says how many there are where mappings differ."""
QUANTITIES: dict[str, Quantity] = {"scale": "scale", "score": "score", "weight": "score"}
BARS = {"scale": "0 local, 1 global", "score": "R²; slate grey: below 0", "weight": "weight of the layer"}
GAP, TITLE, KEY, WIDTH = 3.0, 7.0, 24.0, 700
"""Between maps, of their titles and of the keys, mm; width of a map's picture, pixels."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One small map.

    Attributes:
        title: what it shows.
        mapping: where its voxels lie.
        values: layer weights (voxel, layer), places (voxel, 2), or one number a voxel.
        kind: how they are painted.
    """

    title: str
    mapping: Mapping
    values: Float[np.ndarray, "voxel *rest"]
    kind: Kind = "layer"


@dataclass(frozen=True)
class Shared:
    """What the header of a figure of several mappings states: what they have in common, else how many."""

    dataset: xr.Dataset
    simulated: bool

    @classmethod
    def of(cls, mappings: Sequence[Mapping]) -> "Shared":
        """The facts that the mappings share.

        Args:
            mappings: at least one.
        """
        facts: dict[str, Any] = {}
        for name in dict.fromkeys(name for mapping in mappings for name in mapping.dataset.attrs):
            held = [mapping.dataset.attrs.get(name) for mapping in mappings]
            distinct = [value for place, value in enumerate(held) if value not in held[:place]]
            if len(distinct) == 1:
                facts[str(name)] = distinct[0]
            elif name in COUNTED:
                facts[str(name)] = f"{len(distinct)} in all"
            elif str(name).startswith("images_"):
                facts[str(name)] = " / ".join(map(str, distinct))
        return cls(xr.Dataset(attrs=facts), any(mapping.simulated for mapping in mappings))


@styled
def map_grid(
    title: str,
    panels: Sequence[Panel],
    *,
    columns: int = 3,
    source: str = "",
    names: bool = True,
    limit: float | None = None,
    palette: Palette = "default",
) -> "Figure":
    """Small maps row by row, and a key for each kind of map.

    Args:
        title: of the figure.
        panels: the maps; at least one.
        columns: maps a row.
        source: where the values are from, for the header.
        names: write the ROIs' names on the first map.
        limit: largest value of the colours of scores; the 99th percentile of all if None.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    limits = {"layer": _largest_confidence(panels), "score": limit or _largest_score(panels)}
    maps = [_paint(panel, limits, palette) for panel in panels]
    columns = min(columns, len(panels))
    width = (PAGE - 2 * MARGIN - (columns - 1) * GAP) / max(columns, 2)
    heights = [map_height(flat_map, width) + TITLE for flat_map in maps]
    rows = math.ceil(len(panels) / columns)
    lines = [max(heights[row * columns : (row + 1) * columns]) for row in range(rows)]
    # Only the first row has hemispheres' names and a scale bar below its maps.
    feet = [0.0, *[FOOT - GAP] * (rows - 1)]
    lines = [line - foot for line, foot in zip(lines, feet, strict=True)]
    said = "; ".join(panel.title.replace("\n", " ") for panel in panels)
    shared = Shared.of([panel.mapping for panel in panels])
    figure = new_figure(shared, title, sum(lines) + KEY, source=source, alt=f"Flat maps of the cortex: {said}.")
    for number, (panel, flat_map) in enumerate(zip(panels, maps, strict=True)):
        row, column = divmod(number, columns)
        bottom = KEY + sum(lines[row + 1 :]) - feet[row]
        place = (MARGIN + column * (width + GAP), bottom, width)
        axes = draw_map(figure, panel.mapping, flat_map, place, names=names and number == 0)
        axes.set_title(panel.title, fontsize=7.5, pad=2)
        if number:
            _without_foot(axes)
    _draw_keys(figure, panels, limits, palette)
    return figure


def _paint(panel: Panel, limits: dict[str, float], palette: Palette) -> FlatMap:
    surface = surface_of(panel.mapping)
    if panel.kind == "layer":
        rgba = layer_colours(
            best_layer(panel.values), layer_confidence(panel.values) / limits["layer"], palette=palette
        )
    elif panel.kind == "space":
        rgba = space_colours(panel.values, palette)
    else:
        largest = limits["score"] if panel.kind == "score" else 1.0
        rgba = scalar_colours(panel.values, (0.0, largest), QUANTITIES[panel.kind], palette)
    colours = to_vertices(panel.mapping, surface, rgba)
    shown = sum(int((colour[:, 3] > 0).sum()) for colour in colours.values())
    whole = sum(int(hemisphere.vertices) for hemisphere in surface.hemispheres)
    return paint(surface, colours, zoom=0 < shown < 0.5 * whole, width=WIDTH)


def _largest_confidence(panels: Sequence[Panel]) -> float:
    """Confidence at full brightness: the 95th percentile of all maps of layers, at least 0.1."""
    held = [layer_confidence(panel.values) for panel in panels if panel.kind == "layer"]
    if not held:
        return 1.0
    return max(0.1, math.ceil(float(np.nanpercentile(np.concatenate(held), 95)) * 20) / 20)


def _largest_score(panels: Sequence[Panel]) -> float:
    held = [panel.values for panel in panels if panel.kind == "score"]
    if not held:
        return 1.0
    return max(0.05, math.ceil(float(np.nanpercentile(np.concatenate(held), 99)) * 20) / 20)


def _draw_keys(figure: "Figure", panels: Sequence[Panel], limits: dict[str, float], palette: Palette) -> None:
    keys: dict[Kind, Callable[[float], None]] = {
        "layer": lambda left: _layer_key(figure, left, limits["layer"], palette),
        "space": lambda left: _space_key(figure, left, palette),
        "scale": lambda left: _bar(figure, left, (0.0, 1.0), "scale", palette),
        "score": lambda left: _bar(figure, left, (0.0, limits["score"]), "score", palette),
        "weight": lambda left: _bar(figure, left, (0.0, 1.0), "weight", palette),
    }
    kinds = list(dict.fromkeys(panel.kind for panel in panels))
    step = (PAGE - 2 * MARGIN) / len(kinds)
    for place, kind in enumerate(kinds):
        keys[kind](MARGIN + (place + 0.5) * step - 21)


def _layer_key(figure: "Figure", left: float, largest: float, palette: Palette) -> None:
    position, share = np.meshgrid(np.linspace(0, 1, 48), np.linspace(0, 1, 32))
    axes = add_axes(figure, left, 8, 42, 9)
    axes.imshow(
        layer_colours(position, share, palette), origin="lower", aspect="auto", extent=(0, 1, 0, largest),
        gid="key",
    )  # fmt: skip
    axes.set_xticks([0, 1], ["first", "last layer"])
    axes.set_yticks([0, largest], ["0", f"≥ {largest:.2g}" if largest < 1 else "1"])
    axes.set_ylabel("confidence")


def _space_key(figure: "Figure", left: float, palette: Palette) -> None:
    axes = add_axes(figure, left + 13, 5, 16, 16)
    draw_space_key(axes, palette)
    axes.set(xticks=(), yticks=(), xlabel="x in the image", ylabel="y")
    axes.xaxis.labelpad = axes.yaxis.labelpad = 2


def _without_foot(axes: "Axes") -> None:
    """Take the hemispheres' names and the scale bar off a map; the first map of a figure has them."""
    for part in (*axes.texts, *axes.lines):
        if part.get_gid() != "roi-name":
            part.remove()


def _bar(figure: "Figure", left: float, limits: tuple[float, float], kind: Kind, palette: Palette) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes = add_axes(figure, left, 13, 42, 3.5)
    axes.set_gid("key")
    bar = figure.colorbar(
        ScalarMappable(Normalize(*limits), scalar_colormap(QUANTITIES[kind], palette)),
        cax=axes,
        orientation="horizontal",
        extend="both" if kind == "score" else "neither",
    )
    bar.set_ticks([limits[0], sum(limits) / 2, limits[1]])
    bar.set_label(BARS[kind], color=MUTED)
