"""Files: read with errors in one line, written whole or not at all, and hashes of what was read."""

import hashlib
import os
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from factortopy.errors import DataError, FactortopyError

SUFFIXES = (".npy", ".npz", ".zarr", ".h5", ".hdf5", ".gii", ".gii.gz", ".mgh", ".mgz", ".nii", ".nii.gz")
"""Ends of the files that ``read_array`` knows; ``.nii`` is CIFTI."""
COMPRESSION = 1032
"""Deflate shrinks nothing more than so many times; other codecs do so only to constants."""
DIGESTED = 64 * 2**20
"""Bytes of an array that are digested together."""
SMALL = 64 * 2**20
"""Bytes of memory that are always granted: what is left out of a file (fill values) takes no place in it."""

Path_ = str | os.PathLike[str]
Key = TypeVar("Key")
Value = TypeVar("Value")


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

    def choose(self, members: Sequence[str]) -> str:
        """The array asked for in a file that can hold several; the only one where none is asked for.

        Raises:
            DataError: if there is no such array, or several and none is asked for.
        """
        if self.member in members:
            return self.member
        if not self.member and len(members) == 1:
            return members[0]
        names = ", ".join(sorted(members)[:8]) or "no array"
        fault = f"has no {self.member!r}" if self.member else f"is an archive of {len(members)} arrays"
        raise DataError.of(self.file, f"{fault}; it holds {names}: name one as {self.file.name}:NAME")

    def __str__(self) -> str:
        return f"{self.file}:{self.member}" if self.member else str(self.file)

    def __fspath__(self) -> str:
        return str(self.file)


if TYPE_CHECKING:
    import pandas


@contextmanager
def reading(path: Path_ | ArrayPath, remedy: str = "it is damaged or of another kind; get it again") -> Iterator[None]:
    """Turn whatever a parser says about a damaged file into one line that names the file and the remedy.

    Raises:
        DataError: for any error inside that is not already one of ours.
    """
    try:
        yield
    except FactortopyError:
        raise
    except FileNotFoundError as error:
        raise DataError.of(path, "is missing; check the path, or get the file again") from error
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
        fault = f"announces {announced:,} bytes of data but has {stored:,}; it is truncated or its header is damaged"
        raise DataError.of(path, f"{fault}: get it again")


@contextmanager
def atomic_path(path: Path_, *, sign: str | None = None) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` (file or folder) to write to; move it into place on success.

    On any error, Ctrl-C included, the sibling is removed and what stood at ``path`` is untouched. A file
    replaces a file and a folder a folder, never one the other. A link stays: what it leads to is replaced.

    Args:
        path: what to write.
        sign: a name that marks a folder of the same kind: only an empty folder, or one that holds it, is
            replaced, so that no other work is lost.

    Raises:
        DataError: if the parent cannot be written, the disk is full, or ``path`` holds something else.
    """
    path = Path(path)
    if sign and path.is_dir() and any(path.iterdir()) and not (path / sign).exists():
        raise DataError.of(path, f"holds something else (no {sign} in it); choose another folder")
    target = replaceable(path)
    sibling = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield sibling
        _replace(sibling, target)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}", path=path) from error
    finally:
        remove(sibling)


def replaceable(path: Path_) -> Path:
    """Where a path leads, links followed, if what stands there can be moved aside for a new whole.

    Raises:
        DataError: if it is the current folder, given without a name, or a mount point.
    """
    path, target = Path(path), Path(os.path.realpath(path))
    if not path.name or target.is_mount():
        fault = "a mount point or the current folder cannot be replaced as a whole; give a folder in it"
        raise DataError(f"cannot write {path}: {fault}", path=path)
    return target


def _replace(source: Path, target: Path) -> None:
    if target.exists() and target.is_dir() != source.is_dir():
        kind = "folder" if target.is_dir() else "file"
        raise DataError(f"{target} is a {kind} already; choose another name")
    if not target.is_dir():
        os.replace(source, target)
        return
    # A folder that is not empty cannot be replaced in one step: the old one is moved aside first.
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    os.replace(target, aside)
    try:
        os.replace(source, target)
    except OSError:
        os.replace(aside, target)
        raise
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif path.exists() or path.is_symlink():
        path.unlink()


def csv_of(table: "pandas.DataFrame") -> str:
    """A table as CSV, empty what is missing."""
    return str(table.to_csv(index=False, lineterminator="\n"))


def write_table(path: Path_, table: "pandas.DataFrame") -> Path:
    """Write a table as CSV, atomically, empty what is missing; returns its path.

    Raises:
        DataError: if it cannot be written.
    """
    return write_text(path, csv_of(table))


def read_text(path: Path_) -> str:
    """The text of a UTF-8 file, without the byte order mark that some editors put before it."""
    return Path(path).read_text(encoding="utf-8-sig")


def write_text(path: Path_, text: str) -> Path:
    """Write a UTF-8 text file atomically; returns its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def check_writable(folder: Path_) -> Path:
    """Prove that files can be written to a folder, before long work starts; it is not made yet.

    Raises:
        DataError: if they cannot.
    """
    folder = Path(folder)
    probe = standing_folder(folder) / f".write-test-{uuid.uuid4().hex[:8]}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        fault = f"cannot write to {folder}: {error.strerror or error}; choose another folder"
        raise DataError(fault, path=folder) from error
    return folder


def standing_folder(path: Path_) -> Path:
    """Where the path leads, links followed, if that is there, else the nearest of its parents that is."""
    path = Path(os.path.realpath(path))
    return next(folder for folder in (path, *path.parents) if folder.exists())


def sha256_file(path: Path_) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_array(*arrays: np.ndarray) -> str:
    """SHA-256 over dtype, shape and bytes of arrays, as 64 hex digits.

    Of an array of more than 64 MiB, digests of so many bytes each stand for the bytes: they are computed side by side.
    """
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if content.size <= DIGESTED:
            digest.update(content.data)
            continue
        parts = (content[start : start + DIGESTED].data for start in range(0, content.size, DIGESTED))
        with ThreadPoolExecutor() as pool:
            for part in pool.map(lambda part: hashlib.sha256(part).digest(), parts):
                digest.update(part)
    return digest.hexdigest()


def sha256_text(*texts: str) -> str:
    """SHA-256 over strings in order, as 64 hex digits; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def read_ahead(read: Callable[[Key], Value], keys: Iterable[Key], ahead: int, workers: int = 1) -> Iterator[Value]:
    """What ``read`` gives for every key, in their order; so many of the next ones are read meanwhile."""
    coming = iter(keys)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(read, key) for key in islice(coming, ahead))
        try:
            while waiting:
                value = waiting.popleft().result()
                waiting.extend(pool.submit(read, key) for key in islice(coming, 1))
                yield value
        finally:
            for future in waiting:
                future.cancel()
