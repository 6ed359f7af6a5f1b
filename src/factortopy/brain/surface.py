"""Cortical surfaces: meshes and measures along them, where they come from, places on spheres."""

from factortopy.brain.surface_mesh import HEMISPHERES, VERTICES, Hemisphere, Mesh, Surface, coordinate_bounds
from factortopy.brain.surface_sources import SURFACES, load_surface
from factortopy.brain.surface_sphere import sphere_coordinates

__all__ = [
    "HEMISPHERES",
    "SURFACES",
    "VERTICES",
    "Hemisphere",
    "Mesh",
    "Surface",
    "coordinate_bounds",
    "load_surface",
    "sphere_coordinates",
]
