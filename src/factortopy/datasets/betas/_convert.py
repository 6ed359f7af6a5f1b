"""Reading a data set's betas once, block by block, and writing them as one Zarr that goes on when stopped."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from factortopy.datasets.betas.blocks import Block, Shape, blocks_of, planned_bytes
from factortopy.datasets.betas.store import FORMAT, MARKER, BetaStore, open_group, read_marker, stored_bytes
from factortopy.datasets.nsd.reader import PREPARATION, open_nsd
from factortopy.errors import DataError
from factortopy.progress import progress_bar
from factortopy.provenance import provenance
from factortopy.storage import atomic_path, check_writable, sha256_array, standing_folder, write_beta_shard, write_text
from factortopy.subjects import Recording


@dataclass(frozen=True)
class ConversionEstimate:
    """What a conversion will take.

    Attributes:
        trials, voxels: how many.
        bytes: on disk.
        free: bytes free there.
        seconds: from the time that one block took.
    """

    trials: int
    voxels: int
    bytes: int
    free: int
    seconds: float


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
    The numbers are those of the files, bit by bit. A store that is complete is opened at once.

    Args:
        path: the folder that holds ``nsddata`` and ``nsddata_betas``.
        subject: 1 to 8.
        output: folder of the store.
        space, preparation, voxels, rois, sessions: as for ``load_nsd``.
        progress: show a bar.

    Raises:
        DataError: if a file is missing or damaged, the folder holds something else, or the disk is too small.
    """
    recording = open_nsd(
        path, subject, space=space, preparation=preparation, voxels=voxels, rois=rois, sessions=sessions
    )
    return convert(recording, output, progress=progress)


def convert(recording: Recording, output: str | os.PathLike[str], *, progress: bool = True) -> BetaStore:
    """Write a recording as a ``BetaStore``; see ``convert_nsd``.

    Args:
        recording: what to read.
        output: folder of the store.
        progress: show a bar.

    Raises:
        DataError: if the folder holds something else, cannot be written, or the disk is too small.
    """
    output = Path(output)
    _begin(recording, output)
    blocks = list(blocks_of(recording))
    done = read_marker(output)["blocks"]
    with (
        progress_bar("Conversion", len(blocks), show=progress, done=done) as advance,
        ThreadPoolExecutor(max_workers=1) as reader,
    ):
        # One block is read while the one before it is written.
        pending = reader.submit(_read, recording, blocks[done]) if done < len(blocks) else None
        for number in range(done, len(blocks)):
            betas = pending.result() if pending is not None else np.empty(0)
            if number + 1 < len(blocks):
                pending = reader.submit(_read, recording, blocks[number + 1])
            _write(output, recording, blocks[number], betas)
            _mark(output, number + 1, len(blocks), recording)
            advance()
    return BetaStore.open(output)


def estimate_conversion(recording: Recording, output: str | os.PathLike[str]) -> ConversionEstimate:
    """Disk and time that ``convert`` will take, from converting one block into a folder that is removed.

    Args:
        recording: as for ``convert``; ``open_nsd`` makes it.
        output: folder of the store.
    """
    place = standing_folder(output)
    check_writable(place)
    blocks = list(blocks_of(recording))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        start = time.perf_counter()
        _write(Path(folder), recording, blocks[0], _read(recording, blocks[0]))
        seconds = (time.perf_counter() - start) * len(blocks)
    trials = len(recording.sessions) * recording.trials
    needed = planned_bytes(recording)
    return ConversionEstimate(trials, len(recording.voxels), needed, shutil.disk_usage(place).free, seconds)


def _read(recording: Recording, block: Block) -> np.ndarray:
    """A whole shard; columns beyond the voxels are 0."""
    trials = recording.trials
    first = block.rows.start % trials
    columns = recording.columns(block.part)[block.columns]
    rows = block.rows.stop - block.rows.start
    betas = recording.read(block.session, block.part, columns, slice(first, first + rows))
    whole = np.zeros((rows, block.columns.stop - block.columns.start), recording.dtype)
    whole[:, : len(columns)] = betas
    return whole


def _write(path: Path, recording: Recording, block: Block, betas: np.ndarray) -> None:
    shape = Shape.of(recording, recording.parts[block.part])
    row, column = block.rows.start // shape.shard[0], block.columns.start // shape.shard[1]
    write_beta_shard(path / "betas" / block.part / "c" / str(row) / str(column), betas, shape.chunk)


def _mark(path: Path, done: int, total: int, recording: Recording) -> None:
    marker: dict[str, Any] = {"blocks": done, "of": total}
    if done == total:
        arrays = [f"betas/{part}" for part in recording.parts]
        marker["bytes"] = {array: stored_bytes(path / array) for array in arrays}
    write_text(path / MARKER, json.dumps(marker))


def _begin(recording: Recording, path: Path) -> None:
    """A new store, or one that an earlier run of the same conversion left."""
    if path.exists() and not path.is_dir():
        raise DataError(f"{path} is a file; give a folder for the betas", path=path)
    if not path.is_dir() or not any(path.iterdir()):
        check_writable(path.parent)
        needed, free = planned_bytes(recording), shutil.disk_usage(standing_folder(path)).free
        if needed > free:
            raise DataError(
                f"the betas need {needed / 1e9:.1f} GB, {path.parent} has {free / 1e9:.1f} GB free; choose "
                "fewer voxels (nsdgeneral), fewer sessions or another disk"
            )
        with atomic_path(path) as temporary:
            _create(recording, temporary)
    group = open_group(path)
    # What a killed run was writing; its block is written again.
    for leftover in path.rglob("*.partial"):
        leftover.unlink()
    given = json.loads(json.dumps(_identity(recording)))
    for name, value in given.items():
        if group.attrs.get(name) != value:
            raise DataError(
                f"the betas at {path} were begun with other {name.replace('_', ' ')}; choose another folder", path=path
            )


def _identity(recording: Recording) -> dict[str, Any]:
    """What makes the betas what they are; equal in every run that fills a store."""
    return {
        "name": recording.name,
        "sessions": list(recording.sessions),
        "parts": recording.parts,
        "dtype": recording.dtype.name,
        "divisor": recording.divisor,
        "facts": recording.facts,
        "voxels_hash": sha256_array(recording.voxels.vertex, recording.voxels.coordinates),
        "images": recording.images.tolist(),
    }


def _create(recording: Recording, path: Path) -> None:
    voxels = recording.voxels
    attributes = {
        "format": FORMAT,
        **_identity(recording),
        "by_trial": recording.by_trial,
        "surface": voxels.surface,
        "rois": list(voxels.rois),
        "kinds": {kind: list(names) for kind, names in voxels.kinds.items()},
        "provenance": provenance(),
    }
    group = zarr.create_group(path, zarr_format=3, attributes=attributes)
    beside = {
        "coordinates": voxels.coordinates,
        "coordinate_bounds": voxels.bounds,
        "left": voxels.hemisphere == "left",
        "vertex": voxels.vertex,
        "rois": np.array(list(voxels.rois.values()), dtype=bool).reshape(-1, len(voxels)),
        "ncsnr": voxels.ncsnr,
    }
    for name, values in beside.items():
        if values is not None and values.size:
            group.create_array(f"voxels/{name}", data=values, compressors=[Crc32cCodec()])
    for part, count in recording.parts.items():
        shape = Shape.of(recording, count)
        group.create_array(
            f"betas/{part}",
            shape=(len(recording.sessions) * recording.trials, shape.columns),
            dtype=recording.dtype,
            chunks=shape.chunk,
            shards=shape.shard,
            compressors=[Crc32cCodec()],
            dimension_names=("trial", "column"),
        )
    write_text(path / MARKER, json.dumps({"blocks": 0, "of": len(list(blocks_of(recording)))}))
