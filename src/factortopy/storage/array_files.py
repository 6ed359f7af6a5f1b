"""Arrays in files of any common format, read only where the file can hold what its header announces.

A damaged header may announce an array larger than memory, so sizes are compared before anything is read.
"""

import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from factortopy.errors import DataError, FactortopyError

SUFFIXES = (
    ".npy",
    ".npz",
    ".zarr",
    ".h5",
    ".hdf5",
    ".gii",
    ".gii.gz",
    ".mgh",
    ".mgz",
    ".nii",
    ".nii.gz",
)
"""Ends of the files that ``read_array`` knows; ``.nii`` is CIFTI."""
COMPRESSION = 1032
"""Deflate shrinks nothing more than so many times; other codecs do so only to constants."""
SMALL = 64 * 2**20
"""Bytes of memory that are always granted: what is left out of a file (fill values) takes no place in it."""

Path_ = str | os.PathLike[str]
Source = Path_ | np.ndarray | Sequence[Path_]


@dataclass(frozen=True)
class ArrayPath:
    """A file, and the array in it where it holds several (``file.h5:dataset``)."""

    file: Path
    member: str = ""

    @classmethod
    def parse(cls, path: Path_) -> "ArrayPath":
        """Tell the file from the name in it; a file that has a colon in its own name is taken as it is."""
        text = os.fspath(path)
        file, colon, member = text.rpartition(":")
        if colon and not os.path.exists(text) and file.lower().endswith(SUFFIXES):
            return cls(Path(file), member.strip("/"))
        return cls(Path(text))

    def __str__(self) -> str:
        return f"{self.file}:{self.member}" if self.member else str(self.file)

    def __fspath__(self) -> str:
        return str(self.file)


@contextmanager
def reading(path: Path_ | ArrayPath, remedy: str = "it is damaged or of another kind; get it again") -> Iterator[None]:
    """Turn whatever a parser says about a damaged file into one line that names the file.

    Args:
        path: what is being read.
        remedy: what to do about it.

    Raises:
        DataError: for any error inside that is not already one of ours.
    """
    try:
        yield
    except FactortopyError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; check the path, or get the file again", path=path) from error
    # Parsers raise anything on damaged bytes: struct.error, KeyError, RecursionError, zlib.error, ...
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"cannot read {path} ({reason}); {remedy}", path=path) from error


def check_plausible(path: Path_ | ArrayPath, announced: int, stored: int) -> None:
    """Refuse an array that its file cannot hold, before memory is taken for it.

    Args:
        path: the file.
        announced: bytes of the array by its header.
        stored: bytes of the file that hold it, maybe compressed.

    Raises:
        DataError: if even the best compression could not shrink the one to the other.
    """
    if announced < 0 or announced > max(SMALL, COMPRESSION * stored):
        raise DataError(
            f"{path} announces {announced:,} bytes of data but has {stored:,}; it is truncated or its "
            "header is damaged: get it again",
            path=path,
        )


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


def read_array(source: Source, *, axis: int = -1) -> np.ndarray:
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
    from factortopy.storage.array_formats import reader_of

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


def choose_member(path: ArrayPath, members: Sequence[str]) -> str:
    """The array asked for in a file that can hold several; the only one where none is asked for.

    Raises:
        DataError: if it is not there, or there are several to choose from.
    """
    if path.member in members:
        return path.member
    if not path.member and len(members) == 1:
        return members[0]
    held = ", ".join(sorted(members)[:8]) or "no array"
    fault = f"has no {path.member!r}" if path.member else f"is an archive of {len(members)} arrays"
    raise DataError(f"{path.file} {fault}; it holds {held}: name one as {path.file.name}:NAME", path=path.file)
