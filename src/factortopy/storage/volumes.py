"""Volumes and surface maps in MGH and NIfTI files, and the coordinates of their voxels in mm."""

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.errors import DataError, ShapeError
from factortopy.storage.files import COMPRESSION, Path_, reading
from factortopy.storage.values import as_array

VOLUME_ENDINGS = (".mgz", ".mgh", ".nii", ".nii.gz")

REMEDY = "it is truncated or no MGH or NIfTI image; get it again"


def open_gifti(path: Path_) -> Any:
    """The nibabel image of a GIfTI file, whatever the case of its name.

    Raises:
        DataError: if it is missing or no GIfTI file.
    """
    import nibabel

    with reading(path, "expected a GIfTI file"):
        return nibabel.GiftiImage.from_file_map(_file_map(path))


def open_cifti(path: Path_) -> Any:
    """The nibabel image of a CIFTI-2 file, whatever the case of its name; no values are read yet.

    Raises:
        DataError: if it is missing, or no CIFTI file.
    """
    import nibabel

    remedy = (
        "is it a plain NIfTI volume? Expected CIFTI: give responses as (image, voxel), e.g. .npy of a mask's voxels"
    )
    with reading(path, remedy):
        return nibabel.Cifti2Image.from_file_map(_file_map(path))


def _file_map(path: Path_) -> Any:
    # nibabel itself tells files by their names, and takes mixed case for another kind.
    import nibabel

    compressed = str(path).lower().endswith((".mgz", ".gz"))
    opened = gzip.open(path, "rb") if compressed else None  # noqa: SIM115 (as long as the image)
    return {"image": nibabel.FileHolder(None if compressed else str(path), opened)}


def open_volume(path: Path_) -> Any:
    """The nibabel image of a file (``VOLUME_ENDINGS``) whose size fits its header; no values are read yet.

    Raises:
        DataError: if the file is missing, of another kind, or shorter than its header says.
    """
    import nibabel

    path = Path(path)
    kind = nibabel.MGHImage if path.name.lower().endswith((".mgz", ".mgh")) else nibabel.Nifti1Image
    with reading(path, REMEDY):
        # The file stays open, so that one trial after another is read in one pass through the file.
        image = kind.from_file_map(_file_map(path), keep_file_open=True)
        # An MGH header has lengths of 32 bits, whose product would overflow.
        values = math.prod(int(length) for length in image.shape)
        announced = image.dataobj.offset + values * image.dataobj.dtype.itemsize
    size = path.stat().st_size
    most = size * COMPRESSION if path.suffix.lower() in (".mgz", ".gz") else size
    if announced > most or min(image.shape, default=0) < 1:
        fault = f"has {size} bytes but its header announces shape {image.shape}, {announced} bytes"
        raise DataError.of(path, f"{fault}; it is truncated or damaged: fetch it again")
    return image


def read_volume(path: Path_) -> np.ndarray:
    """The values of an MGH or NIfTI file, as stored, scaled by the header's slope and intercept where there is one.

    Those of a surface have length 1 along all axes but the first.
    """
    return read_values(open_volume(path), path)


def read_values(image: Any, path: Path_, part: Any = ...) -> np.ndarray:
    """The values of an opened image, or a part of them, in the machine's own byte order.

    Args:
        image: what ``open_volume`` gave.
        path: its file, which the error names if it ends too early or is damaged.
        part: an index such as ``(..., 3)``.
    """
    with reading(path, REMEDY):
        values = np.asarray(image.dataobj[part])
        read_out(image)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_out(image: Any) -> None:
    """Read a compressed file from behind its last value to its end, where the checksum of the whole stands.

    Of a file whose last value was not read yet, nothing is read.

    Raises:
        OSError, EOFError: if the file is damaged or cut short.
    """
    file = image.dataobj.file_like
    if isinstance(file, gzip.GzipFile):
        end = image.dataobj.offset + math.prod(map(int, image.shape)) * image.dataobj.dtype.itemsize
        while file.tell() >= end and file.read(2**20):
            pass


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

    Example:
        >>> indices = np.array([[0, 0, 0], [10, 0, 0]])
        >>> ft.volume_coordinates(indices, np.diag([1.8, 1.8, 1.8, 1.0]))[1].tolist()
        [18.0, 0.0, 0.0]
    """
    indices, affine = as_array(indices, "voxel indices"), as_array(affine, "the affine").astype(float)
    if indices.ndim != 2 or indices.shape[1] != 3 or affine.shape != (4, 4):
        raise ShapeError(
            f"voxel indices must be (voxel, 3) and the affine (4, 4), got {indices.shape} and {affine.shape}"
        )
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise DataError("the affine is not finite or not invertible; take it from the image's own header")
    return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3], dtype=np.float32)
