"""Photographs: what the networks and the brain look at."""

from factortopy.images.broken import broken_error, default_workers, find_broken, leave_out_broken
from factortopy.images.hdf5 import images_from_hdf5
from factortopy.images.image_set import ImageSet, images_from_folder, images_from_list
from factortopy.images.samples import sample_views

__all__ = [
    "ImageSet",
    "broken_error",
    "default_workers",
    "find_broken",
    "images_from_folder",
    "images_from_hdf5",
    "images_from_list",
    "leave_out_broken",
    "sample_views",
]
