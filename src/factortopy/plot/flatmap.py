"""Flat map of both hemispheres, painted from a mesh and one RGBA colour per vertex."""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from factortopy.cortex import HEMISPHERES, Hemisphere, Surface
from factortopy.errors import DataError, ShapeError

# Lengths in mm on the flat map.
REACH = 13.0
"""How far cortex is shown around what was measured."""
FADE = 4.0
"""Width over which the shown cortex fades into the page."""
GAP = 10.0
"""Space between the hemispheres."""
LONGEST_FACE = 4.0
"""Triangles with an edge of this many median edges span a cut of the mesh and are not drawn."""


Extent = tuple[float, float, float, float]
"""Left, right, bottom and top of a picture, mm."""


class Raster(NamedTuple):
    """The covered pixels of a picture, row 0 on top, with the corners of the triangle that covers each.

    Weights are barycentric, of the corners at the pixel's centre, summing to 1.
    """

    row: Int[np.ndarray, "pixel"]
    column: Int[np.ndarray, "pixel"]
    vertices: Int[np.ndarray, "pixel 3"]
    weights: Float[np.ndarray, "pixel 3"]


@dataclass(frozen=True, eq=False)
class FlatSheet:
    """The flat mesh of one hemisphere where it stands in the picture.

    Attributes:
        points: position of every vertex in the picture, mm (x right, y up); NaN off the flat mesh.
        faces: triangles that are drawn.
    """

    points: Float[np.ndarray, "vertex 2"]
    faces: Int[np.ndarray, "face 3"]


@dataclass(frozen=True, eq=False)
class FlatMap:
    """A painted picture of both hemispheres.

    Attributes:
        image: RGBA in 0..1, the first row on top; alpha 0 off the cortex.
        extent: of the picture.
        sheets: where each hemisphere's mesh lies, by ``"left"`` and ``"right"``.
        measured: which vertices were painted with a colour of their own, by hemisphere.
        zoomed: whether only the measured part is shown.
    """

    image: Float[np.ndarray, "row column 4"]
    extent: Extent
    sheets: dict[str, FlatSheet]
    measured: dict[str, Bool[np.ndarray, "vertex"]]
    zoomed: bool

    def pixel(self, hemisphere: str, vertex: int) -> tuple[int, int]:
        """Row and column of the pixel in which a vertex lies; a DataError if it is not in the picture."""
        left, right, bottom, top = self.extent
        rows, columns = self.image.shape[:2]
        x, y = self.sheets[hemisphere].points[vertex]
        if not (left <= x < right and bottom < y <= top):
            raise DataError(f"vertex {vertex} of the {hemisphere} hemisphere is not in this picture")
        return int((top - y) / (top - bottom) * rows), int((x - left) / (right - left) * columns)


def paint(
    surface: Surface, colours: MappingType[str, Float[np.ndarray, "vertex 4"]], *, zoom: bool = True, width: int = 1600
) -> FlatMap:
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
    checked = {side: _check(surface.hemisphere(side), colours) for side in HEMISPHERES}
    measured = {side: rgba[:, 3] > 0 for side, rgba in checked.items()}
    if zoom and not any(visible.any() for visible in measured.values()):
        raise DataError("no vertex has a colour (alpha is 0 everywhere); give colours or set zoom=False")
    sheets, extent = _lay_out({side: flat_sheet(surface.hemisphere(side)) for side in HEMISPHERES}, measured, zoom)
    size = (round(width * (extent[3] - extent[2]) / (extent[1] - extent[0])), width)
    image = np.zeros((*size, 4), dtype=np.float32)
    for side in HEMISPHERES:
        raster = rasterise(sheets[side].points, sheets[side].faces, extent, size)
        layer = _shade(raster, surface.hemisphere(side).sulcal_depth, checked[side], measured[side])
        if zoom and measured[side].any():
            layer[:, 3] *= _nearness(raster, sheets[side].points[measured[side]], extent, size)
        visible = layer[:, 3] > 0
        image[raster.row[visible], raster.column[visible]] = layer[visible]
    return FlatMap(image, extent, sheets, measured, zoom)


def flat_sheet(hemisphere: Hemisphere) -> FlatSheet:
    """The flat mesh of a hemisphere in its own coordinates, without triangles that span a cut."""
    points = hemisphere.flat.coordinates[:, :2].astype(float)
    faces = hemisphere.flat.faces
    corners = points[faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    faces = faces[longest < LONGEST_FACE * np.median(longest)]
    drawn = np.zeros(len(points), dtype=bool)
    drawn[faces] = True
    return FlatSheet(np.where(drawn[:, None], points, np.nan), faces)


def _check(hemisphere: Hemisphere, colours: MappingType[str, np.ndarray]) -> Float[np.ndarray, "vertex 4"]:
    if hemisphere.name not in colours:
        raise DataError(f"colours of the {hemisphere.name} hemisphere are missing; give 'left' and 'right'")
    rgba = np.asarray(colours[hemisphere.name], dtype=np.float32)
    if rgba.shape != (hemisphere.vertices, 4):
        raise ShapeError(
            f"colours of the {hemisphere.name} hemisphere have shape {rgba.shape}; "
            f"expected ({hemisphere.vertices}, 4): one RGBA per vertex"
        )
    if not np.isfinite(rgba).all():
        raise DataError(f"colours of the {hemisphere.name} hemisphere hold NaN; use alpha 0 where none was measured")
    return np.clip(rgba, 0.0, 1.0)


def _lay_out(
    sheets: dict[str, FlatSheet], measured: dict[str, np.ndarray], zoom: bool
) -> tuple[dict[str, FlatSheet], Extent]:
    """Put the part to be shown of each hemisphere side by side; returns the shifted sheets and the extent."""
    shifted, left, bottom, top = {}, 0.0, np.inf, -np.inf
    for side, sheet in sheets.items():
        shown = sheet.points[measured[side]] if zoom else sheet.points
        shown = shown[np.isfinite(shown).all(axis=1)]
        if not len(shown):
            shifted[side] = FlatSheet(np.full_like(sheet.points, np.nan), sheet.faces[:0])
            continue
        margin = REACH if zoom else 0.0
        low, high = shown.min(axis=0) - margin, shown.max(axis=0) + margin
        faces = sheet.faces[_within_reach(sheet, shown)] if zoom else sheet.faces
        shifted[side] = FlatSheet(sheet.points + np.array([left - low[0], 0.0]), faces)
        left += high[0] - low[0] + GAP
        bottom, top = min(bottom, low[1]), max(top, high[1])
    return shifted, (0.0, left - GAP, bottom, top)


def _within_reach(sheet: FlatSheet, shown: Float[np.ndarray, "measured 2"]) -> Bool[np.ndarray, "face"]:
    distance = np.full(len(sheet.points), np.inf)
    drawn = np.isfinite(sheet.points).all(axis=1)
    distance[drawn], _ = KDTree(shown).query(sheet.points[drawn], distance_upper_bound=2 * REACH)
    return np.asarray((distance[sheet.faces] < REACH).any(axis=1))


def _shade(
    raster: Raster, sulcal_depth: np.ndarray, rgba: np.ndarray, measured: np.ndarray
) -> Float[np.ndarray, "pixel 4"]:
    """Colour of each pixel: measured colours over the grey of the folding."""
    depth = (raster.weights * sulcal_depth[raster.vertices]).sum(axis=1)
    grey = 0.86 - 0.10 / (1.0 + np.exp(-depth / 0.12))
    parts = raster.weights * measured[raster.vertices]
    total = parts.sum(axis=1)
    mean = (parts[:, :, None] * rgba[raster.vertices]).sum(axis=1) / np.maximum(total, 1e-6)[:, None]
    # A pixel is measured where measured corners weigh more than half, so the border stays sharp.
    opacity = np.where(total >= 0.5, mean[:, 3], 0.0)[:, None]
    painted = opacity * mean[:, :3] + (1.0 - opacity) * grey[:, None]
    return np.concatenate([painted, np.ones_like(opacity)], axis=1)


def _nearness(
    raster: Raster, points: Float[np.ndarray, "measured 2"], extent: Extent, size: tuple[int, int]
) -> Float[np.ndarray, "pixel"]:
    """1 within reach of a measured vertex, falling smoothly to 0."""
    left, right, bottom, top = extent
    # Distances are smooth: they are asked for on a grid of one mm and interpolated to pixels.
    x, y = np.arange(left, right + 1.0), np.arange(bottom, top + 1.0)
    tree = KDTree(points[np.isfinite(points).all(axis=1)])
    distance, _ = tree.query(np.stack(np.meshgrid(x, y), axis=-1), distance_upper_bound=2 * REACH)
    nearness = np.clip((REACH - np.minimum(distance, 2 * REACH)) / FADE, 0.0, 1.0)
    pixel_x = (raster.column + 0.5) / size[1] * (right - left)
    pixel_y = (top - bottom) - (raster.row + 0.5) / size[0] * (top - bottom)
    return np.asarray(map_coordinates(nearness, [pixel_y, pixel_x], order=1, mode="nearest"))


def rasterise(
    points: Float[np.ndarray, "vertex 2"], faces: Int[np.ndarray, "face 3"], extent: Extent, size: tuple[int, int]
) -> Raster:
    """Find the triangle under every pixel centre of a picture of so many rows and columns, all triangles at once.

    Each triangle proposes the pixels of its bounding box; those with three non-negative barycentric
    weights lie inside. A pixel on a shared edge comes twice, with the same colour either way. No triangle
    may have a corner without a position.
    """
    left, right, bottom, top = extent
    # Pixel coordinates: (column, row), integers at pixel centres.
    scale = np.array([size[1] / (right - left), size[0] / (top - bottom)])
    pixels = (points - [left, top]) * scale * [1.0, -1.0] - 0.5
    low = np.ceil(pixels[faces].min(axis=1)).astype(int)
    high = np.floor(pixels[faces].max(axis=1)).astype(int)
    low, high = np.maximum(low, 0), np.minimum(high, [size[1] - 1, size[0] - 1])
    spans = high - low + 1
    faces, low, spans = (array[(spans > 0).all(axis=1)] for array in (faces, low, spans))

    counts = spans.prod(axis=1)
    face = np.repeat(np.arange(len(faces)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[face, 0] + within % spans[face, 0]
    row = low[face, 1] + within // spans[face, 0]
    weights = _barycentric(pixels[faces], face, column, row)
    inside = (weights >= -1e-6).all(axis=1)
    return Raster(row[inside], column[inside], faces[face[inside]], weights[inside].astype(np.float32))


def _barycentric(
    corners: Float[np.ndarray, "face 3 2"],
    face: Int[np.ndarray, "pixel"],
    column: Int[np.ndarray, "pixel"],
    row: Int[np.ndarray, "pixel"],
) -> Float[np.ndarray, "pixel 3"]:
    (ax, ay), (bx, by), (cx, cy) = corners.transpose(1, 2, 0)
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    # A triangle without area covers nothing: its weights are NaN, which never counts as inside.
    area = np.where(area == 0.0, np.nan, area)
    # Weights are linear in the pixel's position: one slope per triangle, corner and axis.
    slopes = np.stack([by - cy, cx - bx, cy - ay, ax - cx]) / area
    dx, dy = column - cx[face], row - cy[face]
    first = slopes[0][face] * dx + slopes[1][face] * dy
    second = slopes[2][face] * dx + slopes[3][face] * dy
    return np.stack([first, second, 1.0 - first - second], axis=1)
