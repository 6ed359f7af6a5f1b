"""What a simulated subject selects at each point of the cortex: smooth maps, or areas with sharp borders."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import block_diag, coo_array, csc_array, csgraph, diags_array
from scipy.sparse.linalg import splu

from factortopy.cortex import Hemisphere, Surface, Voxels
from factortopy.cortex import regions as rois

Areas = Literal["smooth", "sharp"]

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
        voxels: where they lie, on the spheres, and their regions.
        space: place in the image, [-1, 1], x right, y down.
        distance: geodesic distance from the occipital pole as a fraction of the largest.
        laplacian: graph Laplacian over voxels, for smoothing along the cortex; without the edges across
            borders where areas are sharp.
        reach: distance along the cortex to each region, mm, where areas are sharp; None where smooth.
    """

    voxels: Voxels
    space: Float[np.ndarray, "voxel 2"]
    distance: Float[np.ndarray, "voxel"]
    laplacian: csc_array
    reach: dict[str, Float[np.ndarray, "voxel"]] | None

    @cached_property
    def depth(self) -> Float[np.ndarray, "voxel"]:
        """Depth in the network, 0 first layer to 1 last."""
        return self.spread(DEPTH_LEVELS)

    @cached_property
    def scale(self) -> Float[np.ndarray, "voxel"]:
        """Scale, 0 local to 1 global."""
        return self.spread(SCALE_LEVELS)

    def smooth_weights(self, channels: int, generator: np.random.Generator) -> Float[np.ndarray, "voxel channel"]:
        """Random weights that vary smoothly along the cortex, each voxel's of Euclidean length 1.

        Of smoothed white noise, voxels 3 mm apart correlate at about 0.9, 1 cm at 0.6, 2 cm at 0.3.
        """
        smooth = self.smooth(generator.standard_normal((len(self.voxels), channels)))
        return np.asarray(smooth / np.linalg.norm(smooth, axis=1, keepdims=True))

    def smooth(self, values: Float[np.ndarray, "voxel *rest"]) -> Float[np.ndarray, "voxel *rest"]:
        """Values filtered along the cortex by (I + s L)^-1 with the graph Laplacian L; their sum stays."""
        identity = diags_array(np.ones(len(self.voxels)))
        return np.asarray(splu(csc_array(identity + WEIGHT_SMOOTHING * self.laplacian)).solve(values))

    def spread(self, levels: Mapping[str, float | Float[np.ndarray, "layer"]]) -> Float[np.ndarray, "voxel *layer"]:
        """Levels of regions (a number, or one a layer, by name) as a map over all voxels; see ``planted_maps``."""
        values = np.array(list(levels.values()), dtype=float)
        if self.reach is not None:
            return values[np.argmin([self.reach[name] for name in levels], axis=0)]
        regions = np.array([self.voxels.rois[name] for name in levels])
        inside = diags_array(regions.any(axis=0).astype(float))
        target = sum(np.multiply.outer(mask.astype(float), value) for mask, value in zip(regions, values, strict=True))
        return np.asarray(splu(csc_array(inside + LEVEL_SMOOTHING * self.laplacian)).solve(target))


def planted_maps(surface: Surface, areas: Areas = "smooth") -> PlantedMaps:
    """Plant retinotopy, depth and scale on the visual part of both hemispheres.

    * space: eccentricity grows with the distance d from the occipital pole, 0.85 d / (d + 15 mm); the polar
      angle turns with the direction from the pole: along the calcarine sulcus and on the lateral surface the
      horizontal meridian, dorsal the lower and ventral the upper field, at most 80 degrees; always
      contralateral. (The reversals of angle between V1, V2 and V3 are left out: the map is smooth.)
    * depth, scale: the smoothest maps (minimal sum of squared differences over edges) that stay near the
      level of each named region, by solving (D + s L) f = D level, D being 1 inside regions and 0 outside.
      With sharp areas, each voxel has the level of the nearest region and channel weights are smooth within
      an area only: depth, scale and channels jump at borders. Space stays smooth.

    Args:
        surface: fsaverage5.
        areas: ``"smooth"`` or ``"sharp"``.
    """
    hemisphere, vertex = rois.visual_vertices(surface)
    parts = [(half, vertex[hemisphere == half.name]) for half in surface.hemispheres]
    masks = [rois.hemisphere_rois(half) for half in surface.hemispheres]
    regions = {
        name: np.concatenate([mask[name][chosen] for mask, (_, chosen) in zip(masks, parts, strict=True)])
        for name in rois.ROI_NAMES
    }
    laplacian = csc_array(block_diag([_laplacian(half, chosen) for half, chosen in parts]))
    reach = _reach(parts, masks) if areas == "sharp" else None
    if reach is not None:
        laplacian = _cut(laplacian, np.argmin(list(reach.values()), axis=0))
    distances = [half.geodesic_distance(np.array([rois.fovea_vertex(half)]))[v] for half, v in parts]
    return PlantedMaps(
        voxels=replace(Voxels.on_sphere(surface, hemisphere, vertex), rois=regions),
        space=np.concatenate([_visual_field(*part, d) for part, d in zip(parts, distances, strict=True)]),
        distance=np.concatenate([distance / distance.max() for distance in distances]),
        laplacian=laplacian,
        reach=reach,
    )


def _laplacian(hemisphere: Hemisphere, vertices: np.ndarray) -> csc_array:
    adjacency = hemisphere.distance_graph[vertices][:, vertices] > 0
    return csc_array(csgraph.laplacian((adjacency + adjacency.T).astype(float)))


def _reach(
    parts: list[tuple[Hemisphere, np.ndarray]], masks: list[dict[str, np.ndarray]]
) -> dict[str, Float[np.ndarray, "voxel"]]:
    """Distance of every voxel to each region, along the cortex, mm."""
    return {
        name: np.concatenate(
            [
                half.geodesic_distance(np.flatnonzero(mask[name]))[chosen]
                for mask, (half, chosen) in zip(masks, parts, strict=True)
            ]
        )
        for name in rois.ROI_NAMES
    }


def _cut(laplacian: csc_array, area: Int[np.ndarray, "voxel"]) -> csc_array:
    """The Laplacian of the same graph without the edges between different areas."""
    edges = coo_array(laplacian)
    row, column = edges.coords
    kept = (row != column) & (area[row] == area[column])
    adjacency = coo_array((np.ones(kept.sum()), (row[kept], column[kept])), shape=laplacian.shape)
    return csc_array(csgraph.laplacian(csc_array(adjacency)))


def _visual_field(hemisphere: Hemisphere, vertices: np.ndarray, distance: np.ndarray) -> Float[np.ndarray, "voxel 2"]:
    eccentricity = LARGEST_ECCENTRICITY * distance / (distance + HALF_DISTANCE)
    angle = LARGEST_ANGLE * np.sin(_direction_from_pole(hemisphere)[vertices])
    contralateral = 1.0 if hemisphere.name == "left" else -1.0
    return np.stack([contralateral * eccentricity * np.cos(angle), eccentricity * np.sin(angle)], axis=1)


def _direction_from_pole(hemisphere: Hemisphere) -> Float[np.ndarray, "vertex"]:
    """Direction on the sphere seen from the occipital pole: 0 along the calcarine sulcus, positive dorsal."""
    sphere = hemisphere.sphere.coordinates.astype(float)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    pole = sphere[rois.fovea_vertex(hemisphere)]
    calcarine = sphere[rois.calcarine_path(hemisphere)[-1]]
    along = calcarine - (calcarine @ pole) * pole
    along /= np.linalg.norm(along)
    across = np.cross(pole, along)
    dorsal = sphere[hemisphere.nearest_vertex(rois.INTRAPARIETAL.mni305(hemisphere.name))]
    across *= np.sign(dorsal @ across)
    return np.asarray(np.arctan2(sphere @ across, sphere @ along))
