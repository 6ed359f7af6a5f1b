"""Outlines of regions on a flat mesh, and where their names can stand without touching."""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from skimage.measure import find_contours

from factortopy.plot.painting.raster import Sheet, rasterise

FINENESS = 4.0
"""Pixels per edge of the mesh in the picture in which a region's outline is traced."""
FINEST = 0.4
"""Least width of such a pixel, mm: about what a dot of a printed page shows."""
KEPT = 128
"""Outlines that are kept for the next map of the same mesh: the regions of both hemispheres. Some 40 kB each."""
ARRANGED = 16
"""Arrangements of names that are kept for the next map."""


def outline(sheet: Sheet, inside: Bool[np.ndarray, "vertex"]) -> list[Float[np.ndarray, "point 2"]]:
    """Lines around a region: halfway along the edges that lead out of it, and along the mesh's own border.

    They are closed polylines in mm, smoothed by less than the length of an edge.
    """
    faces = sheet.faces[_corners_in(sheet, inside) > 0]
    return list(_traced(sheet.points[faces].astype(float).tobytes(), inside[faces].tobytes()))


@lru_cache(maxsize=KEPT)
def _traced(corners: bytes, inside: bytes) -> tuple[Float[np.ndarray, "point 2"], ...]:
    """As :func:`outline`, of three corners a triangle."""
    points, within = np.frombuffer(corners).reshape(-1, 2), np.frombuffer(inside, dtype=bool)
    if not len(points):
        return ()
    faces = np.arange(len(points)).reshape(-1, 3)
    edge = float(np.median(np.linalg.norm(points[faces[:, 0]] - points[faces[:, 1]], axis=1)))
    pixel = max(edge / FINENESS, FINEST)
    left, bottom = points.min(axis=0) - 4 * pixel
    columns, rows = np.ceil((points.max(axis=0) - (left, bottom)) / pixel).astype(int) + 4
    top = bottom + rows * pixel
    raster = rasterise(points, faces, (left, left + columns * pixel, bottom, top), (rows, columns))
    membership = np.zeros((rows, columns))
    membership[raster.row, raster.column] = (raster.weights * within[raster.vertices]).sum(axis=1)
    found = find_contours(gaussian_filter(membership, 1.0), 0.5)
    lines = [np.stack([left + (line[:, 1] + 0.5) * pixel, top - (line[:, 0] + 0.5) * pixel], axis=1) for line in found]
    for line in lines:
        line.flags.writeable = False
    return tuple(lines)


def label_anchor(sheet: Sheet, inside: Bool[np.ndarray, "vertex"]) -> Float[np.ndarray, "2"] | None:
    """The vertex deepest inside a region: the one farthest from anything outside it; None if none is drawn."""
    corners, drawn = _corners_in(sheet, inside), np.isfinite(sheet.points[:, 0])
    members, beside = sheet.points[inside & drawn], np.zeros(len(inside), dtype=bool)
    # Of what is outside, the nearest is a neighbour.
    beside[sheet.faces[(corners > 0) & (corners < 3)]] = True
    others = sheet.points[beside & ~inside]
    if not len(members):
        return None
    if not len(others):
        return np.asarray(members.mean(axis=0))
    distance, _ = KDTree(others).query(members)
    # Near-ties go to the middle of the region, which keeps names away from the mesh's border.
    distance = distance - 0.15 * np.linalg.norm(members - members.mean(axis=0), axis=1)
    return np.asarray(members[distance.argmax()])


def _corners_in(sheet: Sheet, inside: Bool[np.ndarray, "vertex"]) -> Int[np.ndarray, "face"]:
    """How many corners of each triangle lie in a region."""
    # Column by column: NumPy is slow along short axes.
    return np.asarray(sum(inside[corner].astype(np.int8) for corner in sheet.faces.T))


def spread(
    boxes: Float[np.ndarray, "label 4"], padding: float = 2.0, rounds: int = 400
) -> Float[np.ndarray, "label 2"]:
    """Shifts that move boxes apart, each step along the axis on which two boxes overlap least.

    Boxes are left, bottom, width and height in pixels, of which ``padding`` stay free between them. It ends as
    soon as nothing overlaps.
    """
    # Wherever a map stands on the page, its names are moved alike.
    placed = boxes - np.append(boxes[:, :2].min(axis=0), (0, 0))
    return _apart(placed.astype(float).round(6).tobytes(), padding, rounds)


@lru_cache(maxsize=ARRANGED)
def _apart(boxes: bytes, padding: float, rounds: int) -> Float[np.ndarray, "label 2"]:
    """As :func:`spread`."""
    corner, size = np.split(np.frombuffer(boxes).reshape(-1, 4), 2, axis=1)
    start, corner, size = corner, corner.copy(), size + padding
    for _ in range(rounds):
        middle = corner + size / 2
        room = (size[:, None] + size) / 2 - np.abs(middle[:, None] - middle)
        touching = np.argwhere(np.triu((room > 1e-9).all(axis=-1), 1))
        if not len(touching):
            break
        for first, second in touching:  # those before it may have moved both
            gap = corner[second] + size[second] / 2 - corner[first] - size[first] / 2
            overlap = (size[first] + size[second]) / 2 - np.abs(gap)
            if (overlap <= 1e-9).any():
                continue
            axis = int(overlap.argmin())
            push = 0.51 * overlap[axis] * (1.0 if gap[axis] >= 0 else -1.0)
            corner[first, axis] -= push
            corner[second, axis] += push
    shifts = corner - start
    shifts.flags.writeable = False
    return np.asarray(shifts)
