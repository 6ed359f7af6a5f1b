"""Files of many chunks (shards), as Zarr v3's sharding writes them: read and written in one go.

A shard is its chunks, each with a CRC-32C behind it, then a table of where each chunk lies, with a CRC-32C
of its own (Zarr v3 core, ``sharding_indexed`` and ``crc32c``). Zarr itself reads these files too; it takes
ten times as long for a few images out of many, which is what training asks for, and copies the numbers so often
when it writes that it is slower than the disk.
"""

import errno
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from itertools import pairwise
from pathlib import Path

import google_crc32c
import numpy as np
from jaxtyping import Int, Shaped, UInt8

from factortopy.errors import DataError

SHARD_IMAGES = 64
"""Images in a shard of tokens."""
PARTS_AT_ONCE = 512
"""That are written in one call; systems take 1,024."""
CHECKSUM_BYTES = 4
INDEX_ENTRY_BYTES = 16
"""Of a chunk in the table: where it begins and how long it is."""
EMPTY = np.iinfo(np.uint64).max
"""Stands for where a chunk begins if it is left out, as all its values are zero."""


def write_shard(
    path: Path, values: Shaped[np.ndarray, "row ..."], chunk: tuple[int, ...], shard: tuple[int, ...]
) -> None:
    """Write a shard (at ``shard_path``), or the beginning of one; the shape of a chunk divides that of the values."""
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    index = np.full((*_divided(shard, chunk), 2), EMPTY, dtype="<u8")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        parts: list[memoryview] = []
        for number, position in enumerate(np.ndindex(*_divided(values.shape, chunk))):
            box = tuple(slice(i * length, (i + 1) * length) for i, length in zip(position, chunk, strict=True))
            parts += _checked(values[box])
            size = sum(map(len, parts[-2:]))
            index[position] = number * size, size
        with path.open("wb", buffering=0) as file:
            parts += _checked(index)
            for start in range(0, len(parts), PARTS_AT_ONCE):
                _write_all(file, parts[start : start + PARTS_AT_ONCE])
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _divided(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length // part for length, part in zip(shape, chunk, strict=True))


@dataclass(frozen=True)
class RowArray:
    """An array of images on disk, one chunk an image.

    Attributes:
        path: folder of the array.
        item: shape of an image.
        dtype: of the numbers, such as ``"<f2"``.
    """

    path: Path
    item: tuple[int, ...]
    dtype: str

    def shard(self, number: int) -> Path:
        """The file of a shard."""
        return shard_path(self.path, number, *[0] * len(self.item))


def read_rows(
    arrays: Sequence[RowArray],
    rows: Sequence[int] | np.ndarray,
    threads: int = 1,
    empty: Callable[[tuple[int, ...], str], np.ndarray] = np.empty,
) -> list[np.ndarray]:
    """The same images of several arrays, in the order given; repeats allowed.

    Images that lie side by side are read, and checked, in one call.

    Args:
        arrays: which are read.
        rows: of the images, from 0.
        threads: files that are read at a time.
        empty: gives memory of a shape and type, for one array after the other, which is what is returned.

    Raises:
        DataError: names a file that cannot be read, or is not as it was written.
    """
    wanted = np.asarray(rows, dtype=np.int64)
    distinct, places, which = np.unique(wanted, return_index=True, return_inverse=True)
    read = [empty((len(wanted), *array.item), array.dtype) for array in arrays]
    cuts = np.flatnonzero(np.diff(distinct // SHARD_IMAGES)) + 1
    parts = list(zip(np.split(distinct, cuts), np.split(places, cuts), strict=True))
    files = [
        (array.shard(int(some[0]) // SHARD_IMAGES), some % SHARD_IMAGES, values, where)
        for array, values in zip(arrays, read, strict=True)
        for some, where in parts
    ]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_read_shard, *zip(*files, strict=True)))
    again = np.flatnonzero(places[which] != np.arange(len(wanted)))
    for values in read if len(again) else ():
        values[again] = values[places[which[again]]]
    return read


def row_numbers(rows: Sequence[int] | np.ndarray | None, count: int, path: Path | None) -> Int[np.ndarray, "some"]:
    """Numbers of some of ``count`` images: as given, where a mask over all is true, or all if None.

    Args:
        rows: numbers from 0, or a mask.
        count: of all images.
        path: of the store that has them, for the error message; None if they are in memory.

    Raises:
        DataError: if there is none, or one is no whole number or out of range.
    """
    numbers = np.arange(count) if rows is None else np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (count,):
        numbers = np.flatnonzero(numbers)
    whole = numbers.ndim == 1 and numbers.size > 0 and numbers.dtype.kind in "iu"
    if not whole or numbers.min() < 0 or numbers.max() >= count:
        fault = f"image indices must be one or more of 0 to {count - 1}{f', as {path} has' if path else ''}"
        raise DataError(fault, path=path)
    return numbers


def _read_shard(
    path: Path, rows: Int[np.ndarray, "some"], out: Shaped[np.ndarray, "image ..."], places: Int[np.ndarray, "some"]
) -> None:
    """Read images at increasing ``rows`` of a shard into ``places`` of ``out``, each checked by its checksum."""
    images = out.reshape(len(out), -1).view(np.uint8)
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            start, length = _read_index(file)[rows].T
            if (length != images.shape[1] + CHECKSUM_BYTES).any():
                raise ValueError("the size of an image differs")
            cuts = [0, *(np.flatnonzero(np.diff(start) != length[:-1]) + 1).tolist(), len(rows)]
            for first, last in pairwise(cuts):
                where = places[first:last]
                images[where] = _read_run(file, int(start[first]), last - first, images.shape[1])
        finally:
            os.close(file)
    except OSError as error:
        raise DataError.of(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:
        raise DataError.of(path, f"is not as it was written ({error})") from error


def _read_run(file: int, start: int, count: int, size: int) -> UInt8[np.ndarray, "image byte"]:
    """Images that lie side by side, each of so many bytes with its checksum behind it, from where they start.

    One checksum is taken of all of them, with theirs, as Python's threads would wait for each other at each image: of
    whole images it hangs on their number and size alone.
    """
    content = np.empty((count, size + CHECKSUM_BYTES), np.uint8)
    if os.preadv(file, [content.data], start) != content.nbytes:
        raise ValueError("it ends early")
    if google_crc32c.value(content) != _sum_of_whole(count, size):
        raise ValueError("a checksum differs")
    return content[:, :size]


@lru_cache(maxsize=4 * SHARD_IMAGES)
def _sum_of_whole(count: int, size: int) -> int:
    """CRC-32C of so many images, each with its own behind it: the same as that of black ones.

    Behind content and its own checksum the state of a CRC is always the same (its residue), and a state moves on over
    so many bytes by a linear map, so that neither hangs on the content.
    """
    black = bytes(size)
    return int(google_crc32c.value((black + google_crc32c.value(black).to_bytes(CHECKSUM_BYTES, "little")) * count))


def shard_path(array: Path, *position: int) -> Path:
    """The file of a shard of an array, by Zarr's default key: ``c/<row>/<column>/...``."""
    return array.joinpath("c", *map(str, position))


def shard_bytes(images: int, image_bytes: int) -> int:
    """Bytes of the files in which so many images of so many bytes lie, checksums and tables included."""
    shards = -(-images // SHARD_IMAGES)
    table = SHARD_IMAGES * INDEX_ENTRY_BYTES + CHECKSUM_BYTES
    return images * (image_bytes + CHECKSUM_BYTES) + shards * table


def _read_index(file: int) -> Shaped[np.ndarray, "image 2"]:
    """Where each image of a shard begins, and its bytes with the checksum."""
    length = SHARD_IMAGES * INDEX_ENTRY_BYTES + CHECKSUM_BYTES
    size = os.fstat(file).st_size
    if size < length:
        raise ValueError(f"it has {size} bytes")
    table = os.pread(file, length, size - length)
    if google_crc32c.value(table[:-CHECKSUM_BYTES]) != int.from_bytes(table[-CHECKSUM_BYTES:], "little"):
        raise ValueError("a checksum differs")
    return np.frombuffer(table[:-CHECKSUM_BYTES], "<u8").reshape(SHARD_IMAGES, 2)


def _checked(values: np.ndarray) -> list[memoryview]:
    """Bytes of values and their checksum."""
    content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return [content.data, memoryview(int(google_crc32c.value(content)).to_bytes(CHECKSUM_BYTES, "little"))]


def _write_all(file: FileIO, parts: list[memoryview]) -> None:
    """Write parts one after the other, in one call: other threads need not wait for each."""
    if os.writev(file.fileno(), parts) < sum(map(len, parts)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
