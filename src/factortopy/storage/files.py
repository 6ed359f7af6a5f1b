"""Writing that leaves either the whole result or nothing, and hashes of what was read."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from factortopy.errors import DataError

if TYPE_CHECKING:
    import pandas


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, sign: str | None = None) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` (file or folder) to write to; move it into place on success.

    On any error, Ctrl-C included, the sibling is removed and what stood at ``path`` is untouched. A file
    replaces a file and a folder a folder, never one the other.

    Args:
        path: what to write.
        sign: a name that marks a folder of the same kind: only an empty folder, or one that holds it, is
            replaced, so that no other work is lost.

    Raises:
        DataError: if the parent cannot be written, the disk is full, or ``path`` holds something else.
    """
    path = Path(path)
    if sign and path.is_dir() and any(path.iterdir()) and not (path / sign).exists():
        raise DataError(f"{path} holds something else (no {sign} in it); choose another folder", path=path)
    sibling = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield sibling
        _replace(sibling, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}", path=path) from error
    finally:
        remove(sibling)


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


def write_table(path: str | os.PathLike[str], table: "pandas.DataFrame") -> Path:
    """Write a table as CSV, atomically, empty what is missing; returns its path.

    Raises:
        DataError: if it cannot be written.
    """
    return write_text(path, csv_of(table))


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a UTF-8 text file atomically; returns its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def check_writable(folder: str | os.PathLike[str]) -> Path:
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
        raise DataError(
            f"cannot write to {folder}: {error.strerror or error}; choose another folder", path=folder
        ) from error
    return folder


def standing_folder(path: str | os.PathLike[str]) -> Path:
    """The path itself if it is there, else the nearest of its parents that is."""
    path = Path(path).absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_array(*arrays: np.ndarray) -> str:
    """SHA-256 over dtype, shape and bytes of arrays, as 64 hex digits."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def sha256_text(*texts: str) -> str:
    """SHA-256 over strings in order, as 64 hex digits; ("ab", "c") and ("a", "bc") differ."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
