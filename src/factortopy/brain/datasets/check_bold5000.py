"""Checks a folder of BOLD5000 release 2 from the heads of its files, lists of images, and a few volumes."""

import re
from pathlib import Path

import numpy as np

from factortopy.brain.datasets.findings import Report, check_spread
from factortopy.brain.volumes import open_volume, read_values
from factortopy.errors import DataError

SESSIONS = {1: 15, 2: 15, 3: 15, 4: 9}
TRIALS = {1: 5_254, 2: 5_254, 3: 5_254, 4: 3_108}
"""37 trials a run in 142 runs, and in 84 for the subject that left early."""
BETAS = re.compile(r"CSI([1-4])_GLMbetas-(.+)_ses-(\d\d)\.nii(\.gz)?")
SAMPLED = 12


def check_bold5000(root: Path) -> Report:
    """Check every subject and preparation in a folder of BOLD5000.

    Args:
        root: the folder that holds ``CSI1_GLMbetas-*`` and ``CSI1_imgnames.txt``, or a folder above.

    Returns:
        Counts beside the published ones, and findings.
    """
    report = Report("bold5000", root)
    groups: dict[tuple[int, str, Path], dict[int, Path]] = {}
    for file in sorted([*root.glob("CSI*"), *root.glob("*/CSI*")]):
        match = BETAS.fullmatch(file.name)
        if match:
            groups.setdefault((int(match[1]), match[2], file.parent), {})[int(match[3])] = file
    for (subject, preparation, folder), files in groups.items():
        _check_betas(report, subject, preparation, folder, files)
    if not groups:
        report.add("problem", root, "no betas are here (CSI1_GLMbetas-*)", "get those of one subject")
    return report


def _check_betas(
    report: Report, subject: int, preparation: str, folder: Path, files: dict[int, Path]
) -> None:
    name = f"CSI{subject} {preparation.partition('-')[0]}"
    report.count(name, "sessions", len(files), SESSIONS[subject])
    missing = sorted(set(range(1, SESSIONS[subject] + 1)) - set(files))
    if missing:
        message = f"sessions {', '.join(map(str, missing))} of {preparation} are missing"
        report.add("note", folder, message, "rows follow the list of images: get them")
    trials, grids = 0, {}
    for file in files.values():
        try:
            shape = open_volume(file).shape
        except DataError as error:
            report.failed(file, error)
            continue
        if len(shape) != 4:
            report.add("problem", file, f"shape {shape}, expected (x, y, z, trial)", "get it again")
            continue
        grids[shape[:3]] = file
        trials += shape[3]
    if len(grids) > 1:
        report.add("problem", folder, f"volumes have {len(grids)} sizes: {sorted(grids)}", "get them again")
    names = folder / f"CSI{subject}_imgnames.txt"
    shown = _image_names(report, names)
    report.count(name, "trials", trials, TRIALS[subject])
    report.count(name, "images", len(set(shown)))
    if shown and len(shown) != trials:
        message = f"{len(shown):,} names for {trials:,} trials in {len(files)} sessions"
        level, fix = ("note", "get the missing sessions") if missing else ("problem", "get both again")
        report.add(level, names, message, fix)  # type: ignore[arg-type]
    _check_sample(report, next(iter(files.values())))


def _image_names(report: Report, file: Path) -> list[str]:
    if not file.is_file():
        report.add("problem", file, "missing: which image each trial showed", "get it from the same release")
        return []
    return file.read_text(encoding="utf-8", errors="replace").split()


def _check_sample(report: Report, file: Path) -> None:
    try:
        image = open_volume(file)
        volumes = read_values(image, file, (..., slice(0, SAMPLED)))
    except DataError as error:
        report.failed(file, error)
        return
    check_spread(report, file, np.asarray(volumes).reshape(-1, volumes.shape[-1]).T)
