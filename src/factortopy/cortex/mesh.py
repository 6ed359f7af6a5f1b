"""Cortical surfaces: their meshes, and what is measured along them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from factortopy.errors import DataError, UnknownNameError

HEMISPHERES = ("left", "right")
VERTICES = {"fsaverage5": 10_242, "fsaverage6": 40_962, "fsaverage": 163_842, "fsaverage7": 163_842}
"""Vertices of a hemisphere; fsaverage7 is fsaverage. The coarser have the first ones of the finer."""


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
        pairs = np.concatenate([self.sphere.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]).astype(np.int64)
        # One number an edge: NumPy sorts those twenty times as fast as rows.
        return np.stack(np.divmod(np.unique(np.sort(pairs, axis=1) @ [self.vertices, 1]), self.vertices), axis=1)

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


def _graph(edges: np.ndarray, weights: np.ndarray, vertices: int) -> csr_array:
    return csr_array(coo_array((weights, (edges[:, 0], edges[:, 1])), shape=(vertices, vertices)))


def coordinate_bounds(coordinates: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, "2 3"]:
    """Smallest and largest coordinate on each axis; take them over the whole surface, never over a subset."""
    return np.stack([coordinates.min(axis=0), coordinates.max(axis=0)])
