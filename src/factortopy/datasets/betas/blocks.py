"""How converted betas are divided into chunks and files (shards), and in which order these are written."""

from collections.abc import Iterator
from dataclasses import dataclass

from factortopy.subjects import Recording

CHUNK_TRIALS = 75
CHUNK_COLUMNS = 4096
SHARD_CHUNKS = 4
"""Chunks side by side in a file, where betas are read voxel after voxel."""


@dataclass(frozen=True)
class Block:
    """What is read and written at a time: one shard."""

    session: int
    part: str
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Shape:
    """How the betas of a part are divided.

    Attributes:
        columns: of the array; more than there are voxels, so that every shard is whole.
        chunk, shard: (trials, columns).
    """

    columns: int
    chunk: tuple[int, int]
    shard: tuple[int, int]

    @classmethod
    def of(cls, recording: Recording, voxels: int) -> "Shape":
        """The division for so many voxels: shards are what is quickest read from the source."""
        trials = recording.trials
        rows = max(n for n in range(1, min(CHUNK_TRIALS, trials) + 1) if trials % n == 0)
        chunks = -(-voxels // CHUNK_COLUMNS)
        width = -(-voxels // chunks)
        if recording.by_trial:
            return cls(width * chunks, (rows, width), (rows, width * chunks))
        shards = -(-chunks // SHARD_CHUNKS)
        side_by_side = -(-chunks // shards)
        return cls(width * side_by_side * shards, (rows, width), (trials, width * side_by_side))


def planned_bytes(recording: Recording) -> int:
    """Bytes that the betas take; checksums and what stands beside them are not counted (below 1 per cent)."""
    columns = sum(Shape.of(recording, voxels).columns for voxels in recording.parts.values())
    return len(recording.sessions) * recording.trials * columns * recording.dtype.itemsize


def blocks_of(recording: Recording) -> Iterator[Block]:
    """All shards, session after session, in the order of the files."""
    for number, session in enumerate(recording.sessions):
        for part, voxels in recording.parts.items():
            shape = Shape.of(recording, voxels)
            first, trials = number * recording.trials, recording.trials
            for row in range(first, first + trials, shape.shard[0]):
                for column in range(0, shape.columns, shape.shard[1]):
                    rows = slice(row, row + shape.shard[0])
                    yield Block(session, part, rows, slice(column, column + shape.shard[1]))
