"""Volumes and surface maps in MGH and NIfTI files, and the coordinates of their voxels in mm."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.errors import DataError, ShapeError
from factortopy.storage._reading import COMPRESSION, reading

VOLUME_ENDINGS = (".mgz", ".mgh", ".nii", ".nii.gz")

REMEDY = "it is truncated or no MGH or NIfTI image; get it again"


@dataclass(frozen=True, eq=False)
class Volume:
    """Numbers on a grid, or on the vertices of a surface (then all axes but the first have length 1).

    Attributes:
        values: as stored, scaled by the header's slope and intercept where there is one.
        affine: voxel indices to mm.
    """

    values: np.ndarray
    affine: Float[np.ndarray, "4 4"]


def open_volume(path: str | os.PathLike[str]) -> Any:
    """The nibabel image of a file whose size fits its header; no values are read yet.

    Args:
        path: ``.mgz``, ``.mgh``, ``.nii`` or ``.nii.gz``.

    Raises:
        DataError: if the file is missing, of another kind, or shorter than its header says.
    """
    import nibabel

    path = Path(path)
    kind = nibabel.MGHImage if path.name.endswith((".mgz", ".mgh")) else nibabel.Nifti1Image
    with reading(path, REMEDY):
        # The file stays open, so that one trial after another is read in one pass through the file.
        image = kind.from_filename(path, keep_file_open=True)
        # An MGH header has lengths of 32 bits, whose product would overflow.
        values = math.prod(int(length) for length in image.shape)
        announced = image.dataobj.offset + values * image.dataobj.dtype.itemsize
    size = path.stat().st_size
    most = size * COMPRESSION if path.suffix in (".mgz", ".gz") else size
    if announced > most or min(image.shape, default=0) < 1:
        raise DataError(
            f"{path} has {size} bytes but its header announces shape {image.shape}, {announced} bytes; "
            "it is truncated or damaged: fetch it again",
            path=path,
        )
    return image


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read an MGH or NIfTI file whole.

    Args:
        path: ``.mgz``, ``.mgh``, ``.nii`` or ``.nii.gz``.

    Raises:
        DataError: if the file is missing, truncated, or of another kind.
    """
    image = open_volume(path)
    return Volume(read_values(image, path), np.asarray(image.affine, dtype=np.float64))


def read_values(image: Any, path: str | os.PathLike[str], part: Any = ...) -> np.ndarray:
    """The values of an opened image, or a part of them, in the machine's own byte order.

    Args:
        image: what ``open_volume`` gave.
        path: its file, for the message.
        part: an index such as ``(..., 3)``.

    Raises:
        DataError: if the file ends too early or is damaged.
    """
    with reading(path, REMEDY):
        values = np.asarray(image.dataobj[part])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def volume_coordinates(
    indices: Int[np.ndarray, "voxel 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "voxel 3"]:
    """Coordinates of voxels in mm, ``affine @ (i, j, k, 1)``: the centre of voxel (i, j, k), counted from 0.

    Args:
        indices: voxel indices along the three axes of the volume.
        affine: of the image the indices refer to.

    Raises:
        ShapeError: if the shapes are others.
        DataError: if the affine is not invertible or not finite.
    """
    indices, affine = np.asarray(indices), np.asarray(affine, dtype=float)
    if indices.ndim != 2 or indices.shape[1] != 3 or affine.shape != (4, 4):
        raise ShapeError(
            f"voxel indices must be (voxel, 3) and the affine (4, 4), got {indices.shape} and {affine.shape}"
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise DataError("the affine is not finite or not invertible; take it from the image's own header")
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3], dtype=np.float32)
