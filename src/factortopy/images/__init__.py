"""Photographs: what the networks and the brain look at."""

from factortopy.images.image_set import (
    ImageSet,
    broken_error,
    default_workers,
    find_broken,
    leave_out_broken,
    read_image,
)
from factortopy.images.opening import (
    SUFFIXES,
    images_by_name,
    images_from_folder,
    images_from_hdf5,
    images_from_list,
    images_from_path,
)
from factortopy.images.samples import sample_views
from factortopy.images.splits import Split, read_split, split_images, split_with_test

__all__ = [
    "SUFFIXES",
    "ImageSet",
    "Split",
    "broken_error",
    "default_workers",
    "find_broken",
    "images_by_name",
    "images_from_folder",
    "images_from_hdf5",
    "images_from_list",
    "images_from_path",
    "leave_out_broken",
    "read_image",
    "read_split",
    "sample_views",
    "split_images",
    "split_with_test",
]
