"""Single-trial betas of data sets that keep a session as one volume a trial (x, y, z, trial)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.datasets.data_set import Report
from factortopy.progress import progress_bar
from factortopy.storage import read_values
from factortopy.subjects import TrialRows

EXTRA_FIELD = 4
"""Flag of a gzip file that may consist of several parts."""


def session_blocks(
    files: Mapping[int, Path],
    volumes: Mapping[int, Any],
    inside: Int[np.ndarray, "voxel"],
    rows: TrialRows,
    progress: bool,
) -> Iterator[tuple[Int[np.ndarray, "trial"], Float[np.ndarray, "trial voxel"]]]:
    """Read sessions one volume after another and add each to the rows.

    Args:
        files: of the betas, by session.
        volumes: the same, opened; their order is that of the trials of ``rows``.
        inside: which voxels, as ``reshape(-1)`` of a volume numbers them.
        rows: takes the trials in.
        progress: show a bar.

    Yields:
        Of each session the numbers of its trials, and their responses as they were taken in.
    """
    done = 0
    with progress_bar("Betas", total=len(rows.images), show=progress) as advance:
        for session, image in volumes.items():
            block: Float[np.ndarray, "trial voxel"] = np.empty((image.shape[3], len(inside)), dtype=np.float32)
            for trial in range(len(block)):
                block[trial] = read_values(image, files[session], (..., trial)).reshape(-1)[inside]
                advance()
            here = np.arange(done, done + len(block))
            yield here, rows.add(here, slice(None), block)
            done += len(block)


def check_volumes(report: Report, file: Path, image: Any) -> tuple[int, ...] | None:
    """The shape of a session's betas, whose size the end of the file must confirm; None if it has no trials."""
    shape = tuple(int(length) for length in image.shape)
    if len(shape) != 4:
        report.add("problem", file, f"shape {shape}, expected (x, y, z, trial)", "get it again")
        return None
    announced = int(image.dataobj.offset) + int(np.prod(shape, dtype=object)) * image.dataobj.dtype.itemsize
    if file.suffix == ".gz" and not _ends_well(file, announced):
        report.add("problem", file, f"does not end as a file of shape {shape}: truncated", "get it again")
    return shape


def _ends_well(file: Path, announced: int) -> bool:
    """Whether a gzip file's last four bytes say the announced size; nothing is unpacked."""
    with open(file, "rb") as content:
        flags = content.read(4)[3]
        content.seek(-4, 2)
        size = int.from_bytes(content.read(4), "little")
    return bool(flags & EXTRA_FIELD) or size == announced % 2**32
