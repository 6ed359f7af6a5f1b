"""Flat map of both hemispheres, painted from a mesh and one RGBA colour per vertex."""

from collections.abc import Mapping as MappingType

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from factortopy.cortex import Hemisphere, Surface
from factortopy.errors import DataError
from factortopy.plot.painting.raster import (
    CortexPicture,
    Extent,
    Raster,
    Sheet,
    check_colours,
    folding_grey,
    shade,
    shared_raster,
)

# Lengths in mm on the flat map.
REACH = 13.0
"""How far cortex is shown around what was measured."""
FADE = 4.0
"""Width over which the shown cortex fades into the page."""
GAP = 10.0
"""Space between the hemispheres."""
LONGEST_FACE = 4.0
"""Triangles with an edge of this many median edges span a cut of the mesh and are not drawn."""


def paint(
    surface: Surface, colours: MappingType[str, Float[np.ndarray, "vertex 4"]], *, zoom: bool = True, width: int = 1600
) -> CortexPicture:
    """Paint both hemispheres flat, the left one on the left, occipital poles toward the middle.

    Colours are interpolated inside triangles between measured vertices. Cortex that was not measured is
    grey: light on gyri, darker in sulci. The medial wall and the cuts are left out by the mesh.

    Args:
        surface: the cortical surface.
        colours: RGBA in 0..1 of every vertex of ``"left"`` and ``"right"``; alpha 0 means not measured.
        zoom: show only what was measured and the cortex around it; else the whole cortex.
        width: width of the picture in pixels.

    Raises:
        DataError: if a hemisphere is missing, nothing was measured though ``zoom`` is set, or a colour
            is no number.
        ShapeError: if the number of vertices differs from the surface's.
    """
    checked = {half.name: check_colours(half, colours) for half in surface.hemispheres}
    measured = {side: inside for side, (_, inside) in checked.items()}
    if zoom and not any(visible.any() for visible in measured.values()):
        raise DataError("no vertex has a colour (alpha is 0 everywhere); give colours or set zoom=False")
    sheets, extent = _lay_out({half.name: flat_sheet(half) for half in surface.hemispheres}, measured, zoom)
    size = (round(width * (extent[3] - extent[2]) / (extent[1] - extent[0])), width)
    image = np.zeros((*size, 4), dtype=np.float32)
    for half in surface.hemispheres:
        (rgba, inside), sheet = checked[half.name], sheets[half.name]
        raster = shared_raster(sheet.points, sheet.faces, extent, size)
        layer = shade(raster, folding_grey(half.sulcal_depth), rgba, inside)
        if zoom and len(raster.row):
            layer[:, 3] *= _closeness(raster, sheet.points[inside], extent, size)
        visible = np.flatnonzero(layer[:, 3])
        image.reshape(-1, 4)[raster.row[visible] * width + raster.column[visible]] = layer[visible]
    return CortexPicture(image, extent, sheets, measured, zoom)


def flat_sheet(hemisphere: Hemisphere) -> Sheet:
    """The flat mesh of a hemisphere in its own coordinates, without triangles that span a cut."""
    points = hemisphere.flat.coordinates[:, :2].astype(float)
    faces = hemisphere.flat.faces
    x, y = points.T[:, faces.T]
    longest = np.hypot(x - np.roll(x, 1, axis=0), y - np.roll(y, 1, axis=0)).max(axis=0)
    faces = faces[longest < LONGEST_FACE * np.median(longest)]
    drawn = np.zeros(len(points), dtype=bool)
    drawn[faces] = True
    return Sheet(np.where(drawn[:, None], points, np.nan), faces)


def _lay_out(
    sheets: dict[str, Sheet], measured: dict[str, Bool[np.ndarray, "vertex"]], zoom: bool
) -> tuple[dict[str, Sheet], Extent]:
    """Put the part to be shown of each hemisphere side by side; returns the shifted sheets and the extent."""
    shifted, left, bottom, top = {}, 0.0, np.inf, -np.inf
    for side, sheet in sheets.items():
        shown = sheet.points[measured[side]] if zoom else sheet.points
        shown = shown[np.isfinite(shown).all(axis=1)]
        if not len(shown):
            shifted[side] = Sheet(np.full_like(sheet.points, np.nan), sheet.faces[:0])
            continue
        margin = REACH if zoom else 0.0
        low, high = shown.min(axis=0) - margin, shown.max(axis=0) + margin
        faces = sheet.faces[_within_reach(sheet, shown)] if zoom else sheet.faces
        shifted[side] = Sheet(sheet.points + np.array([left - low[0], 0.0]), faces)
        left += high[0] - low[0] + GAP
        bottom, top = min(bottom, low[1]), max(top, high[1])
    return shifted, (0.0, left - GAP, bottom, top)


def _within_reach(sheet: Sheet, shown: Float[np.ndarray, "measured 2"]) -> Bool[np.ndarray, "face"]:
    distance = np.full(len(sheet.points), np.inf)
    drawn = np.isfinite(sheet.points).all(axis=1)
    distance[drawn], _ = KDTree(shown).query(sheet.points[drawn], distance_upper_bound=REACH)
    return np.asarray((distance[sheet.faces] < REACH).any(axis=1))


def _closeness(
    raster: Raster, points: Float[np.ndarray, "measured 2"], extent: Extent, size: tuple[int, int]
) -> Float[np.ndarray, "pixel"]:
    """1 within reach of a measured vertex, falling smoothly to 0."""
    left, right, bottom, top = extent
    across = (raster.column + 0.5) / size[1] * (right - left)
    up = (top - bottom) - (raster.row + 0.5) / size[0] * (top - bottom)
    # Distances are smooth: they are asked for on a grid of one mm under the pixels and interpolated to these.
    first_x, first_y = np.floor(across.min()), np.floor(up.min())
    x = left + np.arange(first_x, across.max() + 1.0)
    y = bottom + np.arange(first_y, up.max() + 1.0)
    tree = KDTree(points[np.isfinite(points).all(axis=1)])
    distance, _ = tree.query(np.stack(np.meshgrid(x, y), axis=-1), distance_upper_bound=REACH)  # infinite beyond
    closeness = np.clip((REACH - distance) / FADE, 0.0, 1.0)
    return np.asarray(map_coordinates(closeness, [up - first_y, across - first_x], order=1, mode="nearest"))
