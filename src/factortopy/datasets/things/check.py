"""Checks a folder of THINGS-fMRI from its tables and the heads of its response files."""

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Int

from factortopy.datasets.findings import Report
from factortopy.datasets.things.files import open_responses, read_table, whole_numbers
from factortopy.errors import DataError

TRIALS = {"train": 8_640, "test": 1_200}
"""720 concepts of 12 images, once; 100 images, 12 times."""
VOXELS = {1: 211_339}
TEST_IMAGES = 100
SAMPLED = 64
PARTS = {"ResponseData.h5": "responses", "VoxelMetadata.csv": "voxels", "StimulusMetadata.csv": "trials"}


def check_things(root: Path) -> Report:
    """Check the tables of every subject in a folder of THINGS-fMRI.

    Args:
        root: the folder that holds ``betas_csv``, or that one itself.

    Returns:
        Counts beside the published ones, and findings.
    """
    report = Report("things", root)
    tables = root / "betas_csv" if (root / "betas_csv").is_dir() else root
    found = sorted({file.name[:6] for file in tables.glob("sub-0[1-9]_*") if _is_part(file)})
    for name in found:
        try:
            _check_subject(report, tables, name)
        except DataError as error:
            report.failed(error.path or tables, error)
    if not found:
        fix = "get sub-01_ResponseData.h5 and the two tables beside it"
        report.add("problem", tables, "no subject in table form is here (betas_csv)", fix)
    return report


def _is_part(file: Path) -> bool:
    return file.name[7:] in PARTS


def _check_subject(report: Report, tables: Path, name: str) -> None:
    files = {part: tables / f"{name}_{part}" for part in PARTS}
    for part, file in files.items():
        if not file.is_file():
            report.add("problem", file, f"missing: the {PARTS[part]} of {name}", "get it from the same release")
    if not all(file.is_file() for file in files.values()):
        return
    shown = read_table(files["StimulusMetadata.csv"], ("trial_type", "session", "stimulus"))
    voxels = read_table(files["VoxelMetadata.csv"], ("voxel_id",))
    trials = Counter(shown["trial_type"].astype(str))
    for kind, published in TRIALS.items():
        report.count(name, f"{kind} trials", trials[kind], published)
    test_images = shown.loc[shown["trial_type"] == "test", "stimulus"].nunique()
    report.count(name, "test images", test_images, TEST_IMAGES)
    report.count(name, "voxels", len(voxels), VOXELS.get(int(name[-2:])))
    if any(trials[kind] != published for kind, published in TRIALS.items()):
        message = "numbers of trials differ from the published ones: a part of the data"
        report.add("note", files["StimulusMetadata.csv"], message)
    ids = whole_numbers(voxels, "voxel_id", files["VoxelMetadata.csv"])
    _check_responses(report, files["ResponseData.h5"], ids, len(shown))


def _check_responses(report: Report, file: Path, ids: Int[np.ndarray, "voxel"], trials: int) -> None:
    """Whether the responses are those of both tables, and a few voxels have values."""
    chosen = np.unique(np.linspace(0, len(ids) - 1, SAMPLED).astype(int))
    with open_responses(file, ids, trials) as responses:
        sample = responses.read(chosen)
    bad = int((~np.isfinite(sample)).any(axis=0).sum())
    constant = int((sample.std(axis=0) == 0).sum())
    if bad == len(chosen) or constant == len(chosen):
        report.add("problem", file, "all voxels sampled are NaN or constant", "get it again")
        return
    if bad or constant:
        message = f"{bad} of {len(chosen)} voxels sampled hold NaN, {constant} never change: left out by the reader"
        report.add("note", file, message)
    report.add("ok", file, f"{len(ids):,} voxels x {trials:,} trials, as both tables say")
