"""Files: whole or not at all; arrays in any common format; shards, checkpoints, locks."""

from factortopy.storage.arrays import ArraySource, NpyHeader, npy_header, read_array
from factortopy.storage.checkpoint import Checkpoint, Part, load_optimiser, named, of_kind, optimiser_tensors
from factortopy.storage.files import (
    SMALL,
    SUFFIXES,
    ArrayPath,
    atomic_path,
    check_plausible,
    check_writable,
    csv_of,
    reading,
    remove,
    sha256_array,
    sha256_file,
    sha256_text,
    standing_folder,
    write_table,
    write_text,
)
from factortopy.storage.sharded import ShardedStore
from factortopy.storage.shards import SHARD_IMAGES, read_rows, shard_bytes, shard_path, write_shard
from factortopy.storage.volumes import VOLUME_ENDINGS, open_volume, read_values, read_volume, volume_coordinates

__all__ = [
    "SHARD_IMAGES",
    "SMALL",
    "SUFFIXES",
    "VOLUME_ENDINGS",
    "ArrayPath",
    "ArraySource",
    "Checkpoint",
    "NpyHeader",
    "Part",
    "ShardedStore",
    "atomic_path",
    "check_plausible",
    "check_writable",
    "csv_of",
    "load_optimiser",
    "named",
    "npy_header",
    "of_kind",
    "open_volume",
    "optimiser_tensors",
    "read_array",
    "read_rows",
    "read_values",
    "read_volume",
    "reading",
    "remove",
    "sha256_array",
    "sha256_file",
    "sha256_text",
    "shard_bytes",
    "shard_path",
    "standing_folder",
    "volume_coordinates",
    "write_shard",
    "write_table",
    "write_text",
]
