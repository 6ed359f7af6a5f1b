"""Readers of arrays in HDF5, Zarr, GIfTI, MGH and CIFTI; ``read_array`` calls them."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.errors import DataError
from factortopy.storage._reading import ArrayPath, check_plausible
from factortopy.storage.volumes import open_volume, read_values


def reader_of(path: ArrayPath) -> Callable[[ArrayPath], np.ndarray]:
    """The function that reads a file, by the end of its name.

    Raises:
        DataError: if the end is unknown.
    """
    readers = {
        (".h5", ".hdf5"): read_hdf5,
        (".zarr",): read_zarr,
        (".gii", ".gii.gz"): read_gifti,
        (".mgh", ".mgz"): read_mgh,
        (".nii", ".nii.gz"): read_cifti,
    }
    for ends, reader in readers.items():
        if path.file.name.lower().endswith(ends):
            return reader
    raise DataError(
        f"{path.file} is of an unknown kind; give .npy, .npz, .h5, .zarr, GIfTI (.gii), MGH (.mgh, .mgz) or "
        "CIFTI (.nii)",
        path=path.file,
    )


def read_hdf5(path: ArrayPath) -> np.ndarray:
    """An array of an HDF5 file; the name may go through groups (``file.h5:group/data``)."""
    import h5py

    with h5py.File(path.file, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        dataset = file[choose_member(path, names)]
        if dataset.dtype.hasobject or dataset.shape is None:
            raise DataError(f"{path} holds {dataset.dtype}, no numbers; give a data set of numbers", path=path)
        check_plausible(path, dataset.nbytes, dataset.id.get_storage_size())
        if dataset.chunks:
            check_plausible(path, math.prod(dataset.chunks) * dataset.dtype.itemsize, path.file.stat().st_size)
        return np.asarray(dataset[()])


def read_zarr(path: ArrayPath) -> np.ndarray:
    """An array of a Zarr folder, version 2 or 3; the name may go through groups."""
    import zarr

    node: Any = zarr.open(path.file, mode="r")
    if isinstance(node, zarr.Group):
        names = [name for name, item in node.members(max_depth=None) if isinstance(item, zarr.Array)]
        node = node[choose_member(path, names)]
    elif path.member:
        raise DataError(f"{path.file} is one array and has no {path.member!r}; leave the name out", path=path.file)
    if node.dtype.hasobject:
        raise DataError(f"{path} holds {node.dtype}, no numbers; give an array of numbers", path=path)
    stored = _folder_size(path.file)
    for shape in (node.shape, node.chunks, node.shards or ()):
        check_plausible(path, math.prod(shape) * node.dtype.itemsize, stored)
    return np.asarray(node[...])


def _folder_size(folder: Path) -> int:
    return sum(os.path.getsize(os.path.join(top, name)) for top, _, names in os.walk(folder) for name in names)


def read_gifti(path: ArrayPath) -> np.ndarray:
    """The arrays of a GIfTI file: one as it is, several stacked, a row an image; of a mesh, its points."""
    import nibabel

    image = nibabel.load(path.file)
    of_intent = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET") or image.darrays
    arrays = [np.asarray(array.data) for array in of_intent]
    if not arrays:
        raise DataError(f"{path} holds no data array; export the values to GIfTI again", path=path)
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


def read_mgh(path: ArrayPath) -> np.ndarray:
    """A FreeSurfer ``.mgh`` or ``.mgz`` of surface values: (vertex,), or (frame, vertex) for several."""
    image = open_volume(path.file)
    if len(image.shape) < 3 or image.shape[1:3] != (1, 1):
        raise DataError(
            f"{path} has shape {image.shape}: a volume, no surface; expected (vertex, 1, 1, frame)", path=path
        )
    values = read_values(image, path.file)[:, 0, 0]
    return values if values.ndim == 1 else values.T


def read_cifti(path: ArrayPath) -> np.ndarray:
    """The matrix of a CIFTI-2 file, (row, grayordinate)."""
    import nibabel

    image = nibabel.load(path.file)
    if not isinstance(image, nibabel.Cifti2Image):
        raise DataError(
            f"{path} is a plain NIfTI volume, expected CIFTI; give responses as (image, voxel), "
            "e.g. .npy of the voxels inside a mask",
            path=path,
        )
    announced = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    size = path.file.stat().st_size
    if path.file.name.endswith(".nii") and announced > size:
        raise DataError(
            f"{path} is truncated: shape {image.shape} takes {announced:,} bytes, it has {size:,}; get it again",
            path=path,
        )
    check_plausible(path, announced, size)
    return np.asarray(image.dataobj)


def choose_member(path: ArrayPath, members: Sequence[str]) -> str:
    """The array asked for in a file that can hold several; the only one where none is asked for.

    Raises:
        DataError: if it is not there, or there are several to choose from.
    """
    if path.member in members:
        return path.member
    if not path.member and len(members) == 1:
        return members[0]
    names = ", ".join(sorted(members)[:8]) or "no array"
    fault = f"has no {path.member!r}" if path.member else f"is an archive of {len(members)} arrays"
    raise DataError(f"{path.file} {fault}; it holds {names}: name one as {path.file.name}:NAME", path=path.file)
