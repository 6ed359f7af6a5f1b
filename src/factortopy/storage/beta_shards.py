"""Files of chunks (shards) as Zarr's sharding codec lays them out, written straight from an array.

The Zarr library writes such files, too, but copies the numbers so often on the way that it is slower than
the disk. Layout, little-endian (Zarr v3 specification, ``sharding_indexed``): the chunks, here in C order,
each followed by its CRC-32C; then for each chunk where it starts and how many bytes it has (uint64); then the
CRC-32C of these.
"""

from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np
from jaxtyping import Shaped

from factortopy.storage.files import atomic_path


def write_beta_shard(path: Path, values: Shaped[np.ndarray, "trial column"], chunk: tuple[int, int]) -> None:
    """Write one whole shard, or nothing.

    Args:
        path: the file, e.g. ``betas/left/c/0/0``.
        values: of the whole shard.
        chunk: trials and columns of a chunk; they divide those of the shard.

    Raises:
        DataError: if the disk is full or the file cannot be written.
    """
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    places = []
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for row in range(0, values.shape[0], chunk[0]):
            for column in range(0, values.shape[1], chunk[1]):
                part = np.ascontiguousarray(little[row : row + chunk[0], column : column + chunk[1]])
                start = file.tell()
                _write_with_checksum(file, part)
                places.append((start, file.tell() - start))
        _write_with_checksum(file, np.array(places, dtype="<u8"))


def _write_with_checksum(file: BinaryIO, values: np.ndarray) -> None:
    file.write(values.data)
    file.write(np.array(google_crc32c.value(values.view(np.uint8)), dtype="<u4").tobytes())
