"""The visual part of cortex and its named regions on fsaverage5, from published anatomy.

Coordinates in Talairach space are carried to MNI152 by the inverse of the pooled icbm2tal transform (Lancaster
et al. 2007, Human Brain Mapping 28:1194-1205), and from there to MNI305, the space of fsaverage's surfaces,
by FreeSurfer's affine (FreeSurfer wiki, "CoordinateSystems", 8b). The nearest vertex of cortex is the centre.

These regions stand in for measured ones in simulations. They are not a subject's regions of interest.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse.csgraph import dijkstra

from factortopy.cortex.mesh import Hemisphere, Surface

ROI_NAMES = ("V1", "V2V3", "V4", "OPA", "EBA", "FFA", "PPA")

_MNI152_TO_TALAIRACH = np.array(
    [
        [0.9357, 0.0029, -0.0072, -1.0423],
        [-0.0065, 0.9396, -0.0726, -1.3940],
        [0.0103, 0.0752, 0.8967, 3.6475],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
_MNI152_TO_MNI305 = np.array(
    [
        [1.0022, 0.0071, -0.0177, 0.0528],
        [-0.0146, 0.9990, 0.0027, -1.5519],
        [0.0129, 0.0094, 1.0027, -1.2012],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@dataclass(frozen=True)
class Landmark:
    """Where a region lies and how far it reaches.

    Attributes:
        left, right: coordinates in mm.
        space: ``"Talairach"`` or ``"MNI305"``.
        radius: reach along the cortex in mm.
        source: who reported it.
    """

    left: tuple[float, float, float]
    right: tuple[float, float, float]
    space: str
    radius: float
    source: str

    def mni305(self, hemisphere: str) -> tuple[float, float, float]:
        """The coordinates in fsaverage's own space, mm."""
        point = self.left if hemisphere == "left" else self.right
        return talairach_to_mni305(point) if self.space == "Talairach" else point


FOLDING = "landmark of fsaverage's folding"
FOVEA = Landmark((-13, -101, -6), (13, -100, -5), "MNI305", 0, f"occipital pole; {FOLDING}")
CALCARINE = Landmark((-12, -93, 0), (13, -92, 2), "MNI305", 9, f"fundus of the calcarine sulcus; {FOLDING}")
INTRAPARIETAL = Landmark((-26, -72, 31), (27, -71, 32), "MNI305", 17, f"caudal intraparietal sulcus; {FOLDING}")
REGIONS = {
    # Centre of the foveal confluence of V1, V2, V3 and hV4.
    "V4": Landmark((-29, -78, -11), (25, -80, -9), "Talairach", 10, "Dougherty et al. 2003, J Vis 3:586-598"),
    # Transverse occipital sulcus, beside V3A (Nasr et al. 2011, J Neurosci 31:13771-13785).
    "OPA": Landmark((-32, -82, 20), (33, -80, 20), "MNI305", 11, FOLDING),
    "EBA": Landmark((-51, -72, 8), (51, -71, 1), "Talairach", 14, "Downing et al. 2001, Science 293:2470-2473"),
    "FFA": Landmark((-35, -63, -10), (40, -55, -10), "Talairach", 11, "Kanwisher et al. 1997, J Neurosci 17:4302-4311"),
    "PPA": Landmark((-28, -39, -6), (20, -39, -5), "Talairach", 11, "Epstein & Kanwisher 1998, Nature 392:598-601"),
}
# The ring of V2 and V3 around V1, and the visual part: gaps up to twice VISUAL_REACH between
# named regions are filled, and VISUAL_MARGIN is kept around them (mm).
V2V3_WIDTH = 12.0
VISUAL_REACH = 22.0
VISUAL_MARGIN = 6.0


def talairach_to_mni305(point: tuple[float, float, float]) -> tuple[float, float, float]:
    """Carry a Talairach coordinate, mm, to MNI305 by way of MNI152 (see the module's sources)."""
    x, y, z, _ = _MNI152_TO_MNI305 @ np.linalg.solve(_MNI152_TO_TALAIRACH, np.array([*point, 1.0]))
    return float(x), float(y), float(z)


def fovea_vertex(hemisphere: Hemisphere) -> int:
    """The vertex at the occipital pole, where the centre of gaze is represented."""
    return hemisphere.nearest_vertex(FOVEA.mni305(hemisphere.name))


def calcarine_path(hemisphere: Hemisphere) -> list[int]:
    """Vertices of the shortest way from the occipital pole along the calcarine sulcus, pole first."""
    start = fovea_vertex(hemisphere)
    end = hemisphere.nearest_vertex(CALCARINE.mni305(hemisphere.name))
    _, before = dijkstra(hemisphere.distance_graph, directed=False, indices=start, return_predecessors=True)
    path = [end]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return path[::-1]


def hemisphere_rois(hemisphere: Hemisphere) -> dict[str, Bool[np.ndarray, "vertex"]]:
    """Masks of V1, V2V3, V4, OPA, EBA, FFA and PPA in one hemisphere; no vertex is in two.

    V1 lies along the calcarine sulcus, V2V3 is the ring around it, the others are geodesic discs. Where two
    reach a vertex, it belongs to the one whose centre is nearer in units of its radius; V1 and V2V3 give way
    to none but V4.
    """
    from_v1 = hemisphere.geodesic_distance(np.array(calcarine_path(hemisphere)))
    reach = {name: _reach(hemisphere, landmark) for name, landmark in REGIONS.items()}
    nearest = np.argmin(list(reach.values()), axis=0)
    discs = {name: (reach[name] <= 1) & (nearest == number) & hemisphere.cortex for number, name in enumerate(REGIONS)}
    v1 = (from_v1 <= CALCARINE.radius) & hemisphere.cortex
    ring = (from_v1 <= CALCARINE.radius + V2V3_WIDTH) & hemisphere.cortex & ~v1 & ~discs["V4"]
    early = v1 | ring
    others = {name: mask & ~(v1 if name == "V4" else early) for name, mask in discs.items()}
    return {"V1": v1, "V2V3": ring, **others}


def _reach(hemisphere: Hemisphere, landmark: Landmark) -> Float[np.ndarray, "vertex"]:
    centre = hemisphere.nearest_vertex(landmark.mni305(hemisphere.name))
    return hemisphere.geodesic_distance(np.array([centre])) / landmark.radius


def visual_region(hemisphere: Hemisphere) -> Bool[np.ndarray, "vertex"]:
    """Mask of the visual part of one hemisphere: what lies near its named regions or the caudal IPS.

    It holds about 1,200 of 10,242 vertices, from the occipital pole to the ventral, lateral and parietal
    ends.
    """
    regions = np.any(list(hemisphere_rois(hemisphere).values()), axis=0) | (_reach(hemisphere, INTRAPARIETAL) <= 1)
    grown = hemisphere.geodesic_distance(np.flatnonzero(regions)) <= VISUAL_REACH
    inside = hemisphere.geodesic_distance(np.flatnonzero(~grown)) > VISUAL_REACH - VISUAL_MARGIN
    return np.asarray(inside & hemisphere.cortex)


def visual_vertices(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the visual part of both hemispheres, the left first.

    Returns:
        hemisphere ("left" or "right") and vertex index within it, both of shape (voxel,).

    Example:
        >>> hemisphere, vertex = ft.visual_vertices(ft.load_surface("fsaverage5"))
        >>> str(hemisphere[0]), bool(vertex.max() < 10242)
        ('left', True)
    """
    vertices = [np.flatnonzero(visual_region(hemisphere)) for hemisphere in surface.hemispheres]
    names = np.repeat([hemisphere.name for hemisphere in surface.hemispheres], [len(v) for v in vertices])
    return names, np.concatenate(vertices)
