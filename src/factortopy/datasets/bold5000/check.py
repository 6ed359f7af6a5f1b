"""Checks a folder of BOLD5000 release 2 from heads, ends, masks, lists of images, and a few volumes."""

import re
from pathlib import Path

import numpy as np

from factortopy.datasets.bold5000.files import STIMULI, BoldFiles, read_mask
from factortopy.datasets.findings import Report, check_spread
from factortopy.errors import DataError
from factortopy.storage import open_volume, read_values

SESSIONS = {1: 15, 2: 15, 3: 15, 4: 9}
TRIALS = {1: 5_254, 2: 5_254, 3: 5_254, 4: 3_108}
"""37 trials a run in 142 runs, and in 84 for the subject that left early."""
BETAS = re.compile(r"CSI([1-4])_GLMbetas-(.+)_ses-(\d\d)\.nii(\.gz)?")
SAMPLED = 12
EXTRA_FIELD = 4
"""Flag of a gzip file that may consist of several parts."""


def check_bold5000(root: Path) -> Report:
    """Check every subject and preparation in a folder of BOLD5000.

    Args:
        root: the folder that holds ``CSI1_GLMbetas-*`` and ``CSI1_imgnames.txt``, or the folder above.

    Returns:
        Counts beside the published ones, and findings.
    """
    report = Report("bold5000", root)
    groups: dict[tuple[int, str], dict[int, Path]] = {}
    for file in sorted([*root.glob("CSI*"), *root.glob("*/CSI*")]):
        if match := BETAS.fullmatch(file.name):
            groups.setdefault((int(match[1]), match[2]), {})[int(match[3])] = file
    for (subject, preparation), sessions in groups.items():
        _check_betas(report, subject, preparation, BoldFiles(root, f"CSI{subject}", sessions))
    if not groups:
        report.add("problem", root, "no betas are here (CSI1_GLMbetas-*)", "get those of one subject")
    if not (root / STIMULI).is_dir():
        report.add("note", root / STIMULI, "no photographs", "say where they are to extract tokens of them")
    return report


def _check_betas(report: Report, subject: int, preparation: str, files: BoldFiles) -> None:
    name = f"{files.name} {preparation.partition('-')[0]}"
    _check_sessions(report, subject, preparation, files)
    shapes = [shape for file in files.sessions.values() if (shape := _check_file(report, file)) is not None]
    trials = sum(shape[3] for shape in shapes)
    report.count(name, "sessions", len(files.sessions), SESSIONS[subject])
    report.count(name, "trials", trials, TRIALS[subject])
    grids = {shape[:3] for shape in shapes}
    if len(grids) > 1:
        sizes = ", ".join(map(str, sorted(grids)))
        report.add("problem", files.folder, f"sessions differ in size: {sizes}", "get them of one release")
    elif grids:
        _check_masks(report, files, grids.pop())
    try:
        report.count(name, "images", len(set(files.image_names(trials))))
    except DataError as error:
        report.failed(files.folder / f"{files.name}_imgnames.txt", error)
    _check_sample(report, next(iter(files.sessions.values())))


def _check_sessions(report: Report, subject: int, preparation: str, files: BoldFiles) -> None:
    missing = sorted(set(range(1, SESSIONS[subject] + 1)) - set(files.sessions))
    if not missing:
        return
    listed = f"{missing[0]} to {missing[-1]}" if missing[0] > max(files.sessions) else str(missing)[1:-1]
    message = f"sessions {listed} of {preparation} are missing"
    if missing[0] < max(files.sessions):
        fix = "get them, or take away the later ones: trials follow the list of images in order"
        report.add("problem", files.folder, message, fix)
    else:
        report.add("note", files.folder, f"{message}: their images have no responses")


def _check_file(report: Report, file: Path) -> tuple[int, ...] | None:
    """The shape of a session's betas, whose size the end of the file must confirm."""
    try:
        image = open_volume(file)
    except DataError as error:
        report.failed(file, error)
        return None
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


def _check_masks(report: Report, files: BoldFiles, grid: tuple[int, ...]) -> None:
    masks = files.region_masks()
    brain = files.brain_mask()
    if brain is None:
        report.add("note", files.folder, f"no {files.name}_brainmask.nii.gz: all voxels with values are taken")
    if not masks:
        report.add("note", files.root / "derivatives" / "spm", f"no masks of regions of {files.name}")
    for file in ([] if brain is None else [brain]) + list(masks.values()):
        try:
            read_mask(file, grid)
        except DataError as error:
            report.failed(file, error)


def _check_sample(report: Report, file: Path) -> None:
    try:
        volumes = np.asarray(read_values(open_volume(file), file, (..., slice(0, SAMPLED))))
    except DataError as error:
        report.failed(file, error)
        return
    check_spread(report, file, volumes.reshape(-1, volumes.shape[-1]).T)
