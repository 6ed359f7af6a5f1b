"""Checks a folder of THINGS-fMRI from its tables and the heads of its response files."""

import csv
import re
from collections import Counter
from pathlib import Path

from factortopy.brain.array_files import check_plausible, reading
from factortopy.brain.datasets.findings import Report
from factortopy.errors import DataError

TRIALS = {"train": 8_640, "test": 1_200}
"""720 concepts of 12 images, once; 100 images, 12 times."""
VOXELS = {1: 211_339}
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
            match = re.search(re.escape(str(tables)) + r"[^\s:;,]*", str(error))
            report.failed(Path(match[0]) if match else tables, error)
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
            report.add(
                "problem", file, f"missing: the {PARTS[part]} of {name}", "get it from the same release"
            )
    if not all(file.is_file() for file in files.values()):
        return
    trials = Counter(row.get("trial_type", "") for row in _rows(files["StimulusMetadata.csv"]))
    voxels = len(_rows(files["VoxelMetadata.csv"]))
    for kind, published in TRIALS.items():
        report.count(name, f"{kind} trials", trials[kind], published)
    report.count(name, "voxels", voxels, VOXELS.get(int(name[-2:])))
    shape = _largest_shape(files["ResponseData.h5"])
    total = sum(trials.values())
    # pandas writes (voxel, trial) and keeps voxel_id in a block of its own or as one column more.
    if voxels not in shape or not {total, total + 1} & set(shape):
        message = (
            f"the largest table is {shape}, but the tables beside it have {voxels} voxels, {total} trials"
        )
        report.add("problem", files["ResponseData.h5"], message, "get the three files of one release")
        return
    if any(trials[kind] != published for kind, published in TRIALS.items()):
        message = (
            f"{trials['train']:,} training and {trials['test']:,} test trials, 8,640 and 1,200 published"
        )
        report.add("note", files["StimulusMetadata.csv"], f"{message}: a part of the data")
    report.add("ok", files["ResponseData.h5"], f"{voxels:,} voxels x {total:,} trials, as both tables say")


def _rows(file: Path) -> list[dict[str, str]]:
    with (
        reading(file, "it is truncated or no table; get it again"),
        open(file, newline="", encoding="utf-8") as text,
    ):
        return list(csv.DictReader(text))


def _largest_shape(file: Path) -> tuple[int, ...]:
    """The shape of the largest array in an HDF5 file, whose size is checked against the file's."""
    import h5py

    with reading(file, "it is truncated or damaged; get it again"), h5py.File(file, "r") as store:
        found: list[h5py.Dataset] = []
        store.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        if not found:
            raise DataError(f"{file} holds no array; get it again")
        largest = max(found, key=lambda dataset: dataset.size or 0)
        check_plausible(file, largest.nbytes, largest.id.get_storage_size())
        return tuple(largest.shape)
