"""Pages of flat maps: each with its outlines and names, with keys, and a small map of where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from factortopy.cortex import HEMISPHERES, SURFACES, VERTICES, Surface, load_surface, standard_name
from factortopy.errors import DataError, UnavailableError
from factortopy.mapping import Mapping
from factortopy.plot.flatmap import FlatMap, paint
from factortopy.plot.keys import Key
from factortopy.plot.outlines import label_anchor, outline, spread
from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, Described, add_axes, new_figure, shortened

FOOT = 9.0
"""Space below a flat map for the hemispheres' names and the scale bar, mm on the page."""
NAME_PADDING = 2.5
"""White border around a name, pixels at 100 dpi."""
WHOLE = 0.5
"""Where more than this part of the cortex was measured, all of it is shown."""
DOTS = 13.2
"""Pixels of a picture per mm on the page."""
MAP_WIDTH, KEY_LEFT, KEY_WIDTH = 122.0, 139.0, 35.0
"""Of a page of one map, mm."""
GAP, LINE, KEYS, SMALL = 3.0, 3.0, 30.0, 70.0
"""Between many maps, of a line of their titles, of keys below, mm; width below which maps carry fewer words."""


Position = tuple[float, float, float]
"""Left side, bottom and width, mm."""


@dataclass(frozen=True, eq=False)
class FlatPanel:
    """One map of a page.

    Attributes:
        mapping: where its voxels lie, and whose ROIs are drawn.
        rgba: the colour of each voxel.
        title: what it shows; a page of one map has its own title.
        labels: a number of each voxel, written where most voxels of one number lie; 0 for none.
    """

    mapping: Mapping
    rgba: Float[np.ndarray, "voxel 4"]
    title: str = ""
    labels: Int[np.ndarray, "voxel"] | None = None


def surface_of(mapping: Mapping) -> Surface:
    """The surface on which a mapping is painted: its own, or fsaverage5 where its meshes are not here.

    fsaverage5 has the first vertices of fsaverage6 and fsaverage; of their voxels, those are shown.

    Raises:
        DataError: if the voxels are no vertices of a surface that can be painted.
    """
    name = mapping.dataset.attrs.get("surface")
    if name not in VERTICES or not {"hemisphere", "vertex"} <= set(mapping.dataset.coords):
        raise DataError(
            f"this mapping lies on surface {name!r}; flat maps need {' or '.join(SURFACES)} with "
            "'hemisphere' and 'vertex' of every voxel"
        )
    try:
        return load_surface(str(name))
    except UnavailableError:
        return load_surface("fsaverage5")


def to_vertices(
    mapping: Mapping, surface: Surface, values: Shaped[np.ndarray, "voxel *rest"]
) -> dict[str, Shaped[np.ndarray, "vertex *rest"]]:
    """Spread values of voxels over all vertices of each hemisphere, 0 where there is no voxel.

    Voxels beyond the surface's vertices are left out: a mapping on fsaverage is sliced to fsaverage5.
    """
    hemisphere, vertex = mapping.dataset["hemisphere"].values, mapping.dataset["vertex"].values
    arrays = {}
    for side in HEMISPHERES:
        count = surface.hemisphere(side).vertices
        arrays[side] = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
        here = (hemisphere == side) & (vertex < count)
        arrays[side][vertex[here]] = values[here]
    return arrays


def paint_mapping(mapping: Mapping, rgba: Float[np.ndarray, "voxel 4"], width: float = MAP_WIDTH) -> FlatMap:
    """Paint the voxels of a mapping for a width in mm; zoomed unless most of the cortex was measured, or none."""
    surface = surface_of(mapping)
    colours = to_vertices(mapping, surface, rgba)
    shown = np.concatenate([colour[:, 3] > 0 for colour in colours.values()])
    return paint(surface, colours, zoom=0 < shown.mean() < WHOLE, width=round(DOTS * width))


def map_page(
    header: Described,
    title: str,
    panels: Sequence[FlatPanel],
    keys: Sequence[Key],
    *,
    source: str = "",
    alt: str,
    columns: int = 2,
    below: float = 0.0,
    names: bool = True,
) -> Figure:
    """A page of flat maps: one with its keys on the right, or rows of several with their keys below.

    Args:
        header: whose facts the header states.
        title: of the page.
        panels: the maps; at least one.
        keys: what the colours mean.
        source: what the values are taken from.
        alt: description for readers who cannot see the figure.
        columns: maps a row, where there are several.
        below: free space to leave under a single map, mm.
        names: write the ROIs' names; small maps have them on the first one only.

    Raises:
        DataError: if a mapping lies on no surface that can be painted, or no voxel has a colour.
    """
    single = len(panels) == 1
    columns = min(columns, len(panels))
    width = MAP_WIDTH if single else (PAGE - 2 * MARGIN - (columns - 1) * GAP) / max(columns, 2)
    maps = [paint_mapping(panel.mapping, panel.rgba, width) for panel in panels]
    if not any(visible.any() for flat_map in maps for visible in flat_map.measured.values()):
        raise DataError("no voxel has a colour: none has a value of what is shown")
    title_lines = 1 + max(panel.title.count("\n") for panel in panels)
    height, positions = _beside_keys(maps[0], below) if single else _in_rows(maps, columns, width, title_lines)
    figure = new_figure(header, title, height, source=source, alt=alt)
    for number, (panel, flat_map, position) in enumerate(zip(panels, maps, positions, strict=True)):
        full = width > SMALL or number == 0
        axes = draw_map(figure, panel, flat_map, position, names=names and full, foot=full)
        if not single:
            axes.set_title(panel.title, fontsize=7.5, pad=2)
    if not single:
        slot = (PAGE - 2 * MARGIN) / len(keys)
        for number, key in enumerate(keys):
            key.draw(figure, MARGIN + (number + 0.5) * slot - 18, KEYS - 4, 36, 13)
        return figure
    for key in keys:
        height = key.draw(figure, KEY_LEFT, height - 8, KEY_WIDTH, KEY_WIDTH) + 3
    if maps[0].zoomed:
        draw_inset(figure, panels[0].mapping, (KEY_LEFT - 6, below + 5, KEY_WIDTH + 8))
    return figure


def _beside_keys(flat_map: FlatMap, below: float) -> tuple[float, list[Position]]:
    """Height of a page of one map, which stands on the left, and its position."""
    tall = map_height(flat_map, MAP_WIDTH)
    height = max(tall, 86.0)
    return below + height + 2, [(MARGIN, below + (height - tall) / 2 + 1, MAP_WIDTH)]


def _in_rows(maps: Sequence[FlatMap], columns: int, width: float, title_lines: int) -> tuple[float, list[Position]]:
    """Height of a page of maps row by row above their keys, and their positions."""
    heights = [map_height(flat_map, width) for flat_map in maps]
    starts = range(0, len(maps), columns)
    # Of small maps only the first row has room for hemispheres' names and a scale bar.
    feet = [FOOT - GAP if width < SMALL and start else 0.0 for start in starts]
    title = 4 + LINE * title_lines
    rows = [max(heights[start : start + columns]) + title - foot for start, foot in zip(starts, feet, strict=True)]
    positions = []
    for number in range(len(maps)):
        row, column = divmod(number, columns)
        positions.append((MARGIN + column * (width + GAP), KEYS + sum(rows[row + 1 :]) - feet[row], width))
    return KEYS + sum(rows), positions


def map_height(flat_map: FlatMap, width: float) -> float:
    """Height in mm that :func:`draw_map` takes at a width in mm."""
    left, right, bottom, top = flat_map.extent
    return width * (top - bottom) / (right - left) + FOOT


def draw_map(
    figure: Figure, panel: FlatPanel, flat_map: FlatMap, position: Position, *, names: bool = True, foot: bool = True
) -> Axes:
    """Put a flat map on a figure: picture, outlines, with ``names`` the ROIs', with ``foot`` hemispheres and scale."""
    left, right, bottom, top = flat_map.extent
    axes = add_axes(figure, *position, map_height(flat_map, position[2]))
    axes.imshow(flat_map.image, extent=flat_map.extent, interpolation="antialiased", gid="flatmap")
    axes.set(xlim=(left, right), ylim=(bottom - FOOT * (right - left) / position[2], top))
    axes.set_axis_off()
    surface = surface_of(panel.mapping)
    _draw_rois(axes, panel.mapping, surface, flat_map, names)
    if panel.labels is not None:
        _draw_labels(axes, to_vertices(panel.mapping, surface, panel.labels), flat_map)
    if not foot:
        return axes
    for side in HEMISPHERES:
        points = flat_map.sheets[side].points[flat_map.measured[side]]
        if len(points):
            middle = float(np.nanmean([np.nanmin(points[:, 0]), np.nanmax(points[:, 0])]))
            axes.text(middle, bottom, f"{side} hemisphere", ha="center", va="top", color=MUTED, fontsize=7)
    own = standard_name(panel.mapping.dataset.attrs["surface"])
    note = "" if surface.name == own else f"; {own} on {surface.name}"
    height = bottom - 0.72 * FOOT * (right - left) / position[2]
    _draw_scale_bar(axes, (left + right) / 2, height, right - left, note)
    return axes


def _draw_rois(axes: Axes, mapping: Mapping, surface: Surface, flat_map: FlatMap, names: bool) -> None:
    labels = []
    for name, members in mapping.rois.items():
        inside = to_vertices(mapping, surface, members)
        for side in HEMISPHERES:
            lines = outline(flat_map.sheets[side], inside[side])
            for colour, width in (("white", 1.7), (INK, 0.8)):
                collection = LineCollection(lines, colors=colour, linewidths=width, capstyle="round")
                axes.add_collection(collection, autolim=False)
            anchor = label_anchor(flat_map.sheets[side], inside[side])
            if anchor is not None and names:
                labels.append((shortened(name, 30), anchor))
    _draw_names(axes, labels)


def _draw_labels(axes: Axes, labels: dict[str, Int[np.ndarray, "vertex"]], flat_map: FlatMap) -> None:
    """Every number where it has most room, in each hemisphere."""
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 0.3}
    style: dict[str, Any] = {"fontsize": 4.5, "ha": "center", "va": "center", "bbox": box, "zorder": 6}
    for side, numbers in labels.items():
        for number in np.unique(numbers[numbers > 0]):
            anchor = label_anchor(flat_map.sheets[side], numbers == number)
            if anchor is not None:
                axes.text(float(anchor[0]), float(anchor[1]), str(number), gid="label", **style)


def _draw_names(axes: Axes, labels: list[tuple[str, np.ndarray]]) -> None:
    """Write ROI names on white, moved apart where they would touch; a line leads from one moved far."""
    if not labels:
        return
    box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none", "alpha": 0.82}
    texts = [
        axes.text(x, y, name, ha="center", va="center", fontsize=7, bbox=box, zorder=5, gid="roi-name")
        for name, (x, y) in labels
    ]
    figure = cast(Figure, axes.figure)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    boxes = [text.get_window_extent(renderer).padded(NAME_PADDING).bounds for text in texts]
    for text, (_, anchor), shift in zip(texts, labels, spread(np.array(boxes)), strict=True):
        if not shift.any():
            continue
        target = axes.transData.inverted().transform(axes.transData.transform(anchor) + shift)
        text.set_position((float(target[0]), float(target[1])))
        if np.linalg.norm(target - anchor) > 8.0:
            axes.plot(*np.stack([anchor, target]).T, color=INK, linewidth=0.6, zorder=4)


def _draw_scale_bar(axes: Axes, middle: float, height: float, width: float, note: str) -> None:
    length = 20.0 if width < 400 else 50.0
    axes.plot([middle - length, middle], [height, height], color=INK, linewidth=1.2)
    text = f"{length:.0f} mm, flattened{note}"
    axes.text(middle + 0.012 * width, height, text, ha="left", va="center", fontsize=7, color=MUTED)


def draw_inset(figure: Figure, mapping: Mapping, position: Position) -> None:
    """A small map of the whole cortex that shows in black where the voxels lie; ``position`` as in draw_map."""
    surface = surface_of(mapping)
    ink = np.tile(np.array([0.1, 0.12, 0.14, 1.0]), (mapping.dataset.sizes["voxel"], 1))
    whole = paint(surface, to_vertices(mapping, surface, ink), zoom=False, width=500)
    left, right, bottom, top = whole.extent
    axes = add_axes(figure, *position, position[2] * (top - bottom) / (right - left))
    axes.imshow(whole.image, extent=whole.extent, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title("both hemispheres, flattened;\nblack: shown here", fontsize=7, fontweight="normal", color=MUTED)
