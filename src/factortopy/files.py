"""Writing that leaves either the whole result or nothing, and hashes of what was read."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from factortopy.errors import DataError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary sibling of ``path`` (file or folder) to write to; move it into place on success.

    On any error, Ctrl-C included, the sibling is removed and what stood at ``path`` is untouched. A file
    replaces a file and a folder a folder, never one the other.

    Raises:
        DataError: if the parent cannot be written, the disk is full, or ``path`` is of the other kind.
    """
    path = Path(path)
    sibling = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield sibling
        _replace(sibling, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error
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


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a UTF-8 text file atomically; returns its path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def check_writable(folder: str | os.PathLike[str]) -> Path:
    """Make ``folder`` if needed and prove that a file can be written there, before long work starts.

    Raises:
        DataError: if it cannot.
    """
    folder = Path(folder)
    with atomic_path(folder / ".write-test") as temporary:
        temporary.touch()
    (folder / ".write-test").unlink()
    return folder


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
