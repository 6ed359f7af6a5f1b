"""A surface as the page takes it: three shapes of both hemispheres, folding, and where the flat map is cut."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import Hemisphere, Surface
from factortopy.errors import DataError
from factortopy.page.codec import Blob, icosphere, parents_of
from factortopy.plot import Sheet, flat_sheet

BITS = 14
"""Of a coordinate: a step is about 0.01 mm."""
FOLDING_BITS = 7
GAP = 14.0
"""Between the two flat sheets, mm."""
SETTLING = 60
"""Rounds in which vertices that no sheet has find a place between their neighbours."""


def write_geometry(surface: Surface, blob: Blob) -> dict[str, Any]:
    """Write a standard surface; returns what the page needs to read it.

    Raises:
        DataError: if its faces are not those of a refined icosahedron.
    """
    faces, _ = icosphere(surface.left.vertices)
    parents = parents_of(surface.name)
    if any(not np.array_equal(half.sphere.faces, faces) for half in surface.hemispheres):
        raise DataError(f"the faces of {surface.name} are not FreeSurfer's; take its files as FreeSurfer has them")
    sheets = [flat_sheet(half) for half in surface.hemispheres]
    shapes = {
        name: np.concatenate([getattr(half, name).coordinates for half in surface.hemispheres])
        for name in ("pial", "inflated")
    }
    shapes["flat"] = np.concatenate(
        [_placed(half, sheet, side) for half, sheet, side in zip(surface.hemispheres, sheets, (-1, 1), strict=True)]
    )
    folding = np.concatenate([half.sulcal_depth for half in surface.hemispheres])
    return {
        "name": surface.name,
        "vertices": surface.left.vertices,
        "shapes": {name: _write_shape(points, parents, blob) for name, points in shapes.items()},
        "folding": blob.values(folding.clip(-1.5, 1.5), parents, FOLDING_BITS),
        "cortex": blob.bits(np.concatenate([half.cortex for half in surface.hemispheres])),
        "sheet": blob.bits(np.concatenate([_on_sheet(sheet, faces) for sheet in sheets])),
    }


def _write_shape(points: Float[np.ndarray, "vertex axis"], parents: np.ndarray, blob: Blob) -> dict[str, Any]:
    """One step for all axes, so that the shape is not stretched."""
    low = points.min(axis=0)
    step = float((points.max(axis=0) - low).max()) / (2**BITS - 1)
    written = blob.numbers(np.rint((points - low) / step).astype(np.int64), parents)
    return written | {"origin": low.tolist(), "step": step}


def _placed(half: Hemisphere, sheet: Sheet, side: int) -> Float[np.ndarray, "vertex 2"]:
    """Places in the plane of every vertex, the hemisphere on its side of the middle.

    Vertices off the sheet settle between their neighbours, so that what unfolds has no spikes.
    """
    points = sheet.points.copy()
    off = np.isnan(points[:, 0])
    points[:, 0] -= side * (np.nanmin(side * points[:, 0]) - GAP / 2)
    points[off] = np.nanmean(points, axis=0)
    one, other = np.concatenate([half.edges, half.edges[:, ::-1]]).T
    inner = off[one]
    one, other = one[inner], other[inner]
    degree = np.bincount(one, minlength=len(points))
    for _ in range(SETTLING):
        for axis in range(2):
            total = np.bincount(one, weights=points[other, axis], minlength=len(points))
            points[off, axis] = total[off] / degree[off]
    return points


def _on_sheet(sheet: Sheet, faces: np.ndarray) -> Bool[np.ndarray, "face"]:
    """Which faces of the closed mesh the flat sheet has."""
    code = np.array([len(sheet.points) ** 2, len(sheet.points), 1])
    own, all_faces = (np.sort(array.astype(np.int64), axis=1) @ code for array in (sheet.faces, faces))
    return np.asarray(np.isin(all_faces, own))
