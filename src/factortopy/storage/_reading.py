"""What every reader of a file needs: its errors in one line, and no memory for what a damaged header announces."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
