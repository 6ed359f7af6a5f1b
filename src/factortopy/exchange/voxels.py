"""Where the voxels of released weights lie: the weights themselves do not say."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from factortopy.cortex import HEMISPHERES, VERTICES, Voxels, read_labels
from factortopy.datasets import AREAS
from factortopy.errors import DataError, ShapeError
from factortopy.storage import read_array

LabelFiles = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""Label files of the left and the right hemisphere."""
SURFACE = "fsaverage"


def voxels_from_labels(voxels: LabelFiles, rois: Sequence[LabelFiles] = ()) -> Voxels:
    """The vertices of fsaverage that have a label above 0, left hemisphere first.

    With NSD's ``lh.nsdgeneral.mgz`` and ``rh.nsdgeneral.mgz`` they are the 37,984 vertices of the paper.

    Args:
        voxels: labels that say which vertices are meant.
        rois: labels whose regions become ROIs; V1, V2V3, V4 and FFA are put together of their parts.

    Raises:
        DataError: if a file cannot be read, has another number of vertices, or labels none.
    """
    vertices = [np.flatnonzero(read_labels(file, vertices=VERTICES[SURFACE]).values > 0) for file in voxels]
    vertex = np.concatenate(vertices)
    if not len(vertex):
        raise DataError(f"{voxels[0]} and {voxels[1]} label no vertex; give labels of the voxels")
    chosen = Voxels.on_sphere(SURFACE, np.repeat(HEMISPHERES, [len(part) for part in vertices]), vertex)
    for files in rois:
        chosen = chosen.with_labels(dict(zip(HEMISPHERES, files, strict=True)))
    masks = chosen.rois
    for name, parts in AREAS.items():
        if set(parts) <= set(masks):
            masks[name] = np.any([masks[part] for part in parts], axis=0)
    return replace(chosen, rois={name: mask for name, mask in masks.items() if mask.any()})


def voxels_from_coordinates(path: str | os.PathLike[str]) -> Voxels:
    """Voxels from an array of coordinates (voxel, 3) in mm, on no surface.

    Raises:
        DataError: if the file cannot be read or holds NaN.
        ShapeError: if it is no such array.
    """
    coordinates = np.asarray(read_array(path))
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or not len(coordinates):
        raise ShapeError.of(path, f"has shape {coordinates.shape}; coordinates must be (voxel, 3) in mm")
    if coordinates.dtype.kind != "f" or not np.isfinite(coordinates).all():
        raise DataError.of(path, f"({coordinates.dtype}) must hold finite decimal numbers")
    return Voxels.at(coordinates)
