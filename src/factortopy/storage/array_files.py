"""Arrays in files of any common format, read only where the file can hold what its header announces."""

import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from factortopy.errors import DataError
from factortopy.storage._reading import SUFFIXES, ArrayPath, Path_, check_plausible, reading
from factortopy.storage.array_formats import choose_member, reader_of

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
        raise DataError(
            f"{path} is a .npy of version {version}; expected 1.0 or 2.0: save it with numpy.save", path=path
        )
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject or dtype.itemsize == 0 or any(length < 0 for length in shape):
        raise DataError(
            f"{path} holds {dtype} of shape {shape}, no plain numbers; objects (pickles) are never read: "
            "save an array of numbers",
            path=path,
        )
    return NpyHeader(shape, dtype, file.tell())


def _check_size(path: Path_ | ArrayPath, header: NpyHeader, size: int) -> None:
    if size != header.size:
        fault = "truncated" if size < header.size else "damaged"
        raise DataError(
            f"{path} is {fault}: {header.dtype} of shape {header.shape} takes {header.size:,} bytes, it has "
            f"{size:,}; get it again or save it again with numpy.save",
            path=path,
        )


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
        return _joined([read_array(part) for part in source], source, axis)
    path = ArrayPath.parse(source)
    name = path.file.name.lower()
    if not path.file.exists():
        raise DataError(f"{path.file} is missing; give the path of an array ({', '.join(SUFFIXES)})", path=path.file)
    if name.endswith(".npy"):
        return _read_npy(path.file)
    if name.endswith(".npz"):
        with reading(path):
            return _read_npz(path)
    read = reader_of(path)
    with reading(path):
        return read(path)


def _joined(parts: list[np.ndarray], sources: Sequence[Path_], axis: int) -> np.ndarray:
    with reading(" + ".join(map(str, sources)), f"give files that differ along axis {axis} only"):
        return np.concatenate(parts, axis=axis)


def _read_npy(path: Path) -> np.ndarray:
    npy_header(path)
    with reading(path, "it is truncated or no plain .npy; save it again with numpy.save"):
        return np.load(path, allow_pickle=False)


def _read_npz(path: ArrayPath) -> np.ndarray:
    with zipfile.ZipFile(path.file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        info = members[choose_member(path, list(members))]
        check_plausible(path, info.file_size, info.compress_size)
        with archive.open(info) as file:
            _check_size(path, _npy_header(file, path), info.file_size)
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
