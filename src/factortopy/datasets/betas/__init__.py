"""Converted betas: a store that ``convert`` wrote."""

from pathlib import Path

import numpy as np

from factortopy.datasets.betas.store import BetaFolder, BetaStore, load_betas
from factortopy.datasets.data_set import DataSet
from factortopy.datasets.findings import Report, check_recorded


def _check(path: Path, report: Report) -> None:
    """Sizes of all files, and the values of a few voxels."""
    recording = BetaStore.open(path).recording
    counted = {"sessions": len(recording.sessions), "trials": recording.images.size}
    counted |= {"images": len(np.unique(recording.images)), "voxels": len(recording.voxels)}
    report.count(recording.name, counted)
    check_recorded(report, path, recording, next(iter(recording.parts)))


CONVERTED_BETAS = DataSet(
    name="betas",
    title="Converted betas",
    recognises=BetaFolder.recognises,
    load=load_betas,
    check=_check,
)
