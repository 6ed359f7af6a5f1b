"""Files of many chunks (shards), as Zarr v3's sharding writes them: read and written in one go.

A shard is its chunks, each with a CRC-32C behind it, then a table of where each chunk lies, with a CRC-32C
of its own (Zarr v3 core, ``sharding_indexed`` and ``crc32c``). Zarr itself reads these files too; it takes
ten times as long for a few images out of many, which is what training asks for, and copies the numbers so often
when it writes that it is slower than the disk.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
from jaxtyping import Shaped

from factortopy.errors import DataError

SHARD_IMAGES = 64
"""Images in a shard of tokens."""
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
        with path.open("wb") as file:
            for position in np.ndindex(*_divided(values.shape, chunk)):
                box = tuple(slice(i * length, (i + 1) * length) for i, length in zip(position, chunk, strict=True))
                index[position] = file.tell(), _write_checked(file, values[box])
            _write_checked(file, index)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _divided(shape: tuple[int, ...], chunk: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length // part for length, part in zip(shape, chunk, strict=True))


def read_rows(
    array: Path, rows: Sequence[int] | np.ndarray, item: tuple[int, ...], dtype: str, chunk_images: int = 1
) -> np.ndarray:
    """Images of one array, each of shape ``item``, in the order given; repeats allowed."""
    wanted = np.asarray(rows, dtype=np.int64)
    values = np.empty((len(wanted), *item), dtype=dtype)
    order = np.argsort(wanted, kind="stable")
    shards = wanted[order] // SHARD_IMAGES
    for positions in np.split(order, np.flatnonzero(np.diff(shards)) + 1):
        shard = int(wanted[positions[0]]) // SHARD_IMAGES
        file = shard_path(array, shard, *[0] * len(item))
        _read_shard(file, (wanted[positions] % SHARD_IMAGES).tolist(), values, positions.tolist(), chunk_images)
    return values


def _read_shard(
    path: Path, rows: Sequence[int], out: Shaped[np.ndarray, "image ..."], positions: Sequence[int], chunk_images: int
) -> None:
    """Read images at ``rows`` of a shard into ``positions`` of ``out``, each checked by its checksum."""
    try:
        with path.open("rb", buffering=0) as file:
            index = _read_index(file, SHARD_IMAGES // chunk_images)
            chunk, number = np.empty(0, out.dtype), -1
            for row, position in zip(rows, positions, strict=True):
                if row // chunk_images != number:
                    number = row // chunk_images
                    shape = (chunk_images, *out.shape[1:])
                    chunk = _read_chunk(file, index[number], shape, out.dtype)
                out[position] = chunk[row % chunk_images]
    except OSError as error:
        raise DataError.of(path, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError.of(path, f"is not as it was written ({error})") from error


def shard_path(array: Path, *position: int) -> Path:
    """The file of a shard of an array, by Zarr's default key: ``c/<row>/<column>/...``."""
    return array.joinpath("c", *map(str, position))


def shard_bytes(images: int, image_bytes: int) -> int:
    """Bytes of the files in which so many images of so many bytes lie, checksums and tables included."""
    shards = -(-images // SHARD_IMAGES)
    table = SHARD_IMAGES * INDEX_ENTRY_BYTES + CHECKSUM_BYTES
    return images * (image_bytes + CHECKSUM_BYTES) + shards * table


def _read_index(file: BinaryIO, chunks: int) -> Shaped[np.ndarray, "chunk 2"]:
    length = chunks * INDEX_ENTRY_BYTES + CHECKSUM_BYTES
    size = file.seek(0, 2)
    if size < length:
        raise ValueError(f"it has {size} bytes")
    file.seek(size - length)
    return np.frombuffer(_checked(file.read(length)), "<u8").reshape(chunks, 2)


def _read_chunk(
    file: BinaryIO, entry: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> Shaped[np.ndarray, "image ..."]:
    start, length = (int(value) for value in entry)
    if start == EMPTY:
        return np.zeros(shape, dtype)
    file.seek(start)
    return np.frombuffer(_checked(file.read(length)), dtype).reshape(shape)


def _checked(data: bytes) -> bytes:
    """Data without the checksum behind it, which must fit."""
    content = data[:-CHECKSUM_BYTES]
    if google_crc32c.value(content) != int.from_bytes(data[-CHECKSUM_BYTES:], "little"):
        raise ValueError("a checksum differs")
    return content


def _write_checked(file: BinaryIO, values: np.ndarray) -> int:
    """Write values and their checksum; gives the number of bytes."""
    content = np.ascontiguousarray(values).view(np.uint8)
    file.write(content.data)
    return content.nbytes + file.write(int(google_crc32c.value(content)).to_bytes(CHECKSUM_BYTES, "little"))
