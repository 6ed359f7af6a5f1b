"""Photographs: what the networks and the brain look at."""

from factortopy.images.image_set import ImageSet, images_from_folder
from factortopy.images.samples import sample_views

__all__ = ["ImageSet", "images_from_folder", "sample_views"]
