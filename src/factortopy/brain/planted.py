"""What a simulated subject selects at each place of the cortex: smooth maps over the cortex."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import block_diag, csc_array, csgraph, diags_array
from scipy.sparse.linalg import splu

from factortopy.brain import rois
from factortopy.brain.surface import Hemisphere, Surface, coordinate_bounds, sphere_coordinates

# Depth: the ideal levels of the paper's table 2 (V1, V2V3, OPA, EBA), and V4, FFA, PPA in their order.
DEPTH_LEVELS = {"V1": 0.0, "V2V3": 0.33, "V4": 0.5, "OPA": 0.66, "EBA": 1.0, "FFA": 1.0, "PPA": 1.0}
# Scale has an order of its own, so that finding one map does not give the other for free.
SCALE_LEVELS = {"V1": 0.05, "V2V3": 0.15, "V4": 0.35, "OPA": 0.45, "EBA": 0.6, "FFA": 0.85, "PPA": 0.75}
# Strength of smoothing, in squared edges of the mesh (an edge is about 3 mm).
LEVEL_SMOOTHING = 1.0
WEIGHT_SMOOTHING = 8.0
# Eccentricity reaches half of LARGEST_ECCENTRICITY at this distance (mm) from the occipital pole.
HALF_DISTANCE = 15.0
LARGEST_ECCENTRICITY = 0.85
LARGEST_ANGLE = np.deg2rad(80.0)


@dataclass(frozen=True, eq=False)
class PlantedMaps:
    """The visual cortex and the maps planted on it, left hemisphere first.

    Attributes:
        hemisphere, vertex: where each voxel lies.
        coordinates, coordinate_bounds: on the spheres, mm; bounds over the whole surface.
        rois: masks by name.
        space: place in the image, [-1, 1], x right, y down.
        depth, scale: 0 to 1.
        distance: geodesic distance from the occipital pole as a fraction of the largest.
        laplacian: graph Laplacian over voxels, for smoothing along the cortex.
    """

    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "voxel"]
    coordinates: Float[np.ndarray, "voxel 3"]
    coordinate_bounds: Float[np.ndarray, "2 3"]
    rois: dict[str, Bool[np.ndarray, "voxel"]]
    space: Float[np.ndarray, "voxel 2"]
    depth: Float[np.ndarray, "voxel"]
    scale: Float[np.ndarray, "voxel"]
    distance: Float[np.ndarray, "voxel"]
    laplacian: csc_array

    def smooth_weights(
        self, channels: int, generator: np.random.Generator
    ) -> Float[np.ndarray, "voxel channel"]:
        """Random weights that vary smoothly along the cortex, each voxel's of Euclidean length 1.

        White noise is filtered by (I + s L)^-1 with the graph Laplacian L: voxels 3 mm apart correlate at
        about 0.9, 1 cm at 0.6, 2 cm at 0.3.
        """
        noise = generator.standard_normal((len(self.vertex), channels))
        identity = diags_array(np.ones(len(self.vertex)))
        smooth = splu(csc_array(identity + WEIGHT_SMOOTHING * self.laplacian)).solve(noise)
        return np.asarray(smooth / np.linalg.norm(smooth, axis=1, keepdims=True))


def planted_maps(surface: Surface) -> PlantedMaps:
    """Plant retinotopy, depth and scale on the visual part of both hemispheres.

    * space: eccentricity grows with the distance d from the occipital pole, 0.85 d / (d + 15 mm); the polar
      angle turns with the direction from the pole: along the calcarine sulcus and on the lateral surface the
      horizontal meridian, dorsal the lower and ventral the upper field, at most 80 degrees; always
      contralateral. (The reversals of angle between V1, V2 and V3 are left out: the map is smooth.)
    * depth, scale: the smoothest maps (minimal sum of squared differences over edges) that stay near the
      level of each named region, by solving (D + s L) f = D level, D being 1 inside regions and 0 outside.
    """
    hemisphere, vertex = rois.visual_vertices(surface)
    parts = [(half, vertex[hemisphere == half.name]) for half in surface.hemispheres]
    masks = [rois.hemisphere_rois(half) for half in surface.hemispheres]
    regions = {
        name: np.concatenate([mask[name][chosen] for mask, (_, chosen) in zip(masks, parts, strict=True)])
        for name in rois.ROI_NAMES
    }
    laplacian = csc_array(block_diag([_laplacian(half, chosen) for half, chosen in parts]))
    distances = [half.geodesic_distance(np.array([rois.fovea_vertex(half)]))[v] for half, v in parts]
    everywhere = sphere_coordinates(surface)
    rows = vertex + np.where(hemisphere == "right", surface.left.vertices, 0)
    return PlantedMaps(
        hemisphere=hemisphere,
        vertex=vertex,
        coordinates=everywhere[rows],
        coordinate_bounds=coordinate_bounds(everywhere),
        rois=regions,
        space=np.concatenate([_visual_field(*part, d) for part, d in zip(parts, distances, strict=True)]),
        depth=_interpolate_levels(DEPTH_LEVELS, regions, laplacian),
        scale=_interpolate_levels(SCALE_LEVELS, regions, laplacian),
        distance=np.concatenate([distance / distance.max() for distance in distances]),
        laplacian=laplacian,
    )


def _laplacian(hemisphere: Hemisphere, vertices: np.ndarray) -> csc_array:
    adjacency = hemisphere.distance_graph[vertices][:, vertices] > 0
    return csc_array(csgraph.laplacian((adjacency + adjacency.T).astype(float)))


def _interpolate_levels(
    levels: dict[str, float], regions: dict[str, np.ndarray], laplacian: csc_array
) -> Float[np.ndarray, "voxel"]:
    inside = np.any(list(regions.values()), axis=0).astype(float)
    target = sum(level * regions[name] for name, level in levels.items())
    return np.asarray(splu(csc_array(diags_array(inside) + LEVEL_SMOOTHING * laplacian)).solve(target))


def _visual_field(
    hemisphere: Hemisphere, vertices: np.ndarray, distance: np.ndarray
) -> Float[np.ndarray, "voxel 2"]:
    eccentricity = LARGEST_ECCENTRICITY * distance / (distance + HALF_DISTANCE)
    angle = LARGEST_ANGLE * np.sin(_direction_from_pole(hemisphere)[vertices])
    contralateral = 1.0 if hemisphere.name == "left" else -1.0
    return np.stack([contralateral * eccentricity * np.cos(angle), eccentricity * np.sin(angle)], axis=1)


def _direction_from_pole(hemisphere: Hemisphere) -> Float[np.ndarray, "vertex"]:
    """Direction on the sphere seen from the occipital pole: 0 along the calcarine sulcus, positive dorsal."""
    sphere = hemisphere.sphere.coordinates.astype(float)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    pole = sphere[rois.fovea_vertex(hemisphere)]
    along = sphere[rois.calcarine_path(hemisphere)[-1]]
    along = along - (along @ pole) * pole
    along /= np.linalg.norm(along)
    across = np.cross(pole, along)
    dorsal = sphere[hemisphere.nearest_vertex(rois.INTRAPARIETAL.mni305(hemisphere.name))]
    across *= np.sign(dorsal @ across)
    return np.asarray(np.arctan2(sphere @ across, sphere @ along))
