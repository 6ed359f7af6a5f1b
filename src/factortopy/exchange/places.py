"""Where the voxels of weights lie: from labels, coordinates or a subject, of which those voxels are taken."""

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from factortopy.cortex import HEMISPHERES, VERTICES, Voxels, read_labels
from factortopy.datasets import AREAS
from factortopy.errors import DataError, ShapeError
from factortopy.storage import read_array
from factortopy.subjects import Subject

LabelFiles = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""Label files of the left and the right hemisphere."""
SURFACE = "fsaverage"
NEAR = 0.1
"""Farthest that two places may lie from each other and be one, mm."""


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


def subject_at(subject: Subject, voxels: Voxels) -> Subject:
    """The subject with those of its voxels, in that order, that lie where ``voxels`` do.

    Released weights are of fewer vertices than a data set ships: of the 37,984 of ``nsdgeneral`` within the 39,548 of
    Algonauts 2023.

    Args:
        subject: responses of (at least) those voxels.
        voxels: of the weights.

    Raises:
        DataError: if a voxel has none of the subject's within 0.1 mm, or two have the same.
    """
    places = subject.voxels.positions[0]
    distance, row = cKDTree(places).query(voxels.positions[0])
    far = distance > NEAR
    if far.any() or len(np.unique(row)) < len(row):
        fault = f"{int(far.sum()):,} of the weights' {len(row):,} voxels" if far.any() else "two of the weights' voxels"
        where = "lie elsewhere than all" if far.any() else "are one and the same"
        raise DataError(
            f"{fault} {where} of the {len(places):,} of subject {subject.name!r}; give a subject on the vertices that "
            "the weights were trained on"
        )
    return subject.select(row)


def check_places(own: Float[np.ndarray, "voxel 3"], given: Float[np.ndarray, "voxel 3"]) -> None:
    """Refuse voxels that lie elsewhere than a file of weights says; a shift and one scale of all axes mean nothing.

    Raises:
        ShapeError: if they are of another number.
        DataError: if they lie elsewhere.
    """
    if len(own) != len(given):
        raise ShapeError(f"the weights' coords are of {len(own)} voxels, {len(given)} were given")
    longest = float(np.ptp(given, axis=0).max())
    first, second = ((places - places.min(axis=0)) / np.ptp(places, axis=0).max() for places in (own, given))
    off = np.abs(first - second).max(axis=1) * longest
    if not (off <= NEAR).all():
        raise DataError(
            f"{int((off > NEAR).sum()):,} of {len(own):,} voxels lie elsewhere than the weights' own coords say (up to "
            f"{off.max():.3g} mm); give the voxels that the weights were trained on, or none"
        )
