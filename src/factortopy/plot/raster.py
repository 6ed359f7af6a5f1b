"""Triangles to pixels: which triangle covers a pixel, and how much each of its corners weighs there."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Raster(NamedTuple):
    """The covered pixels of a picture.

    Attributes:
        row, column: where the pixel is; row 0 on top.
        vertices: corners of the triangle that covers it.
        weights: barycentric weight of each corner at the pixel's centre, summing to 1.
    """

    row: Int[np.ndarray, "pixel"]
    column: Int[np.ndarray, "pixel"]
    vertices: Int[np.ndarray, "pixel 3"]
    weights: Float[np.ndarray, "pixel 3"]


def rasterise(
    points: Float[np.ndarray, "vertex 2"],
    faces: Int[np.ndarray, "face 3"],
    extent: tuple[float, float, float, float],
    size: tuple[int, int],
) -> Raster:
    """Find the triangle under every pixel centre, all triangles at once.

    Each triangle proposes the pixels of its bounding box; those with three non-negative barycentric
    weights lie inside. A pixel on a shared edge comes twice, with the same colour either way.

    Args:
        points: positions of the vertices.
        faces: triangles; none may have a corner without a position.
        extent: left, right, bottom and top of the picture in the units of ``points``.
        size: rows and columns of the picture.
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
