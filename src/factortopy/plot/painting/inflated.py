"""Inflated cortex seen from one side, painted from a mesh and one RGBA colour per vertex."""

from collections.abc import Mapping as MappingType
from typing import Literal

import numpy as np
from jaxtyping import Float

from factortopy.cortex import Hemisphere, Surface
from factortopy.errors import UnknownNameError
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

View = Literal["flat", "lateral", "medial", "ventral", "posterior"]
"""How both hemispheres are shown: flattened, or inflated and seen from one side."""
GAP = 8.0
"""Space between the hemispheres, mm."""
DIMMEST = 0.62
"""Share of its grey that cortex keeps where it turns away from the viewer."""
BEHIND = 2.0
"""What lies so far behind the surface that is drawn, mm, is hidden."""
X, Y, Z = np.eye(3)
# Toward the viewer and upward, of the left hemisphere and of the right: x is right, y anterior, z superior.
_SIDES: dict[str, tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "lateral": ((-X, Z), (X, Z)),
    "medial": ((X, Z), (-X, Z)),
    "ventral": ((-Z, Y), (-Z, Y)),
    "posterior": ((-Y, Z), (-Y, Z)),
}


def paint_inflated(
    surface: Surface, colours: MappingType[str, Float[np.ndarray, "vertex 4"]], view: View, *, width: int = 1600
) -> CortexPicture:
    """Paint both inflated hemispheres as seen from one side, without perspective.

    Measured vertices keep their exact colours, as brightness may mean confidence; only the grey of what was not
    measured is shaded by how far it turns away. From below, the left hemisphere is on the right, as it is then seen.

    Args:
        surface: the cortical surface.
        colours: RGBA in 0..1 of every vertex of ``"left"`` and ``"right"``; alpha 0 means not measured.
        view: ``"lateral"``, ``"medial"``, ``"ventral"`` or ``"posterior"``.
        width: width of the picture in pixels.

    Raises:
        DataError: if a hemisphere is missing, or a colour is no number.
        ShapeError: if the number of vertices differs from the surface's.
        UnknownNameError: if there is no such view.
    """
    checked = {half.name: check_colours(half, colours) for half in surface.hemispheres}
    placed, extent = _lay_out(surface, view)
    size = (round(width * (extent[3] - extent[2]) / (extent[1] - extent[0])), width)
    image, sheets = np.zeros((*size, 4), dtype=np.float32), {}
    for half in surface.hemispheres:
        points = placed[half.name]
        front = _front(points, half.inflated.faces)
        raster = shared_raster(points[:, :2], front, extent, size, points[:, 2])
        grey = folding_grey(half.sulcal_depth) * _light(points, half.inflated.faces)
        image[raster.row, raster.column] = shade(raster, grey, *checked[half.name])
        sheets[half.name] = _seen(points, front, raster, extent, size)
    return CortexPicture(image, extent, sheets, {side: inside for side, (_, inside) in checked.items()}, zoomed=False)


def view_extent(surface: Surface, view: View) -> Extent:
    """Left, right, bottom and top of the picture of a view, mm; an UnknownNameError if there is no such view."""
    return _lay_out(surface, view)[1]


def _lay_out(surface: Surface, view: View) -> tuple[dict[str, Float[np.ndarray, "vertex 3"]], Extent]:
    """Both hemispheres side by side: right, up and toward the viewer of every vertex, mm; and the extent."""
    if view not in _SIDES:
        raise UnknownNameError("view", view, _SIDES)
    turned: list[tuple[Hemisphere, np.ndarray]] = []
    for half, (toward, up) in zip(surface.hemispheres, _SIDES[view], strict=True):
        turned.append((half, half.inflated.coordinates @ np.stack([np.cross(up, toward), up, toward], axis=1)))
    placed, edge = {}, 0.0
    for half, points in turned[::-1] if view == "ventral" else turned:
        placed[half.name] = points + np.array([edge - points[:, 0].min(), 0.0, 0.0])
        edge = placed[half.name][:, 0].max() + GAP
    heights = np.concatenate([points[:, 1] for points in placed.values()])
    return placed, (0.0, float(edge - GAP), float(heights.min()), float(heights.max()))


def _front(points: Float[np.ndarray, "vertex 3"], faces: np.ndarray) -> np.ndarray:
    """Triangles that face the viewer: their corners turn anticlockwise."""
    (ax, bx, cx), (ay, by, cy) = points[:, 0][faces.T], points[:, 1][faces.T]
    return faces[(bx - ax) * (cy - ay) > (cx - ax) * (by - ay)]


def _light(points: Float[np.ndarray, "vertex 3"], faces: np.ndarray) -> Float[np.ndarray, "vertex"]:
    """Brightness of each vertex under light from the viewer."""
    one, two, three = (points[corner] for corner in faces.T)
    across = np.cross(two - one, three - one)
    normal = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), minlength=len(points)) for axis in range(3)]
    )
    facing = np.abs(normal[2]) / np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    return np.asarray(DIMMEST + (1 - DIMMEST) * np.sqrt(facing))


def _seen(
    points: Float[np.ndarray, "vertex 3"], front: np.ndarray, raster: Raster, extent: Extent, size: tuple[int, int]
) -> Sheet:
    """The part of a mesh that nothing hides: vertices on triangles in front that do not lie behind what is drawn."""
    depth = np.full(size, -np.inf)
    depth[raster.row, raster.column] = np.einsum("pc,pc->p", raster.weights, points[:, 2][raster.vertices])
    left, right, bottom, top = extent
    column = ((points[:, 0] - left) / (right - left) * size[1]).astype(int).clip(0, size[1] - 1)
    row = ((top - points[:, 1]) / (top - bottom) * size[0]).astype(int).clip(0, size[0] - 1)
    clear = points[:, 2] > depth[row, column] - BEHIND
    faces = front[clear[front].all(axis=1)]
    drawn = np.zeros(len(points), dtype=bool)
    drawn[faces] = True
    return Sheet(np.where(drawn[:, None], points[:, :2], np.nan), faces)
