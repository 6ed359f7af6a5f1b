"""Where the voxels of released weights lie: the weights themselves do not say."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import (
    HEMISPHERES,
    VERTICES,
    Labels,
    coordinate_bounds,
    read_labels,
    roi_masks,
    sphere_coordinates,
)
from factortopy.datasets import AREAS
from factortopy.errors import DataError, ShapeError
from factortopy.storage import read_array
from factortopy.subjects import Subject

LabelFiles = tuple[str | os.PathLike[str], str | os.PathLike[str]]
"""Label files of the left and the right hemisphere."""
Bounds = Literal["voxels", "surface"]
SURFACE = "fsaverage"


@dataclass(frozen=True, eq=False)
class Places:
    """Where voxels lie.

    Attributes:
        coordinates: of each voxel in mm; on a surface, on its sphere.
        surface_bounds: smallest and largest coordinate over the whole surface or volume.
        hemisphere: ``"left"`` or ``"right"`` of each voxel.
        vertex: index within its hemisphere.
        surface: name of the surface; None where there is none.
        rois: masks by name.
        subject: name of the subject; None if unknown.
        simulated: whether it is a simulated one.
    """

    coordinates: Float[np.ndarray, "voxel 3"]
    surface_bounds: Float[np.ndarray, "2 3"]
    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "voxel"]
    surface: str | None = None
    rois: dict[str, Bool[np.ndarray, "voxel"]] = field(default_factory=dict)
    subject: str | None = None
    simulated: bool = False

    def bounds(self, kind: Bounds) -> Float[np.ndarray, "2 3"]:
        """Bounds that the position code is scaled by.

        Args:
            kind: ``"voxels"``, those of the voxels alone, as the authors' program takes them; or
                ``"surface"``, those of the whole surface, as this package's fits do.
        """
        return coordinate_bounds(self.coordinates) if kind == "voxels" else self.surface_bounds


def places_of_subject(subject: Subject) -> Places:
    """Places and ROIs of a subject's voxels."""
    return Places(
        subject.coordinates,
        subject.coordinate_bounds,
        subject.hemisphere,
        subject.vertex,
        subject.surface,
        subject.rois,
        subject.name,
        subject.simulated,
    )


def places_from_labels(voxels: LabelFiles, rois: Sequence[LabelFiles] = ()) -> Places:
    """Places of the vertices of fsaverage that have a label above 0, left hemisphere first.

    With NSD's ``lh.nsdgeneral.mgz`` and ``rh.nsdgeneral.mgz`` they are the 37,984 vertices of the paper.

    Args:
        voxels: labels that say which vertices are meant.
        rois: labels whose regions become ROIs; V1, V2V3, V4 and FFA are put together of their parts.

    Raises:
        DataError: if a file cannot be read, has another number of vertices, or labels none.
    """
    chosen = [np.flatnonzero(labels.values > 0) for labels in _read(voxels).values()]
    vertex = np.concatenate(chosen)
    if not len(vertex):
        raise DataError(f"{voxels[0]} and {voxels[1]} label no vertex; give labels of the voxels")
    hemisphere = np.repeat(HEMISPHERES, [len(part) for part in chosen])
    everywhere = sphere_coordinates(SURFACE)
    row = vertex + np.where(hemisphere == "right", VERTICES[SURFACE], 0)
    masks: dict[str, Bool[np.ndarray, voxel]] = {}
    for files in rois:
        masks |= roi_masks(_read(files), hemisphere, vertex)
    for name, parts in AREAS.items():
        if set(parts) <= set(masks):
            masks[name] = np.any([masks[part] for part in parts], axis=0)
    held = {name: mask for name, mask in masks.items() if mask.any()}
    return Places(everywhere[row], coordinate_bounds(everywhere), hemisphere, vertex, SURFACE, held)


def places_from_coordinates(path: str | os.PathLike[str]) -> Places:
    """Places from an array of coordinates (voxel, 3) in mm, on no surface.

    Raises:
        DataError: if the file cannot be read or holds NaN.
        ShapeError: if it is no such array.
    """
    coordinates = np.asarray(read_array(path))
    if coordinates.ndim != 2 or coordinates.shape[1] != 3 or not len(coordinates):
        raise ShapeError(
            f"{Path(path)} has shape {coordinates.shape}; coordinates must be (voxel, 3) in mm", path=Path(path)
        )
    if coordinates.dtype.kind != "f" or not np.isfinite(coordinates).all():
        raise DataError(f"{Path(path)} ({coordinates.dtype}) must hold finite decimal numbers", path=Path(path))
    count = len(coordinates)
    # Nothing says which hemisphere: on no surface, none of this is looked at.
    sides, index = np.full(count, HEMISPHERES[0]), np.arange(count)
    return Places(coordinates, coordinate_bounds(coordinates), sides, index)


def _read(files: LabelFiles) -> dict[str, Labels]:
    return {side: read_labels(path, vertices=VERTICES[SURFACE]) for side, path in zip(HEMISPHERES, files, strict=True)}
