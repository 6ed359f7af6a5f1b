"""Arrays in files of any common format, read only where the file can hold what its header announces."""

import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from factortopy.errors import DataError
from factortopy.storage.files import SUFFIXES, ArrayPath, Path_, check_plausible, reading
from factortopy.storage.volumes import open_volume, read_values

ArraySource = Path_ | np.ndarray | Sequence[Path_]


@dataclass(frozen=True)
class NpyHeader:
    """What the head of a ``.npy`` file says.

    Attributes:
        shape, dtype: of the array.
        start: where its data begin, bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    start: int

    @property
    def size(self) -> int:
        """Bytes that the whole file must have."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def npy_header(path: Path_) -> NpyHeader:
    """The head of a ``.npy`` file, checked against the size of the file; no data are read.

    Raises:
        DataError: if the file is missing, no ``.npy``, holds objects, or its size is not the announced one.
    """
    with reading(path, "it is truncated or no plain .npy; save it again with numpy.save"):
        with open(path, "rb") as file:
            header = _npy_header(file, path)
        _check_size(path, header, os.path.getsize(path))
    return header


def _npy_header(file: IO[bytes], path: Path_ | ArrayPath) -> NpyHeader:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError.of(path, f"is a .npy of version {version}; expected 1.0 or 2.0: save it with numpy.save")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or dtype.itemsize == 0 or any(length < 0 for length in shape):
        fault = f"holds {dtype} of shape {shape}, no plain numbers; objects (pickles) are never read"
        raise DataError.of(path, f"{fault}: save an array of numbers")
    return NpyHeader(shape, dtype, file.tell())


def _check_size(path: Path_ | ArrayPath, header: NpyHeader, size: int) -> None:
    if size != header.size:
        fault = "truncated" if size < header.size else "damaged"
        takes = f"{header.dtype} of shape {header.shape} takes {header.size:,} bytes, it has {size:,}"
        raise DataError.of(path, f"is {fault}: {takes}; get it again or save it again with numpy.save")


def read_array(source: ArraySource, *, axis: int = -1) -> np.ndarray:
    """An array as it is, or read from a file; several files are joined.

    Known files: ``.npy``; ``.npz``, HDF5 and Zarr, where ``file.h5:name`` picks one of several arrays; GIfTI
    and MGH/MGZ, one row an image; CIFTI. Objects (pickles) are refused.

    Args:
        source: an array, a path, or several paths, e.g. of the left and the right hemisphere.
        axis: along which several are joined.

    Raises:
        DataError: if a file is missing, truncated, damaged, of an unknown kind or holds no plain array.
    """
    if isinstance(source, np.ndarray):
        return source
    if not isinstance(source, str | os.PathLike):
        parts = [read_array(part) for part in source]
        with reading(" + ".join(map(str, source)), f"give files that differ along axis {axis} only"):
            return np.concatenate(parts, axis=axis)
    path = ArrayPath.parse(source)
    if not path.file.exists():
        raise DataError.of(path.file, f"is missing; give the path of an array ({', '.join(SUFFIXES)})")
    readers = {
        (".npy",): _read_npy,
        (".npz",): _read_npz,
        (".h5", ".hdf5"): _read_hdf5,
        (".zarr",): _read_zarr,
        (".gii", ".gii.gz"): _read_gifti,
        (".mgh", ".mgz"): _read_mgh,
        (".nii", ".nii.gz"): _read_cifti,
    }
    read = next((reader for ends, reader in readers.items() if path.file.name.lower().endswith(ends)), None)
    if read is None:
        known = ".npy, .npz, .h5, .zarr, GIfTI (.gii), MGH (.mgh, .mgz) or CIFTI (.nii)"
        raise DataError.of(path.file, f"is of an unknown kind; give {known}")
    with reading(path):
        return read(path)


def _read_npy(path: ArrayPath) -> np.ndarray:
    npy_header(path.file)
    with reading(path.file, "it is truncated or no plain .npy; save it again with numpy.save"):
        return np.load(path.file, allow_pickle=False)


def _read_npz(path: ArrayPath) -> np.ndarray:
    with zipfile.ZipFile(path.file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = members[_choose_member(path, list(members))]
        check_plausible(path, info.file_size, info.compress_size)
        with archive.open(info) as file:
            _check_size(path, _npy_header(file, path), info.file_size)
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _read_hdf5(path: ArrayPath) -> np.ndarray:
    """An array of an HDF5 file; the name may go through groups (``file.h5:group/data``)."""
    import h5py

    with h5py.File(path.file, "r") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        dataset = file[_choose_member(path, names)]
        if dataset.dtype.hasobject or dataset.shape is None:
            raise DataError.of(path, f"holds {dataset.dtype}, no numbers; give a data set of numbers")
        check_plausible(path, dataset.nbytes, dataset.id.get_storage_size())
        if dataset.chunks:
            check_plausible(path, math.prod(dataset.chunks) * dataset.dtype.itemsize, path.file.stat().st_size)
        return np.asarray(dataset[()])


def _read_zarr(path: ArrayPath) -> np.ndarray:
    """An array of a Zarr folder, version 2 or 3; the name may go through groups."""
    import zarr

    node: Any = zarr.open(path.file, mode="r")
    if isinstance(node, zarr.Group):
        names = [name for name, item in node.members(max_depth=None) if isinstance(item, zarr.Array)]
        node = node[_choose_member(path, names)]
    elif path.member:
        raise DataError.of(path.file, f"is one array and has no {path.member!r}; leave the name out")
    if node.dtype.hasobject:
        raise DataError.of(path, f"holds {node.dtype}, no numbers; give an array of numbers")
    stored = sum(file.stat().st_size for file in path.file.rglob("*") if file.is_file())
    for shape in (node.shape, node.chunks, node.shards or ()):
        check_plausible(path, math.prod(shape) * node.dtype.itemsize, stored)
    return np.asarray(node[...])


def _read_gifti(path: ArrayPath) -> np.ndarray:
    """The arrays of a GIfTI file, a row an image: several stacked, one transposed; of a mesh, its points as they are.

    One array of values is (vertex, image), as nilearn writes it.
    """
    import nibabel

    image = nibabel.load(path.file)
    of_intent = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET") or image.darrays
    arrays = [np.asarray(array.data) for array in of_intent]
    if not arrays:
        raise DataError.of(path, "holds no data array; export the values to GIfTI again")
    if len(arrays) > 1:
        return np.stack(arrays)
    kept = nibabel.nifti1.intent_codes.niistring[of_intent[0].intent].endswith(("POINTSET", "TRIANGLE", "VECTOR"))
    return arrays[0] if kept else arrays[0].T


def _read_mgh(path: ArrayPath) -> np.ndarray:
    """A FreeSurfer ``.mgh`` or ``.mgz`` of surface values: (vertex,), or (frame, vertex) for several."""
    image = open_volume(path.file)
    if len(image.shape) < 3 or image.shape[1:3] != (1, 1):
        raise DataError.of(path, f"has shape {image.shape}: a volume, no surface; expected (vertex, 1, 1, frame)")
    values = read_values(image, path.file)[:, 0, 0]
    return values if values.ndim == 1 else values.T


def _read_cifti(path: ArrayPath) -> np.ndarray:
    """The matrix of a CIFTI-2 file, (row, grayordinate)."""
    import nibabel

    image = nibabel.load(path.file)
    if not isinstance(image, nibabel.Cifti2Image):
        fault = "is a plain NIfTI volume, expected CIFTI; give responses as (image, voxel)"
        raise DataError.of(path, f"{fault}, e.g. .npy of the voxels inside a mask")
    announced = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    size = path.file.stat().st_size
    if path.file.name.endswith(".nii") and announced > size:
        fault = f"is truncated: shape {image.shape} takes {announced:,} bytes, it has {size:,}; get it again"
        raise DataError.of(path, fault)
    check_plausible(path, announced, size)
    return np.asarray(image.dataobj)


def _choose_member(path: ArrayPath, members: Sequence[str]) -> str:
    """The array asked for in a file that can hold several; the only one where none is asked for."""
    if path.member in members:
        return path.member
    if not path.member and len(members) == 1:
        return members[0]
    names = ", ".join(sorted(members)[:8]) or "no array"
    fault = f"has no {path.member!r}" if path.member else f"is an archive of {len(members)} arrays"
    raise DataError.of(path.file, f"{fault}; it holds {names}: name one as {path.file.name}:NAME")
