"""Arrays in files of any common format, read only where the file can hold what its header announces."""

import math
import os
import zipfile
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np

from factortopy.errors import DataError
from factortopy.storage.chunked import check_chunks_found, check_dataset, check_meaning, check_zarr, hdf5_dataset
from factortopy.storage.files import SUFFIXES, ArrayPath, Path_, check_plausible, reading
from factortopy.storage.values import as_array
from factortopy.storage.volumes import open_cifti, open_gifti, open_volume, read_out, read_values

NO_INTENT = 0
"""NIfTI's code of an array that does not say what it holds."""
ArraySource: TypeAlias = Any
"""A path, several paths or arrays that are joined, or what ``as_array`` makes an array of."""


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


def paths_of(source: ArraySource) -> list[Path_]:
    """The files that an array is to be read from; none of an array in memory."""
    if isinstance(source, str | os.PathLike):
        return [source]
    several = isinstance(source, list | tuple) and all(isinstance(part, str | os.PathLike) for part in source)
    return list(source) if several else []


def parts_of(source: ArraySource) -> list[ArraySource]:
    """The paths or arrays that are joined to one array; what is one array, such as a list of numbers, alone."""
    if isinstance(source, list | tuple) and source:
        parts = (
            isinstance(part, str | os.PathLike) or (hasattr(part, "__array__") and np.ndim(part)) for part in source
        )
        return list(source) if all(parts) else [source]
    return [source]


def read_array(source: ArraySource, *, axis: int = -1, what: str = "the array") -> np.ndarray:
    """An array in memory, or read from a file; several are joined.

    Known files: ``.npy``; ``.npz``, HDF5 and Zarr, where ``file.h5:name`` picks one of several arrays; GIfTI
    and MGH/MGZ, one row an image; CIFTI. Objects (pickles) are refused, and so are arrays of which parts were never
    stored.

    Args:
        source: an array or what is like one (``as_array``), a path, or several of them, e.g. of the left and the
            right hemisphere.
        axis: along which several are joined.
        what: what messages call an array in memory.

    Raises:
        DataError: if a file is missing, truncated, damaged, of an unknown kind or holds no plain array, or values
            are masked.
    """
    parts = parts_of(source)
    if len(parts) > 1:
        arrays = [read_array(part, what=what) for part in parts]
        with reading(" + ".join(map(str, paths_of(source))) or what, f"give parts that differ along axis {axis} only"):
            return np.concatenate(arrays, axis=axis)
    source = parts[0]
    if not isinstance(source, str | os.PathLike):
        return as_array(source, what)
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
        info = members[path.choose(list(members))]
        check_plausible(path, info.file_size, info.compress_size)
        with archive.open(info) as file:
            _check_size(path, _npy_header(file, path), info.file_size)
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _read_hdf5(path: ArrayPath) -> np.ndarray:
    """An array of an HDF5 file; the name may go through groups (``file.h5:group/data``)."""
    import h5py

    with h5py.File(path.file, "r") as file:
        dataset = hdf5_dataset(file, path)
        check_dataset(dataset, path)
        values = np.asarray(dataset[()])
        check_chunks_found(dataset, values, path)
        return check_meaning(values, dataset.attrs, path)


def _read_zarr(path: ArrayPath) -> np.ndarray:
    """An array of a Zarr folder, version 2 or 3; the name may go through groups."""
    import zarr

    node: Any = zarr.open(path.file, mode="r")
    if isinstance(node, zarr.Group):
        names = [name for name, item in node.members(max_depth=None) if isinstance(item, zarr.Array)]
        node = node[path.choose(names)]
    elif path.member:
        raise DataError.of(path.file, f"is one array and has no {path.member!r}; leave the name out")
    if node.dtype.hasobject:
        raise DataError.of(path, f"holds {node.dtype}, no numbers; give an array of numbers")
    stored = sum(file.stat().st_size for file in path.file.rglob("*") if file.is_file())
    for shape in (node.shape, node.chunks, node.shards or ()):
        check_plausible(path, math.prod(shape) * node.dtype.itemsize, stored)
    check_zarr(node, path)
    return check_meaning(np.asarray(node[...]), node.attrs, path)


def _read_gifti(path: ArrayPath) -> np.ndarray:
    """The arrays of a GIfTI file, a row an image: several are stacked; of a mesh, its points.

    One array is as it is, (image, vertex); one that says nothing of what it holds is nilearn's, (vertex, image).
    """
    image = open_gifti(path.file)
    of_intent = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET") or image.darrays
    arrays = [np.asarray(array.data) for array in of_intent]
    if not arrays:
        raise DataError.of(path, "holds no data array; export the values to GIfTI again")
    if len(arrays) > 1:
        return np.stack(arrays)
    return arrays[0].T if of_intent[0].intent == NO_INTENT else arrays[0]


def _read_mgh(path: ArrayPath) -> np.ndarray:
    """A FreeSurfer ``.mgh`` or ``.mgz`` of surface values: (vertex,), or (frame, vertex) for several."""
    image = open_volume(path.file)
    if len(image.shape) < 3 or image.shape[1:3] != (1, 1):
        raise DataError.of(path, f"has shape {image.shape}: a volume, no surface; expected (vertex, 1, 1, frame)")
    values = read_values(image, path.file)[:, 0, 0]
    return values if values.ndim == 1 else values.T


def _read_cifti(path: ArrayPath) -> np.ndarray:
    """The matrix of a CIFTI-2 file, (row, grayordinate)."""
    image = open_cifti(path.file)
    announced = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
    size = path.file.stat().st_size
    if path.file.name.lower().endswith(".nii") and announced > size:
        fault = f"is truncated: shape {image.shape} takes {announced:,} bytes, it has {size:,}; get it again"
        raise DataError.of(path, fault)
    check_plausible(path, announced, size)
    values = np.asarray(image.dataobj)
    read_out(image)
    return values
