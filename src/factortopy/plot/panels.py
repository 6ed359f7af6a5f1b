"""One picture of the cortex in its axes: flat or inflated, with outlines and names of regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from factortopy.cortex import HEMISPHERES, SURFACES, VERTICES, Surface, load_surface, standard_name
from factortopy.errors import DataError, UnavailableError
from factortopy.mapping import Mapping
from factortopy.plot.painting.flat import paint
from factortopy.plot.painting.inflated import View, paint_inflated
from factortopy.plot.painting.outlines import label_anchor, outline, spread
from factortopy.plot.painting.raster import CortexPicture, Sheet
from factortopy.plot.style import INK, MUTED, add_axes, shortened, styled

FOOT = 9.0
"""Space below a flat map for the hemispheres' names and the scale bar, mm on the page."""
NAME_PADDING = 2.5
"""White border around a name, pixels at 100 dpi."""
NUMBER_ROOM = 5.0
"""Between a number's middle and a name, pixels at 100 dpi."""
WHOLE = 0.5
"""Where more than this part of the cortex was measured, all of it is shown."""
DOTS = 13.2
"""Pixels of a picture per mm on the page."""

Names = frozenset[tuple[str, str]]
"""Names of ROIs, each with a hemisphere."""
Position = tuple[float, float, float]
"""Left side, bottom and width, mm."""


@dataclass(frozen=True, eq=False)
class CortexPanel:
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


@styled
def cortex_map(
    mapping: Mapping,
    rgba: Float[np.ndarray, "voxel 4"],
    *,
    view: View = "flat",
    ax: Axes | None = None,
    names: bool = True,
) -> Axes:
    """Draw a map of the cortex into axes of a figure of your own, and return them.

    Args:
        mapping: where the voxels lie, and whose ROIs are outlined.
        rgba: the colour of each voxel, 0..1, as keys give them (``LayerKey().colours(weights)``); alpha 0 for none.
        view: ``"flat"``, or the inflated cortex from ``"lateral"``, ``"medial"``, ``"ventral"`` or ``"posterior"``.
        ax: where to draw; axes of a new figure if None.
        names: write the ROIs' names.

    Raises:
        DataError: if the mapping lies on no surface that can be painted.
        UnknownNameError: if there is no such view.

    Example:
        >>> axes = ft.plot.cortex_map(mapping, ft.plot.LayerKey().colours(weights), view="lateral")
    """
    if ax is None:
        ax = Figure(figsize=(6, 4), layout="constrained").add_subplot()
    surface = surface_of(mapping)
    width = ax.get_window_extent().width / ax.figure.dpi * 25.4
    picture = paint_mapping(mapping, surface, rgba, view, width)
    draw_picture(ax, CortexPanel(mapping, rgba), surface, picture, names=names)
    return ax


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


def surfaces_of(panels: Sequence[CortexPanel]) -> list[Surface]:
    """The surface of each panel; each is read once."""
    first = {panel.mapping.dataset.attrs.get("surface"): panel.mapping for panel in panels}
    loaded = {name: surface_of(mapping) for name, mapping in first.items()}
    return [loaded[panel.mapping.dataset.attrs.get("surface")] for panel in panels]


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


def paint_mapping(
    mapping: Mapping, surface: Surface, rgba: Float[np.ndarray, "voxel 4"], view: View, width: float
) -> CortexPicture:
    """Paint the voxels of a mapping for a width in mm; flat maps zoomed unless most of the cortex was measured."""
    colours, dots = to_vertices(mapping, surface, rgba), round(DOTS * width)
    if view != "flat":
        return paint_inflated(surface, colours, view, width=dots)
    shown = np.concatenate([colour[:, 3] > 0 for colour in colours.values()])
    return paint(surface, colours, zoom=0 < shown.mean() < WHOLE, width=dots)


def picture_height(picture: CortexPicture, width: float) -> float:
    """Height of a picture at a width, both in mm."""
    left, right, bottom, top = picture.extent
    return width * (top - bottom) / (right - left)


def draw_picture(
    axes: Axes, panel: CortexPanel, surface: Surface, picture: CortexPicture, *, names: bool | Names = True
) -> None:
    """Put a picture into axes with its outlines and numbers and the names of ROIs: all, none, or those given."""
    left, right, bottom, top = picture.extent
    axes.imshow(picture.image, extent=picture.extent, interpolation="antialiased", gid="cortex")
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    axes.apply_aspect()
    written = _draw_rois(axes, panel.mapping, surface, picture, names)
    if panel.labels is not None:
        _draw_labels(axes, to_vertices(panel.mapping, surface, panel.labels), picture, written)


def best_seen(mapping: Mapping, surface: Surface, pictures: Sequence[CortexPicture]) -> list[Names]:
    """For each picture the ROIs of each hemisphere of which it shows more, in mm², than the others."""
    best: list[set[tuple[str, str]]] = [set() for _ in pictures]
    for name, members in mapping.rois.items():
        for side, inside in to_vertices(mapping, surface, members).items():
            areas = [_area(picture.sheets[side], inside) for picture in pictures]
            best[int(np.argmax(areas))].add((name, side))
    return [frozenset(names) for names in best]


def _area(sheet: Sheet, inside: np.ndarray) -> float:
    (ax, bx, cx), (ay, by, cy) = sheet.points.T[:, sheet.faces[inside[sheet.faces].all(axis=1)].T]
    return float(np.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)).sum()) / 2


def draw_foot(axes: Axes, mapping: Mapping, surface: Surface, picture: CortexPicture, width: float) -> None:
    """Below a flat map of so many mm, the hemispheres' names and a scale bar."""
    left, right, bottom, _ = picture.extent
    for side in HEMISPHERES:
        points = picture.sheets[side].points[picture.measured[side]]
        if np.isfinite(points).any():
            middle = float(np.nanmean([np.nanmin(points[:, 0]), np.nanmax(points[:, 0])]))
            axes.text(middle, bottom, f"{side} hemisphere", ha="center", va="top", color=MUTED, fontsize=7)
    own = standard_name(mapping.dataset.attrs["surface"])
    note = "" if surface.name == own else f"; {own} on {surface.name}"
    height = bottom - 0.72 * FOOT * (right - left) / width
    length = 20.0 if right - left < 400 else 50.0
    middle = (left + right) / 2
    axes.plot([middle - length, middle], [height, height], color=INK, linewidth=1.2, clip_on=False)
    text = f"{length:.0f} mm, flattened{note}"
    axes.text(middle + 0.012 * (right - left), height, text, ha="left", va="center", fontsize=7, color=MUTED)


def draw_inset(figure: Figure, panel: CortexPanel, surface: Surface, position: Position) -> None:
    """A small map of the whole cortex that shows in black where the voxels lie."""
    ink = np.tile(np.array([0.1, 0.12, 0.14, 1.0]), (panel.mapping.dataset.sizes["voxel"], 1))
    whole = paint(surface, to_vertices(panel.mapping, surface, ink), zoom=False, width=500)
    axes = add_axes(figure, *position, picture_height(whole, position[2]))
    axes.imshow(whole.image, extent=whole.extent, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title("both hemispheres, flattened;\nblack: shown here", fontsize=7, fontweight="normal", color=MUTED)


def _draw_rois(
    axes: Axes, mapping: Mapping, surface: Surface, picture: CortexPicture, names: bool | Names
) -> list[Bbox]:
    """Outlines and names; where names are written, in pixels."""
    labels = []
    for name, members in mapping.rois.items():
        inside = to_vertices(mapping, surface, members)
        for side in HEMISPHERES:
            lines = outline(picture.sheets[side], inside[side])
            for colour, width in (("white", 1.7), (INK, 0.8)):
                collection = LineCollection(lines, colors=colour, linewidths=width, capstyle="round")
                axes.add_collection(collection, autolim=False)
            anchor = label_anchor(picture.sheets[side], inside[side])
            if anchor is not None and (names if isinstance(names, bool) else (name, side) in names):
                labels.append((shortened(name, 30), anchor))
    return _draw_names(axes, labels)


def _draw_labels(
    axes: Axes, labels: dict[str, Int[np.ndarray, "vertex"]], picture: CortexPicture, written: list[Bbox]
) -> None:
    """Every number where it has most room, in each hemisphere; none where names cover all."""
    box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 0.3}
    style: dict[str, Any] = {"fontsize": 4.5, "ha": "center", "va": "center", "bbox": box, "zorder": 6}
    for side, numbers in labels.items():
        sheet = picture.sheets[side]
        pixels = axes.transData.transform(sheet.points[:, :2])
        free = np.ones(len(pixels), dtype=bool)
        for name in written:
            free &= ~_within(name.padded(NUMBER_ROOM), pixels)
        for number in np.unique(numbers[numbers > 0]):
            anchor = label_anchor(sheet, (numbers == number) & free)
            if anchor is not None:
                axes.text(float(anchor[0]), float(anchor[1]), str(number), gid="label", **style)


def _within(box: Bbox, pixels: Float[np.ndarray, "vertex 2"]) -> Bool[np.ndarray, "vertex"]:
    return np.asarray(((pixels >= box.min) & (pixels <= box.max)).all(axis=1))


def _draw_names(axes: Axes, labels: list[tuple[str, np.ndarray]]) -> list[Bbox]:
    """Write ROI names on white, moved apart where they would touch; a line leads from one moved far."""
    if not labels:
        return []
    box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none", "alpha": 0.82}
    texts = [
        axes.text(x, y, name, ha="center", va="center", fontsize=7, bbox=box, zorder=5, gid="roi-name")
        for name, (x, y) in labels
    ]
    # A renderer of its own: the figure may be a user's, with a canvas of its own.
    size = axes.figure.bbox.size
    renderer = RendererAgg(*size, axes.figure.dpi)  # type: ignore[no-untyped-call]
    boxes = [text.get_window_extent(renderer).padded(NAME_PADDING).bounds for text in texts]
    for text, (_, anchor), shift in zip(texts, labels, spread(np.array(boxes)), strict=True):
        if not shift.any():
            continue
        target = axes.transData.inverted().transform(axes.transData.transform(anchor) + shift)
        text.set_position((float(target[0]), float(target[1])))
        if np.linalg.norm(target - anchor) > 8.0:
            axes.plot(*np.stack([anchor, target]).T, color=INK, linewidth=0.6, zorder=4)
    return [text.get_window_extent(renderer).padded(NAME_PADDING) for text in texts]
