"""One writer at a time: a lock of the operating system, which falls when its process dies."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from factortopy.errors import DataError


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the right to write a store; the lock is a hidden file beside its folder.

    Raises:
        DataError: if another process holds it, or no file can be written there.
    """
    file = path.absolute().with_name(f".{path.name}.lock")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=0)
        lock.acquire()
    except Timeout:
        raise DataError(
            f"token store {path} is being written by another process; wait until it ends or choose another folder",
            path=path,
        ) from None
    except OSError as error:
        raise DataError(
            f"cannot write token store {path}: {error.strerror or error}; choose another folder", path=path
        ) from error
    try:
        yield
    finally:
        # Windows keeps a file that is open; there the file is removed with the lock.
        with suppress(OSError):
            file.unlink()
        lock.release()
