"""Checks a folder of NSD from heads, sizes, tables and a few sampled trials or voxels."""

import re
from pathlib import Path

import numpy as np

from factortopy.datasets.findings import Report, check_spread
from factortopy.datasets.nsd.files import PREPARATIONS, SESSIONS, SPACES, NsdFiles
from factortopy.datasets.nsd.reader import open_nsd
from factortopy.errors import DataError
from factortopy.subjects import Recording

TRIALS = 750
"""Of every session."""
HELD_OUT = 3
"""Sessions that earlier releases lack."""
SIZES = {"fsaverage": 2 * 163_842}
SAMPLED = 64


def check_nsd(root: Path) -> Report:
    """Check every subject, space and preparation in a folder of NSD.

    Args:
        root: the folder that holds ``nsddata`` and ``nsddata_betas``.

    Returns:
        Counts beside the published ones, and findings.
    """
    report = Report("nsd", root)
    people = root / "nsddata_betas" / "ppdata"
    found = 0
    for folder in sorted(people.glob("subj0[1-8]")):
        subject = int(folder.name[-1])
        for space in SPACES:
            for preparation in PREPARATIONS:
                if (folder / space / preparation).is_dir():
                    found += 1
                    _check_betas(report, NsdFiles(root, subject, space, preparation))
    if not found:
        report.add("problem", people, "no betas are here", "get betas of one subject and space")
    return report


def _check_betas(report: Report, files: NsdFiles) -> None:
    where = f"{files.name} {files.space}"
    if files.preparation != PREPARATIONS[0]:
        where += f" {files.preparation}"
    published = SESSIONS[files.subject]
    there = _sessions_there(files)
    report.count(where, "sessions", len(there), published)
    _note_sessions(report, files, there, published)
    try:
        recording = open_nsd(files.root, files.subject, space=files.space, preparation=files.preparation)
    except DataError as error:
        report.failed(error.path or files.betas, error)
        return
    report.count(where, "trials", recording.images.size, TRIALS * published)
    report.count(where, "images", len(np.unique(recording.images)))
    report.count(where, "voxels of nsdgeneral", len(recording.voxels))
    report.count(where, "ROIs", sum(bool(mask.any()) for mask in recording.voxels.rois.values()))
    for problem_file, missing, meaning in (
        (files.stimuli, "photographs", "give the images to extract tokens of in a folder of their own"),
        (files.stimulus_info, "table of images", "ids are taken from nsd_expdesign.mat alone"),
    ):
        if not problem_file.is_file():
            report.add("note", problem_file, f"no {missing}", meaning)
    if recording.voxels.ncsnr is None:
        report.add("note", files.ncsnr(files.parts[0]), "no ncsnr: scores stay raw, without a ceiling")
    _check_sample(report, files, recording)


def _sessions_there(files: NsdFiles) -> list[int]:
    names = (file.name for file in files.betas.glob("*betas_session*"))
    return sorted({int(match[1]) for name in names if (match := re.search(r"session(\d\d)\.", name))})


def _note_sessions(report: Report, files: NsdFiles, there: list[int], published: int) -> None:
    if len(there) in (published, published - HELD_OUT) and there == list(range(1, len(there) + 1)):
        if len(there) < published:
            report.add("note", files.betas, f"the last {HELD_OUT} sessions are missing, as in earlier releases")
        return
    missing = sorted(set(range(1, published + 1)) - set(there))
    if missing:
        listed = ", ".join(map(str, missing[:6])) + (", ..." if len(missing) > 6 else "")
        meaning = f"{len(missing)} sessions are missing ({listed}): their images have fewer repeats, or none"
        report.add("note", files.betas, meaning, "get them, or go on without")
    if set(there) - set(range(1, published + 1)):
        report.add("note", files.betas, f"session {max(there)} is there, {published} were published")


def _check_sample(report: Report, files: NsdFiles, recording: Recording) -> None:
    """The scale of the betas: some voxels of the first session."""
    for part in files.parts:
        file = files.session(part, recording.sessions[0])
        columns = recording.voxels.column[recording.voxels.part == part]
        if not len(columns):
            continue
        chosen = columns[np.unique(np.linspace(0, len(columns) - 1, SAMPLED).astype(int))]
        try:
            betas = recording.read(recording.sessions[0], part, chosen) / recording.divisor
        except DataError as error:
            report.failed(file, error)
            continue
        unmeasured = int((~np.isfinite(betas)).any(axis=0).sum())
        if unmeasured:
            share = f"{unmeasured} of {len(chosen)} voxels sampled hold NaN"
            report.add("note", file, f"{share}: voxels without values are left out and remembered")
        check_spread(report, file, betas, recording.divisor)
