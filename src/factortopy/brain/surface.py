"""The standard cortical surface fsaverage5 and what is measured along it, without any download."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from factortopy.errors import DataError, UnknownNameError

HEMISPHERES = ("left", "right")
SURFACES = ("fsaverage5",)
MESHES = ("white", "pial", "inflated", "sphere", "flat")
VERTICES = {"fsaverage5": 10_242, "fsaverage6": 40_962, "fsaverage7": 163_842, "fsaverage": 163_842}
# File stems of nilearn's bundle that differ from the names used here.
_STEMS = {"inflated": "infl"}


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        coordinates: vertex positions in mm (x right, y anterior, z superior).
        faces: vertex indices of each triangle.
    """

    coordinates: Float[np.ndarray, "vertex 3"]
    faces: Int[np.ndarray, "face 3"]


@dataclass(frozen=True, eq=False)
class Hemisphere:
    """One hemisphere: five shapes of the same vertices, and its folding.

    Attributes:
        name: ``"left"`` or ``"right"``.
        white, pial: the inner and outer border of cortex, in MNI305 mm.
        inflated, sphere: the same vertices unfolded.
        flat: the cortex cut and laid in the plane (z = 0); its faces leave out the medial wall and the cuts.
        sulcal_depth: FreeSurfer's sulc: positive in sulci, negative on gyri.
        curvature: FreeSurfer's curv: positive where concave (sulci).
    """

    name: str
    white: Mesh
    pial: Mesh
    inflated: Mesh
    sphere: Mesh
    flat: Mesh
    sulcal_depth: Float[np.ndarray, "vertex"]
    curvature: Float[np.ndarray, "vertex"]

    @property
    def vertices(self) -> int:
        """Number of vertices."""
        return len(self.white.coordinates)

    @cached_property
    def midthickness(self) -> Float[np.ndarray, "vertex 3"]:
        """Positions halfway between the white and pial surfaces, in MNI305 mm."""
        return np.asarray((self.white.coordinates + self.pial.coordinates) / 2)

    @cached_property
    def cortex(self) -> Bool[np.ndarray, "vertex"]:
        """True on cortex, False on the medial wall (corpus callosum and brain stem).

        The flat patch leaves out the medial wall and, besides, a few vertices on its cuts. The largest
        connected piece of what it leaves out is the medial wall; the rest is cortex.
        """
        outside = np.ones(self.vertices, dtype=bool)
        outside[self.flat.faces] = False
        edges = self.edges[outside[self.edges].all(axis=1)]
        _, piece = connected_components(_graph(edges, np.ones(len(edges)), self.vertices), directed=False)
        medial_wall = piece == np.bincount(piece[outside]).argmax()
        return np.asarray(~(medial_wall & outside))

    @cached_property
    def edges(self) -> Int[np.ndarray, "edge 2"]:
        """Each edge of the closed mesh once, smaller vertex index first."""
        pairs = np.concatenate([self.sphere.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
        return np.unique(np.sort(pairs, axis=1), axis=0)

    @cached_property
    def distance_graph(self) -> csr_array:
        """Sparse graph over vertices; an edge weighs its length in mm on the midthickness surface."""
        start, end = self.midthickness[self.edges].transpose(1, 0, 2)
        return _graph(self.edges, np.linalg.norm(start - end, axis=1), self.vertices)

    def geodesic_distance(self, sources: Int[np.ndarray, "source"]) -> Float[np.ndarray, "vertex"]:
        """Distance in mm along the cortex (shortest path over edges) to the nearest of some vertices.

        Args:
            sources: vertex indices, at least one.
        """
        sources = np.atleast_1d(np.asarray(sources))
        if not sources.size:
            raise DataError("geodesic distance needs at least one source vertex, none was given")
        return np.asarray(dijkstra(self.distance_graph, directed=False, indices=sources, min_only=True))

    def nearest_vertex(self, point: tuple[float, float, float]) -> int:
        """Index of the cortical vertex whose midthickness position is nearest to a point.

        Args:
            point: MNI305 coordinates in mm.
        """
        distance = np.linalg.norm(self.midthickness - np.asarray(point), axis=1)
        return int(np.where(self.cortex, distance, np.inf).argmin())


@dataclass(frozen=True, eq=False)
class Surface:
    """Both hemispheres of a standard surface; vertices of the left one come first where both are joined."""

    name: str
    left: Hemisphere
    right: Hemisphere

    @property
    def hemispheres(self) -> tuple[Hemisphere, Hemisphere]:
        """Left, then right."""
        return self.left, self.right

    def hemisphere(self, name: str) -> Hemisphere:
        """The hemisphere called ``"left"`` or ``"right"``."""
        if name not in HEMISPHERES:
            raise UnknownNameError("hemisphere", name, HEMISPHERES)
        return self.left if name == "left" else self.right


def load_surface(name: str = "fsaverage5") -> Surface:
    """Load a standard surface from the files that nilearn ships.

    Source: FreeSurfer's fsaverage5 (Fischl et al. 1999, Human Brain Mapping 8:272-284) as bundled with
    nilearn; nothing is downloaded.

    Args:
        name: ``"fsaverage5"`` (10,242 vertices a hemisphere).

    Raises:
        UnknownNameError: if there is no such surface.
        DataError: if nilearn's files are missing or cannot be read.
    """
    if name not in SURFACES:
        raise UnknownNameError("surface", name, SURFACES)
    return Surface(name, *(_load_hemisphere(hemisphere) for hemisphere in HEMISPHERES))


def _load_hemisphere(name: str) -> Hemisphere:
    folder = _nilearn_folder()
    meshes = {mesh: _read_mesh(folder / f"{_STEMS.get(mesh, mesh)}_{name}.gii.gz") for mesh in MESHES}
    sulcal_depth, curvature = (_read_gifti(folder / f"{stem}_{name}.gii.gz")[0] for stem in ("sulc", "curv"))
    return Hemisphere(name=name, **meshes, sulcal_depth=sulcal_depth, curvature=curvature)


def _nilearn_folder() -> Path:
    # nilearn.datasets itself takes seconds to import; only its data folder is needed.
    import nilearn

    return Path(os.fspath(nilearn.__file__)).parent / "datasets" / "data" / "fsaverage5"


def _read_mesh(path: Path) -> Mesh:
    coordinates, faces = _read_gifti(path)
    return Mesh(coordinates.astype(np.float32), faces.astype(np.int32))


def _read_gifti(path: Path) -> list[np.ndarray]:
    import nibabel

    try:
        return [np.asarray(array.data) for array in nibabel.load(path).darrays]
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"cannot read {path} of nilearn ({error}); reinstall nilearn 0.12 or later"
        ) from error


def _graph(edges: np.ndarray, weights: np.ndarray, vertices: int) -> csr_array:
    return csr_array(coo_array((weights, (edges[:, 0], edges[:, 1])), shape=(vertices, vertices)))


def sphere_coordinates(surface: Surface) -> Float[np.ndarray, "vertex 3"]:
    """Positions on the sphere of all vertices, the left hemisphere first, in mm.

    The right sphere is shifted along x so that its smallest x equals the left's smallest x plus 1.5 times
    the left's width: the two spheres then lie side by side and no voxel has another's position.
    """
    left = surface.left.sphere.coordinates
    right = surface.right.sphere.coordinates.copy()
    smallest, largest = left[:, 0].min(), left[:, 0].max()
    right[:, 0] += smallest + 1.5 * (largest - smallest) - right[:, 0].min()
    return np.concatenate([left, right])


def coordinate_bounds(coordinates: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "2 3"]:
    """Smallest and largest coordinate on each axis; take them over the whole surface, never over a subset."""
    return np.stack([coordinates.min(axis=0), coordinates.max(axis=0)])
