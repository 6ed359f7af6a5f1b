"""Subjects: their responses, cortex, regions, splits, and simulated subjects with a planted truth."""

from factortopy.brain.arrays import load_arrays
from factortopy.brain.rois import ROI_NAMES, hemisphere_rois, visual_region, visual_vertices
from factortopy.brain.simulate import simulate_subject
from factortopy.brain.splits import Split, split_images
from factortopy.brain.storage import load_subject, save_subject
from factortopy.brain.subject import PlantedTruth, Projection, Subject
from factortopy.brain.surface import (
    Hemisphere,
    Mesh,
    Surface,
    coordinate_bounds,
    load_surface,
    sphere_coordinates,
)

__all__ = [
    "ROI_NAMES",
    "Hemisphere",
    "Mesh",
    "PlantedTruth",
    "Projection",
    "Split",
    "Subject",
    "Surface",
    "coordinate_bounds",
    "hemisphere_rois",
    "load_arrays",
    "load_subject",
    "load_surface",
    "save_subject",
    "simulate_subject",
    "sphere_coordinates",
    "split_images",
    "visual_region",
    "visual_vertices",
]
