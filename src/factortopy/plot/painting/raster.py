"""Triangles to pixels: which triangle lies under each pixel of a picture, and what colour that gives."""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from factortopy.cortex import Hemisphere
from factortopy.errors import DataError, ShapeError

Extent = tuple[float, float, float, float]
"""Left, right, bottom and top of a picture, mm."""
LIGHT, FOLDED = 0.86, 0.10
"""Grey of gyri, and how much darker sulci are."""
KEPT = 4
"""Meshes whose pixels are kept for the next map: two hemispheres, twice. Some 20 MB each."""


class Raster(NamedTuple):
    """The covered pixels of a picture, row 0 on top, with the corners of the triangle that covers each.

    Weights are barycentric, of the corners at the pixel's centre, summing to 1; ``face`` is the triangle's index.
    """

    row: Int[np.ndarray, "pixel"]
    column: Int[np.ndarray, "pixel"]
    face: Int[np.ndarray, "pixel"]
    vertices: Int[np.ndarray, "pixel 3"]
    weights: Float[np.ndarray, "pixel 3"]


@dataclass(frozen=True, eq=False)
class Sheet:
    """The mesh of one hemisphere where it stands in a picture.

    Attributes:
        points: position of every vertex in the picture, mm (x right, y up); NaN where it is not seen.
        faces: triangles that are seen.
    """

    points: Float[np.ndarray, "vertex 2"]
    faces: Int[np.ndarray, "face 3"]


@dataclass(frozen=True, eq=False)
class CortexPicture:
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
    sheets: dict[str, Sheet]
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


def check_colours(
    hemisphere: Hemisphere, colours: MappingType[str, np.ndarray]
) -> tuple[Float[np.ndarray, "vertex 4"], Bool[np.ndarray, "vertex"]]:
    """Colours of a hemisphere's vertices in 0..1, and which of them were measured.

    Raises:
        DataError: if they are missing, or one is no number.
        ShapeError: if the number of vertices differs.
    """
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
    return np.clip(rgba, 0.0, 1.0), rgba[:, 3] > 0


def folding_grey(sulcal_depth: Float[np.ndarray, "vertex"]) -> Float[np.ndarray, "vertex"]:
    """Grey of cortex that was not measured: light on gyri, darker in sulci."""
    return np.asarray(LIGHT - FOLDED / (1.0 + np.exp(-sulcal_depth / 0.12)), dtype=np.float32)


def shade(
    raster: Raster,
    grey: Float[np.ndarray, "vertex"],
    rgba: Float[np.ndarray, "vertex 4"],
    measured: Bool[np.ndarray, "vertex"],
) -> Float[np.ndarray, "pixel 4"]:
    """Colour of each pixel: measured colours over grey."""
    # What is interpolated from corners is one product of a sparse matrix, as gathering corners takes far longer.
    of_vertices = np.column_stack([grey, measured, rgba * measured[:, None]]).astype(np.float32)
    starts = np.arange(0, raster.vertices.size + 1, 3)
    corners = csr_array((raster.weights.ravel(), raster.vertices.ravel(), starts), (len(raster.row), len(grey)))
    bare, total, *colour = (corners @ of_vertices).T
    # A pixel is measured where measured corners weigh more than half, so the border stays sharp.
    inside = total >= 0.5
    mean = np.stack(colour) / np.where(inside, total, 1.0)
    opacity = np.where(inside, mean[3], 0.0)
    painted = np.stack([*(opacity * mean[:3] + (1.0 - opacity) * bare), np.ones_like(bare)], axis=1)
    return painted.clip(0.0, 1.0)  # weights of corners may lie below 0 by rounding


def rasterise(
    points: Float[np.ndarray, "vertex 2"],
    faces: Int[np.ndarray, "face 3"],
    extent: Extent,
    size: tuple[int, int],
    nearness: Float[np.ndarray, "vertex"] | None = None,
) -> Raster:
    """Find the triangle under every pixel centre of a picture of so many rows and columns, all triangles at once.

    Each triangle proposes the pixels of its bounding box; those with three non-negative barycentric
    weights lie inside. A pixel on a shared edge comes twice, with the same colour either way, unless ``nearness``
    is given: of several triangles over a pixel, the one that is nearest to the viewer there is then kept. No
    triangle may have a corner without a position.
    """
    left, right, bottom, top = extent
    # Pixel coordinates, integers at pixel centres; one row a corner, as NumPy is slow along short last axes.
    corners = np.ascontiguousarray(faces.T)
    x = ((points[:, 0] - left) * (size[1] / (right - left)) - 0.5)[corners]
    y = ((top - points[:, 1]) * (size[0] / (top - bottom)) - 0.5)[corners]
    first_column, last_column = _span(x, size[1])
    first_row, last_row = _span(y, size[0])
    keep = np.flatnonzero((last_column >= first_column) & (last_row >= first_row))
    columns, rows = (last_column - first_column + 1)[keep], (last_row - first_row + 1)[keep]
    counts = columns * rows
    face = np.repeat(np.arange(len(keep), dtype=np.int32), counts)
    within = np.arange(len(face), dtype=np.int32) - np.repeat((np.cumsum(counts) - counts).astype(np.int32), counts)
    down, across = np.divmod(within, columns[face])
    column, row = first_column[keep][face] + across, first_row[keep][face] + down
    weights = _barycentric(x[:, keep], y[:, keep], face, column, row)
    inside = np.flatnonzero((weights >= -1e-6).all(axis=0))
    found = keep[face[inside]]
    raster = Raster(row[inside], column[inside], found, faces[found], weights[:, inside].T.astype(np.float32))
    return raster if nearness is None else _nearest(raster, nearness, size)


def shared_raster(
    points: Float[np.ndarray, "vertex 2"],
    faces: Int[np.ndarray, "face 3"],
    extent: Extent,
    size: tuple[int, int],
    nearness: Float[np.ndarray, "vertex"] | None = None,
) -> Raster:
    """As :func:`rasterise`, which takes most of a map's time; maps of the same mesh share what it gives."""
    depths = None if nearness is None else nearness.astype(float).tobytes()
    return _kept_raster(points.astype(float).tobytes(), faces.astype(np.int32).tobytes(), depths, extent, size)


@lru_cache(maxsize=KEPT)
def _kept_raster(points: bytes, faces: bytes, depths: bytes | None, extent: Extent, size: tuple[int, int]) -> Raster:
    corners = np.frombuffer(faces, np.int32).reshape(-1, 3)
    nearness = None if depths is None else np.frombuffer(depths)
    raster = rasterise(np.frombuffer(points).reshape(-1, 2), corners, extent, size, nearness)
    for array in raster:
        array.flags.writeable = False
    return raster


def _span(corners: Float[np.ndarray, "3 face"], pixels: int) -> tuple[Int[np.ndarray, "face"], Int[np.ndarray, "face"]]:
    """First and last pixel of triangles along one axis; the last before the first where there is none."""
    low = np.ceil(corners.min(axis=0)).clip(0, pixels)
    high = np.floor(corners.max(axis=0)).clip(-1, pixels - 1)
    return low.astype(np.int32), high.astype(np.int32)


def _barycentric(
    x: Float[np.ndarray, "3 face"],
    y: Float[np.ndarray, "3 face"],
    face: Int[np.ndarray, "pixel"],
    column: Int[np.ndarray, "pixel"],
    row: Int[np.ndarray, "pixel"],
) -> Float[np.ndarray, "3 pixel"]:
    (ax, bx, cx), (ay, by, cy) = x, y
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    # A triangle without area covers nothing: its weights are NaN, which never counts as inside.
    area = np.where(area == 0.0, np.nan, area)
    dx, dy = column - cx[face], row - cy[face]
    # Weights are linear in the pixel's position: one slope per triangle, corner and axis.
    first = ((by - cy) / area)[face] * dx + ((cx - bx) / area)[face] * dy
    second = ((cy - ay) / area)[face] * dx + ((ax - cx) / area)[face] * dy
    return np.stack([first, second, 1.0 - first - second])


def _nearest(raster: Raster, nearness: Float[np.ndarray, "vertex"], size: tuple[int, int]) -> Raster:
    """One triangle a pixel: the nearest."""
    depth = np.einsum("pc,pc->p", raster.weights, nearness[raster.vertices].astype(np.float32))
    order = np.argsort(depth, kind="stable")
    winner = np.full(size[0] * size[1], -1, dtype=np.int64)
    # Of what is written to one place, the last stays: the nearest.
    winner[(raster.row.astype(np.int64) * size[1] + raster.column)[order]] = order
    kept = winner[winner >= 0]
    return Raster(*(array[kept] for array in raster))
