"""Reading a data set's betas once, block by block, and writing them as one Zarr that goes on when stopped."""

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.betas import BetaFolder, BetaStore
from factortopy.datasets.nsd.reader import PREPARATION, open_nsd
from factortopy.errors import DataError
from factortopy.machine import Cost
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.storage import check_writable, reading, sha256_array, shard_path, standing_folder, write_shard
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
    """How the betas of a part are divided: chunks and shards are (trials, columns).

    The array may have more columns than there are voxels, so that every shard is whole.
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
    return recording.images.size * columns * recording.dtype.itemsize


def blocks_of(recording: Recording) -> Iterator[Block]:
    """All shards, session after session, in the order of the files."""
    for number, session in enumerate(recording.sessions):
        for part, voxels in recording.parts.items():
            shape = Shape.of(recording, voxels)
            first, (height, width) = number * recording.trials, shape.shard
            for row in range(first, first + recording.trials, height):
                for column in range(0, shape.columns, width):
                    yield Block(session, part, slice(row, row + height), slice(column, column + width))


def convert_nsd(
    path: str | os.PathLike[str],
    subject: int,
    output: str | os.PathLike[str],
    *,
    space: str = "fsaverage",
    preparation: str = PREPARATION,
    voxels: str = "all",
    rois: Sequence[str] = (),
    sessions: Sequence[int] | None = None,
    progress: bool = True,
) -> BetaStore:
    """Rewrite the betas of an NSD subject as one Zarr; memory stays flat, every file is read once.

    A run that was stopped, even killed, goes on where it was when called again, and ends with the same bytes.
    The numbers are those of the files, bit by bit. A store that is complete is opened at once, if it has the same
    ROIs and ncsnr.

    Args:
        path: the folder that holds ``nsddata`` and ``nsddata_betas``.
        subject: 1 to 8.
        output: folder of the store.
        space, preparation, voxels, rois, sessions: as for ``load_nsd``.
        progress: show a bar.

    Raises:
        DataError: if a file is missing or damaged, the folder holds something else, or the disk is too small.

    Example:
        >>> store = ft.convert_nsd("nsd", subject=1, output="betas", space="func1pt8mm", progress=False)
        >>> ft.load_betas(store, progress=False).name
        'nsd-subj01'
    """
    recording = open_nsd(
        path, subject, space=space, preparation=preparation, voxels=voxels, rois=rois, sessions=sessions
    )
    return convert(recording, output, progress=progress)


def convert(recording: Recording, output: str | os.PathLike[str], *, progress: bool = True) -> BetaStore:
    """Write a recording as a ``BetaStore``; see ``convert_nsd``."""
    store, blocks = BetaFolder(Path(output)), list(blocks_of(recording))
    total, arrays = len(blocks), _arrays(recording)
    if not store.done:
        check_writable(store.path.parent)
        store.check_space(planned_bytes(recording), "choose fewer voxels (nsdgeneral), fewer sessions or another disk")
    store.begin(_identity(recording), _facts(recording), arrays, total)
    _compare_beside(store, recording, arrays)
    done, filled = store.done, [name for name in arrays if name.startswith("betas/")]
    with (
        progress_bar("Conversion", total, show=progress, done=done) as advance,
        ThreadPoolExecutor(max_workers=1) as reader,
    ):
        # One block is read while the one before it is written.
        pending = [reader.submit(_read, recording, block) for block in blocks[done : done + 1]]
        for number in range(done, total):
            betas = pending.pop().result()
            pending += [reader.submit(_read, recording, block) for block in blocks[number + 1 : number + 2]]
            with store.writing(total):
                _write(store.path, recording, blocks[number], betas)
            store.mark(number + 1, total, filled)
            advance()
    return BetaStore.open(store.path)


def estimate_conversion(recording: Recording, output: str | os.PathLike[str]) -> Cost:
    """Disk and time that ``convert`` will take, from converting one block into a folder that is removed."""
    existing = check_writable(standing_folder(output))
    blocks = list(blocks_of(recording))
    with tempfile.TemporaryDirectory(dir=existing) as folder:
        start = time.perf_counter()
        _write(Path(folder), recording, blocks[0], _read(recording, blocks[0]))
        seconds = (time.perf_counter() - start) * len(blocks)
    facts = {"trials": f"{recording.images.size:,}", "voxels": f"{len(recording.voxels):,}", "measured on": "one block"}
    return Cost(seconds, disk=planned_bytes(recording), facts=facts)


def _read(recording: Recording, block: Block) -> np.ndarray:
    """A whole shard; columns beyond the voxels are 0."""
    first, rows = block.rows.start % recording.trials, block.rows.stop - block.rows.start
    columns = recording.columns(block.part)[block.columns]
    whole = np.zeros((rows, block.columns.stop - block.columns.start), recording.dtype)
    whole[:, : len(columns)] = recording.read(block.session, block.part, columns, slice(first, first + rows))
    return whole


def _write(path: Path, recording: Recording, block: Block, betas: np.ndarray) -> None:
    shape = Shape.of(recording, recording.parts[block.part])
    position = block.rows.start // shape.shard[0], block.columns.start // shape.shard[1]
    write_shard(shard_path(path / "betas" / block.part, *position), betas, shape.chunk, shape.shard)


def _identity(recording: Recording) -> dict[str, Any]:
    """What makes the betas what they are; equal in every run that fills a store."""
    return {
        "name": recording.name,
        "sessions": list(recording.sessions),
        "parts": recording.parts,
        "dtype": recording.dtype.name,
        "divisor": recording.divisor,
        "facts": recording.facts,
        "voxels_hash": sha256_array(recording.voxels.vertex, recording.voxels.positions[0]),
        "images": recording.images.tolist(),
    }


def _compare_beside(store: BetaFolder, recording: Recording, arrays: dict[str, dict[str, Any]]) -> None:
    """Refuse a store that has the same betas, but other ROIs or another ncsnr beside them."""
    group, facts = store.open(), _facts(recording)
    differing = any(group.attrs.get(name) != facts[name] for name in ("rois", "kinds"))
    with reading(store.path, "delete it and run the conversion again"):
        there = dict(group["voxels"].arrays())  # type: ignore[union-attr]
        for name in ("rois", "ncsnr"):
            given = arrays.get(f"voxels/{name}", {}).get("data")
            if name not in there or given is None:
                differing |= name in there or given is not None
            else:
                differing |= not np.array_equal(np.asarray(there[name][:]), given, equal_nan=True)
    if differing:
        fault = "holds these betas with other ROIs, or another ncsnr, than asked for and in the files now"
        raise DataError.of(store.path, f"{fault}; convert to another folder")


def _facts(recording: Recording) -> dict[str, Any]:
    """What else a store says."""
    voxels = recording.voxels
    return {
        "by_trial": recording.by_trial,
        "surface": voxels.surface,
        "rois": list(voxels.rois),
        "kinds": {kind: list(names) for kind, names in voxels.kinds.items()},
        "provenance": provenance(),
    }


def _arrays(recording: Recording) -> dict[str, dict[str, Any]]:
    """The arrays of a store: what is known of the voxels, and room for the betas of each part."""
    voxels = recording.voxels
    beside = {
        "coordinates": voxels.coordinates,
        "coordinate_bounds": voxels.bounds,
        "left": voxels.hemisphere == "left",
        "vertex": voxels.vertex,
        "rois": np.array(list(voxels.rois.values()), dtype=bool).reshape(-1, len(voxels)),
        "ncsnr": voxels.ncsnr,
    }
    arrays: dict[str, dict[str, Any]] = {
        f"voxels/{name}": {"data": values} for name, values in beside.items() if values is not None and values.size
    }
    for part, count in recording.parts.items():
        shape = Shape.of(recording, count)
        arrays[f"betas/{part}"] = {
            "shape": (recording.images.size, shape.columns),
            "dtype": recording.dtype,
            "chunks": shape.chunk,
            "shards": shape.shard,
            "dimension_names": ("trial", "column"),
        }
    return arrays
