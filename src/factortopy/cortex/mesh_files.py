"""Meshes, flat patches and values of vertices in the files of FreeSurfer and GIfTI."""

import os
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex.mesh import Mesh
from factortopy.errors import DataError
from factortopy.storage import open_gifti, reading

TRIANGLES = b"\xff\xff\xfe"
"""The first bytes of FreeSurfer's triangle files."""
REMEDY = "give a FreeSurfer file"
MORPH = b"\xff\xff\xff"
"""The first bytes of FreeSurfer's files of values, such as ``lh.sulc``."""


def read_mesh(path: str | os.PathLike[str]) -> Mesh:
    """Read a triangle mesh: GIfTI (``.gii``, ``.gii.gz``) or FreeSurfer's binary format (``lh.white``).

    Args:
        path: the file.

    Raises:
        DataError: if it is missing, truncated, of another kind, or its triangles name missing vertices.
    """
    path = Path(path)
    if path.name.lower().endswith((".gii", ".gii.gz")):
        arrays = _read_gifti(path)
        if len(arrays) != 2:
            raise DataError.of(path, f"has {len(arrays)} arrays, expected two: vertices and triangles")
        coordinates, faces = arrays
    else:
        coordinates, faces = _read_triangles(path)
    return checked_mesh(path, coordinates, faces)


def checked_mesh(path: Path, coordinates: np.ndarray, faces: np.ndarray) -> Mesh:
    """A mesh whose shapes, values and vertex numbers are right, or a DataError that names ``path``."""
    if coordinates.ndim != 2 or faces.ndim != 2 or coordinates.shape[1] != 3 or faces.shape[1] != 3:
        raise DataError.of(path, f"has shapes {coordinates.shape} and {faces.shape}, expected (n, 3) of both")
    if not np.isfinite(coordinates).all() or faces.dtype.kind not in "iu" or not faces.size:
        raise DataError.of(path, "holds no mesh of finite vertices and whole-numbered triangles; it is damaged")
    if faces.min() < 0 or faces.max() >= len(coordinates):
        fault = f"has {len(coordinates)} vertices but triangles of {faces.min()} to {faces.max()}"
        raise DataError.of(path, f"{fault}; it is damaged")
    return Mesh(coordinates.astype(np.float32), faces.astype(np.int32))


def _read_triangles(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import nibabel.freesurfer

    with reading(path, REMEDY), path.open("rb") as file:
        start = file.read(3) + file.readline() + file.readline()
        counts = file.read(8)
        size = os.fstat(file.fileno()).st_size
    vertices, faces = struct.unpack(">2i", counts) if len(counts) == 8 else (0, 0)
    needed = len(start) + 8 + 12 * (vertices + faces)
    if not start.startswith(TRIANGLES) or min(vertices, faces) < 1 or needed > size:
        raise DataError.of(
            path,
            f"has {size} bytes; expected at least {needed} for a FreeSurfer surface of {vertices} "
            f"vertices and {faces} triangles: it is truncated or of another kind",
        )
    with reading(path, "expected a FreeSurfer surface"):
        coordinates, triangles = nibabel.freesurfer.read_geometry(path)
    return np.asarray(coordinates), np.asarray(triangles)


def read_morph(path: str | os.PathLike[str], vertices: int) -> Float[np.ndarray, "vertex"]:
    """Read one value for each of so many vertices: GIfTI, or FreeSurfer's format of ``lh.sulc`` and ``lh.curv``.

    Raises:
        DataError: if it is missing, truncated, of another kind, or has another number of vertices.
    """
    path = Path(path)
    if path.name.lower().endswith((".gii", ".gii.gz")):
        values = np.concatenate([array.reshape(-1) for array in _read_gifti(path)])
    else:
        with reading(path, REMEDY), path.open("rb") as file:
            content = file.read(15 + 4 * vertices)
        # Magic, numbers of vertices, faces and values a vertex, then big-endian float32.
        counts = struct.unpack(">3i", content[3:15]) if len(content) >= 15 else (0, 0, 0)
        if not content.startswith(MORPH) or counts[2] != 1:
            raise DataError.of(path, "is no FreeSurfer file of one value a vertex; give e.g. lh.sulc")
        if counts[0] != vertices or len(content) != 15 + 4 * vertices:
            raise DataError.of(
                path,
                f"announces {counts[0]} vertices in {path.stat().st_size} bytes, expected {vertices}; "
                "it is truncated or of another surface",
            )
        values = np.frombuffer(content, dtype=">f4", offset=15)
    if values.shape != (vertices,) or not np.isfinite(values).all():
        raise DataError.of(path, f"has {values.size} values, expected {vertices} finite ones: another surface")
    return values.astype(np.float32)


def read_patch(
    path: str | os.PathLike[str],
) -> tuple[Int[np.ndarray, "point"], Float[np.ndarray, "point 3"], Bool[np.ndarray, "point"]]:
    """Read a cut or flattened patch, such as FreeSurfer's ``lh.cortex.patch.flat``.

    Layout, big-endian: -1, number of points (4-byte integers); for each point a 4-byte integer and three
    4-byte floats. The integer is ``vertex + 1`` inside the patch and ``-(vertex + 1)`` on its border.

    Returns:
        Vertex of the whole surface, position in mm (z = 0 where flat), and whether it lies on the border.

    Raises:
        DataError: if it is missing, truncated, of another kind, or names a vertex twice.
    """
    path = Path(path)
    with reading(path, REMEDY), path.open("rb") as file:
        start = file.read(8)
        size = os.fstat(file.fileno()).st_size
        version, count = struct.unpack(">2i", start) if len(start) == 8 else (0, 0)
        if version != -1 or count < 1 or size != 8 + 16 * count:
            raise DataError.of(
                path,
                f"has {size} bytes; expected {8 + 16 * count} for a patch of {count} points; "
                "it is truncated or of another kind",
            )
        content = file.read()
    points = np.frombuffer(content, dtype=[("vertex", ">i4"), ("position", ">f4", (3,))])
    number = points["vertex"].astype(np.int64)
    vertex, positions = np.abs(number) - 1, points["position"].astype(np.float32)
    if vertex.min() < 0 or len(np.unique(vertex)) != count or not np.isfinite(positions).all():
        raise DataError.of(path, "names vertices twice or puts them at NaN; it is damaged")
    return vertex, positions, number < 0


def flat_mesh(path: str | os.PathLike[str], closed: Mesh) -> Mesh:
    """The flat mesh of a hemisphere: positions of a patch, and the closed mesh's triangles within it.

    Points beyond the mesh's vertices are left out, so that fsaverage's patch also serves fsaverage6. Vertices
    outside the patch lie at 0 and in no triangle.

    Raises:
        DataError: if the patch cannot be read or fits no triangle.
    """
    vertex, positions, _ = read_patch(path)
    inside = vertex < len(closed.coordinates)
    coordinates = np.zeros_like(closed.coordinates)
    coordinates[vertex[inside], :2] = positions[inside, :2]
    flat = np.isin(np.arange(len(coordinates)), vertex)
    return checked_mesh(Path(path), coordinates, closed.faces[flat[closed.faces].all(axis=1)])


def _read_gifti(path: Path) -> list[np.ndarray]:
    return [np.asarray(array.data) for array in open_gifti(path).darrays]
