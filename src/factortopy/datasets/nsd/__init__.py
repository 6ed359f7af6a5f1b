"""The Natural Scenes Dataset (NSD): the folder that holds ``nsddata`` and ``nsddata_betas``."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.data_set import DataSet, Report, check_recorded, holding, numbered
from factortopy.datasets.nsd.design import image_name, read_design
from factortopy.datasets.nsd.files import (
    PREPARATIONS,
    NsdFiles,
    betas_folders,
    design_file,
    preparations_in,
    published_sessions,
    stimuli_file,
)
from factortopy.datasets.nsd.reader import load_nsd, open_nsd
from factortopy.images import ImageSet, images_from_hdf5
from factortopy.subjects import Subject

HELD_OUT = 3
"""Sessions that earlier releases lack."""


def check_nsd(path: Path, report: Report) -> None:
    """Sessions, design, ROIs, ceiling and the scale of betas of every subject, space and preparation."""
    recordings = [
        NsdFiles(path, int(folder.name[-1]), **names)
        for folder in betas_folders(path)
        for names in preparations_in(folder)
    ]
    for files in recordings:
        with report.problems_at(files.betas):
            _check_betas(report, files)
    if not recordings:
        folder = path / "nsddata_betas" / "ppdata"
        report.add("problem", folder, "no betas are here", "get betas of one subject and space")


def _check_betas(report: Report, files: NsdFiles) -> None:
    subject = f"{files.name} {files.space}"
    if files.preparation != PREPARATIONS[0]:
        subject += f" {files.preparation}"
    names = (file.name for file in files.betas.glob("*betas_session*"))
    sessions = sorted({int(match[1]) for name in names if (match := re.search(r"session(\d\d)\.", name))})
    report.count(subject, {"sessions": len(sessions)})
    _note_sessions(report, files, sessions)
    recording = open_nsd(files.root, files.subject, space=files.space, preparation=files.preparation)
    counted = {
        "trials": recording.images.size,
        "images": len(np.unique(recording.images)),
        "voxels of nsdgeneral": len(recording.voxels),
        "ROIs": sum(bool(mask.any()) for mask in recording.voxels.rois.values()),
    }
    report.count(subject, counted)
    for file, missing, meaning in (
        (stimuli_file(files.root), "photographs", "give the images to extract tokens of in a folder of their own"),
        (files.stimulus_info, "table of images", "ids are taken from nsd_expdesign.mat alone"),
    ):
        if not file.is_file():
            report.add("note", file, f"no {missing}", meaning)
    if recording.voxels.ncsnr is None:
        report.add("note", files.ncsnr(files.parts[0]), "no ncsnr: scores stay raw, without a ceiling")
    for part in files.parts:
        check_recorded(report, files.session(part, recording.sessions[0]), recording, part)


def _note_sessions(report: Report, files: NsdFiles, sessions: list[int]) -> None:
    published = published_sessions()[files.subject]
    if len(sessions) in (published, published - HELD_OUT) and sessions == list(range(1, len(sessions) + 1)):
        if len(sessions) < published:
            report.add("note", files.betas, f"the last {HELD_OUT} sessions are missing, as in earlier releases")
        return
    missing = sorted(set(range(1, published + 1)) - set(sessions))
    if missing:
        listed = ", ".join(map(str, missing[:6])) + (", ..." if len(missing) > 6 else "")
        meaning = f"{len(missing)} sessions are missing ({listed}): their images have fewer repeats, or none"
        report.add("note", files.betas, meaning, "get them, or go on without")
    if set(sessions) - set(range(1, published + 1)):
        report.add("note", files.betas, f"session {max(sessions)} is there, {published} were published")


def _load(path: Path, subject: int, **options: Any) -> Subject:
    """By default the first space and preparation that are there."""
    present = preparations_in(path / "nsddata_betas" / "ppdata" / f"subj{subject:02d}")
    return load_nsd(path, subject=subject, **(present[0] if present else {}) | options)


def _images(path: Path) -> ImageSet | None:
    """The images shown to the subjects whose betas are there (to all eight without betas), by nsdId."""
    if not stimuli_file(path).is_file():
        return None
    subjects = [int(folder.name[-1]) for folder in betas_folders(path)] or published_sessions()
    shown = np.unique(np.concatenate([read_design(design_file(path), subject).images for subject in subjects]))
    return images_from_hdf5(stimuli_file(path), ids=[image_name(number) for number in shown])


NSD = DataSet(
    name="nsd",
    title="Natural Scenes Dataset",
    expected="NSD (nsddata_betas)",
    recognises=holding("nsddata_betas", "nsddata"),
    subjects=numbered("nsddata_betas/ppdata/subj0*"),
    load=_load,
    images=_images,
    check=check_nsd,
    counts_file=Path(__file__).with_name("published.toml"),
    paper_options={"trials": "single"},
)
