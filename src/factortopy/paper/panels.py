"""Many small flat maps on one page, with one key: how the paper shows networks beside each other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from jaxtyping import Float

from factortopy.mapping import Mapping
from factortopy.plot.colours import (
    Palette,
    layer_colours,
    scalar_colormap,
    scalar_colours,
    space_colours,
)
from factortopy.plot.flatmap import FlatMap, paint
from factortopy.plot.maps import best_layer, confidence
from factortopy.plot.panels import draw_map, draw_space_key, map_height, surface_of, to_vertices
from factortopy.plot.style import MARGIN, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["layer", "space", "scale", "score"]
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
        facts = {}
        for name in ("network", "subject", "recipe", "images_test", "seed"):
            values = list(dict.fromkeys(mapping.dataset.attrs.get(name) for mapping in mappings))
            if values == [None]:
                continue
            many = (
                f"{len(values)} {name}s" if name in ("network", "subject") else " / ".join(map(str, values))
            )
            facts[name] = values[0] if len(values) == 1 else many
        if not str(facts.get("images_test", 0)).isdecimal():
            del facts["images_test"]
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
    said = "; ".join(panel.title.replace("\n", " ") for panel in panels)
    shared = Shared.of([panel.mapping for panel in panels])
    figure = new_figure(
        shared, title, sum(lines) + KEY, source=source, alt=f"Flat maps of the cortex: {said}."
    )
    for number, (panel, flat_map) in enumerate(zip(panels, maps, strict=True)):
        row, column = divmod(number, columns)
        bottom = KEY + sum(lines[row + 1 :])
        place = (MARGIN + column * (width + GAP), bottom, width)
        axes = draw_map(figure, panel.mapping, flat_map, place, names=names and number == 0)
        axes.set_title(panel.title, fontsize=7.5, pad=2)
    _draw_keys(figure, panels, limits, palette)
    return figure


def _paint(panel: Panel, limits: dict[str, float], palette: Palette) -> FlatMap:
    surface = surface_of(panel.mapping)
    if panel.kind == "layer":
        rgba = layer_colours(
            best_layer(panel.values), confidence(panel.values) / limits["layer"], palette=palette
        )
    elif panel.kind == "space":
        rgba = space_colours(panel.values, palette)
    else:
        largest = limits["score"] if panel.kind == "score" else 1.0
        rgba = scalar_colours(panel.values, (0.0, largest), panel.kind, palette)
    colours = to_vertices(panel.mapping, surface, rgba)
    shown = sum(int((colour[:, 3] > 0).sum()) for colour in colours.values())
    whole = sum(int(hemisphere.vertices) for hemisphere in surface.hemispheres)
    return paint(surface, colours, zoom=0 < shown < 0.5 * whole, width=WIDTH)


def _largest_confidence(panels: Sequence[Panel]) -> float:
    """Confidence at full brightness: the 95th percentile of all maps of layers, at least 0.1."""
    held = [confidence(panel.values) for panel in panels if panel.kind == "layer"]
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
        "space": lambda left: draw_space_key(add_axes(figure, left + 14, 7, 14, 14), palette),
        "scale": lambda left: _bar(figure, left, (0.0, 1.0), "scale", palette),
        "score": lambda left: _bar(figure, left, (0.0, limits["score"]), "score", palette),
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


def _bar(
    figure: "Figure",
    left: float,
    limits: tuple[float, float],
    kind: Literal["scale", "score"],
    palette: Palette,
) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes = add_axes(figure, left, 13, 42, 3.5)
    axes.set_gid("key")
    bar = figure.colorbar(
        ScalarMappable(Normalize(*limits), scalar_colormap(kind, palette)),
        cax=axes,
        orientation="horizontal",
        extend="neither" if kind == "scale" else "both",
    )
    bar.set_ticks([limits[0], limits[1] / 2, limits[1]])
    bar.set_label("0 local, 1 global" if kind == "scale" else "value; slate grey: below 0", color=MUTED)
