"""A flat map with its outlines and names on axes, the small map of where it lies, and colour keys."""

from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Float

from factortopy.cortex import HEMISPHERES, SURFACES, VERTICES, Surface, load_surface, standard_name
from factortopy.errors import DataError, UnavailableError
from factortopy.mapping import Mapping
from factortopy.plot.colours import Palette, layer_colours, space_colours
from factortopy.plot.flatmap import FlatMap, FlatSheet, paint
from factortopy.plot.outlines import label_anchor, outline, spread
from factortopy.plot.style import INK, MUTED, add_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOOT = 9.0
"""Space below a flat map for the hemispheres' names and the scale bar, mm on the page."""
NAME_PADDING = 2.5
"""White border around a name, pixels at 100 dpi."""
WHOLE = 0.5
"""Where more than this part of the cortex was measured, all of it is shown."""


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
    mapping: Mapping, surface: Surface, values: Float[np.ndarray, "voxel *rest"]
) -> dict[str, Float[np.ndarray, "vertex *rest"]]:
    """Spread values of voxels over all vertices of each hemisphere, 0 where there is no voxel.

    Voxels beyond the surface's vertices are left out: a mapping on fsaverage is sliced to fsaverage5.
    """
    hemisphere, vertex = mapping.dataset["hemisphere"].values, mapping.dataset["vertex"].values
    spread_out = {}
    for side in HEMISPHERES:
        count = surface.hemisphere(side).vertices
        array = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
        here = (hemisphere == side) & (vertex < count)
        array[vertex[here]] = values[here]
        spread_out[side] = array
    return spread_out


def paint_mapping(mapping: Mapping, rgba: Float[np.ndarray, "voxel 4"]) -> FlatMap:
    """Paint the voxels of a mapping; zoomed unless most of the cortex was measured."""
    surface = surface_of(mapping)
    vertices = sum(int(hemisphere.vertices) for hemisphere in surface.hemispheres)
    colours = to_vertices(mapping, surface, rgba)
    shown = sum(int((colour[:, 3] > 0).sum()) for colour in colours.values())
    return paint(surface, colours, zoom=shown < WHOLE * vertices)


def map_height(flat_map: FlatMap, width: float) -> float:
    """Height in mm that :func:`draw_map` takes at a width in mm."""
    left, right, bottom, top = flat_map.extent
    return width * (top - bottom) / (right - left) + FOOT


def draw_map(
    figure: "Figure",
    mapping: Mapping,
    flat_map: FlatMap,
    place: tuple[float, float, float],
    *,
    names: bool = True,
) -> "Axes":
    """Put a flat map on a figure: picture, ROI outlines and names, hemispheres' names, scale bar.

    Args:
        figure: the figure.
        mapping: whose ROIs are drawn.
        flat_map: the picture.
        place: left, bottom and width in mm.
        names: write the ROIs' names.
    """
    left, right, bottom, top = flat_map.extent
    axes = add_axes(figure, *place, map_height(flat_map, place[2]))
    axes.imshow(flat_map.image, extent=flat_map.extent, interpolation="antialiased", gid="flatmap")
    axes.set(xlim=(left, right), ylim=(bottom - FOOT * (right - left) / place[2], top))
    axes.set_axis_off()
    surface = surface_of(mapping)
    _draw_rois(axes, mapping, surface, flat_map, names)
    for side in HEMISPHERES:
        points = flat_map.sheets[side].points[flat_map.measured[side]]
        if len(points):
            middle = float(np.nanmean([np.nanmin(points[:, 0]), np.nanmax(points[:, 0])]))
            axes.text(middle, bottom, f"{side} hemisphere", ha="center", va="top", color=MUTED, fontsize=7)
    own = standard_name(mapping.dataset.attrs["surface"])
    note = "" if surface.name == own else f"; {own} on {surface.name}"
    height = bottom - 0.72 * FOOT * (right - left) / place[2]
    _draw_scale_bar(axes, (left + right) / 2, height, right - left, note)
    return axes


def _draw_rois(axes: "Axes", mapping: Mapping, surface: Surface, flat_map: FlatMap, names: bool) -> None:
    from matplotlib.collections import LineCollection

    labels = []
    for name, members in mapping.rois.items():
        inside = to_vertices(mapping, surface, members)
        for side in HEMISPHERES:
            sheet: FlatSheet = flat_map.sheets[side]
            lines = outline(sheet, inside[side])
            for colour, width in (("white", 1.7), (INK, 0.8)):
                collection = LineCollection(lines, colors=colour, linewidths=width, capstyle="round")
                axes.add_collection(collection, autolim=False)
            anchor = label_anchor(sheet, inside[side])
            if anchor is not None and names:
                labels.append((name, anchor))
    _draw_names(axes, labels)


def _draw_names(axes: "Axes", labels: list[tuple[str, np.ndarray]]) -> None:
    """Write ROI names on white, moved apart where they would touch; a line leads from one moved far."""
    if not labels:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none", "alpha": 0.82}
    texts = [
        axes.text(x, y, name, ha="center", va="center", fontsize=7, bbox=box, zorder=5, gid="roi-name")
        for name, (x, y) in labels
    ]
    figure = cast("Figure", axes.figure)
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    boxes = [text.get_window_extent(renderer).padded(NAME_PADDING).bounds for text in texts]
    for text, (_, anchor), shift in zip(texts, labels, spread(np.array(boxes)), strict=True):
        if not shift.any():
            continue
        target = axes.transData.inverted().transform(axes.transData.transform(anchor) + shift)
        text.set_position((float(target[0]), float(target[1])))
        if np.linalg.norm(target - anchor) > 8.0:
            axes.plot(*np.stack([anchor, target]).T, color=INK, linewidth=0.6, zorder=4)


def _draw_scale_bar(axes: "Axes", middle: float, height: float, width: float, note: str) -> None:
    length = 20.0 if width < 400 else 50.0
    axes.plot([middle - length, middle], [height, height], color=INK, linewidth=1.2)
    start = middle + 0.012 * width
    axes.text(start, height, f"{length:.0f} mm, flattened{note}", ha="left", va="center", fontsize=7, color=MUTED)


def draw_inset(figure: "Figure", mapping: Mapping, place: tuple[float, float, float]) -> None:
    """A small map of the whole cortex that shows in black where the voxels lie; ``place`` as in draw_map."""
    surface = surface_of(mapping)
    ink = np.tile(np.array([0.1, 0.12, 0.14, 1.0]), (mapping.dataset.sizes["voxel"], 1))
    whole = paint(surface, to_vertices(mapping, surface, ink), zoom=False, width=500)
    left, right, bottom, top = whole.extent
    axes = add_axes(figure, *place, place[2] * (top - bottom) / (right - left))
    axes.imshow(whole.image, extent=whole.extent, interpolation="antialiased")
    axes.set_axis_off()
    axes.set_title("both hemispheres, flattened;\nblack: shown here", fontsize=7, fontweight="normal", color=MUTED)


def draw_layer_key(axes: "Axes", mapping: Mapping, largest: float, palette: Palette, confidence: bool = True) -> None:
    """The key of layer colours: layers along x and, unless switched off, confidence along y.

    Args:
        axes: where to draw.
        mapping: whose layers are named.
        largest: confidence shown at full brightness.
        palette: the palette of the map.
        confidence: draw brightness as well.
    """
    count, rows = len(mapping.layers), 64 if confidence else 1
    position, share = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, rows))
    axes.imshow(
        layer_colours(position, share, palette) if confidence else layer_colours(position, palette=palette),
        origin="lower", aspect="auto", extent=(0.5, count + 0.5, 0.0, largest), interpolation="nearest",
        gid="key",
    )  # fmt: skip
    ticks = sorted({1, *np.linspace(1, count, min(count, 5)).round().astype(int).tolist(), count})
    axes.set_xticks(ticks)
    axes.set_xlabel(f"layer\n1: {_short(mapping.layers[0])}\n{count}: {_short(mapping.layers[-1])}")
    if confidence:
        axes.set_yticks([0.0, largest / 2, largest])
        axes.set_yticklabels(["0", f"{largest / 2:.2g}", f"≥ {largest:.2g}" if largest < 1 else "1"])
        axes.set_ylabel("confidence")
    else:
        axes.set_yticks([])


def draw_space_key(axes: "Axes", palette: Palette) -> None:
    """The key of the space map: the image, each place in its colour."""
    middle = np.linspace(-1, 1, 129)[:-1] + 1 / 128
    axes.imshow(
        space_colours(np.stack(np.meshgrid(middle, middle), axis=-1), palette),
        extent=(-1, 1, 1, -1), gid="key", interpolation="bilinear",
    )  # fmt: skip
    axes.axhline(0, color="white", linewidth=0.6)
    axes.axvline(0, color="white", linewidth=0.6)
    axes.plot(0, 0, "+", color=INK, markersize=6, markeredgewidth=1)
    axes.set(
        xticks=(-1, 0, 1),
        yticks=(-1, 0, 1),
        xlabel="x in the image (right +)",
        ylabel="y in the image (down +)",
    )


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"…{name[-11:]}"
