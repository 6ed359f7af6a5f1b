"""One look at any folder of data: recognised, counted and checked, by the function for its kind."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from factortopy.datasets.algonauts.check import check_algonauts
from factortopy.datasets.arrays.check import check_arrays
from factortopy.datasets.betas.store import BetaStore
from factortopy.datasets.bold5000.check import check_bold5000
from factortopy.datasets.findings import Level, Report, check_spread
from factortopy.datasets.nsd.check import check_nsd
from factortopy.datasets.recognise import known_layout
from factortopy.datasets.things.check import check_things
from factortopy.errors import DataError

SAMPLED = 64


def check_betas(root: Path) -> Report:
    """Check betas that ``convert`` rewrote: sizes of all files, and the values of a few voxels."""
    report = Report("betas", root)
    try:
        recording = BetaStore.open(root).recording
        report.count(recording.name, "sessions", len(recording.sessions))
        report.count(recording.name, "trials", recording.images.size)
        report.count(recording.name, "images", len(np.unique(recording.images)))
        report.count(recording.name, "voxels", len(recording.voxels))
        part = recording.voxels.part[0]
        columns = recording.voxels.column[recording.voxels.part == part]
        chosen = columns[np.unique(np.linspace(0, len(columns) - 1, SAMPLED).astype(int))]
        betas = recording.read(recording.sessions[0], part, chosen) / recording.divisor
        check_spread(report, root, betas, recording.divisor)
    except DataError as error:
        report.failed(root, error)
    return report


def check_tokens(root: Path) -> Report:
    """Check a store of tokens: every checksum, which reads it whole."""
    from factortopy.tokens import check_store

    report = Report("tokens", root)
    levels: dict[str, Level] = {"ok": "ok", "warning": "note", "error": "problem"}
    for level, message in check_store(root):
        report.add(levels[level], root, message)
    return report


CHECKS: dict[str, Callable[[Path], Report]] = {
    "algonauts": check_algonauts,
    "nsd": check_nsd,
    "things": check_things,
    "bold5000": check_bold5000,
    "arrays": check_arrays,
    "betas": check_betas,
    "tokens": check_tokens,
}


def check_path(path: str | os.PathLike[str]) -> Report:
    """Check a folder of a data set, of own arrays, or of tokens.

    Data sets are looked at in seconds; a store of tokens is read whole, as each chunk has a checksum.

    Args:
        path: the folder.

    Raises:
        DataError: if it holds no known data set.
    """
    layout = known_layout(path)
    return CHECKS[layout.kind](layout.root)
