"""The cortex: meshes, surfaces, regions, and where voxels lie."""

from factortopy.cortex.labels import Labels, read_colour_table, read_labels, roi_masks
from factortopy.cortex.mesh import HEMISPHERES, VERTICES, Hemisphere, Mesh, Surface, coordinate_bounds
from factortopy.cortex.mesh_files import read_mesh
from factortopy.cortex.regions import ROI_NAMES, hemisphere_rois, visual_region, visual_vertices
from factortopy.cortex.surfaces import SURFACES, load_surface, side_by_side, sphere_coordinates, standard_name
from factortopy.cortex.voxels import Voxels

__all__ = [
    "HEMISPHERES",
    "ROI_NAMES",
    "SURFACES",
    "VERTICES",
    "Hemisphere",
    "Labels",
    "Mesh",
    "Surface",
    "Voxels",
    "coordinate_bounds",
    "hemisphere_rois",
    "load_surface",
    "read_colour_table",
    "read_labels",
    "read_mesh",
    "roi_masks",
    "side_by_side",
    "sphere_coordinates",
    "standard_name",
    "visual_region",
    "visual_vertices",
]
