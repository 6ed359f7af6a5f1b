"""NSD-synthetic: the folder ``nsddata/experiments/nsdsynthetic`` of NSD, or NSD's own where it holds no other betas."""

from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.data_set import DataSet, Report, check_recorded, holding
from factortopy.datasets.nsd.files import SPACES, betas_folders
from factortopy.datasets.nsd_synthetic.reader import (
    PREPARATIONS,
    SyntheticFiles,
    experiment_folder,
    load_nsd_synthetic,
    open_nsd_synthetic,
)
from factortopy.datasets.nsd_synthetic.stimuli import IMAGES, colour_file, nsd_root, nsd_synthetic_images, shared_file
from factortopy.images import ImageSet
from factortopy.subjects import Subject

IN_FOLDER = holding("nsdsynthetic_expdesign.mat", "nsdsynthetic_stimuli.hdf5")
IN_BETAS, CORE = (f"nsddata_betas/ppdata/subj0*/*/{name}betas_*" for name in ("nsdsynthetic", ""))


def _recognises(path: Path) -> bool:
    return IN_FOLDER(path) or (holding(IN_BETAS)(path) and not holding(CORE)(path))


def _present(root: Path) -> dict[int, list[dict[str, str]]]:
    """Space and preparation of all betas that are there, by subject."""
    names = [{"space": space, "preparation": preparation} for space in SPACES for preparation in PREPARATIONS]
    folders = {int(folder.name[-1]): folder for folder in betas_folders(root)}
    present = {
        number: [name for name in names if folder.joinpath(*name.values()).is_dir()]
        for number, folder in folders.items()
    }
    return {number: found for number, found in present.items() if found}


def check_nsd_synthetic(path: Path, report: Report) -> None:
    """Trials, design, images and the scale of betas of every subject, space and preparation."""
    root = nsd_root(path)
    present = _present(root)
    for number, found in present.items():
        for names in found:
            with report.problems_at(root):
                _check_betas(report, SyntheticFiles(root, number, **names))
        with report.problems_at(root):
            _check_images(report, root, number)
    if not present:
        report.add("problem", root / "nsddata_betas", "no betas of NSD-synthetic are here", "get those of one subject")
    table = experiment_folder(root) / "nsdsyntheticimageinformation.csv"
    if not table.is_file():
        report.add("note", table, "no table of images", "their classes are not known")
        return
    with report.problems_at(table):
        rows = len(table.read_text(encoding="utf-8", errors="replace").strip().splitlines()) - 1
        if rows != IMAGES:
            report.add("problem", table, f"lists {rows} images, expected {IMAGES}", "get it again")


def _check_betas(report: Report, files: SyntheticFiles) -> None:
    subject = f"{files.name} {files.space}"
    if files.preparation != PREPARATIONS[0]:
        subject += f" {files.preparation}"
    recording = open_nsd_synthetic(files.root, files.subject, space=files.space, preparation=files.preparation)
    shown, repeats = np.unique(recording.images, return_counts=True)
    report.count(subject, {"trials": recording.images.size, "images": len(shown)})
    report.count(subject, {"voxels of nsdgeneral": len(recording.voxels)})
    counted = ", ".join(f"{(repeats == times).sum()} shown {times} times" for times in np.unique(repeats))
    report.add("ok", experiment_folder(files.root) / "nsdsynthetic_expdesign.mat", f"images: {counted}")
    for part in files.parts:
        check_recorded(report, files.session(part, 1), recording, part)


def _check_images(report: Report, root: Path, subject: int) -> None:
    missing = [file for file in (shared_file(root), colour_file(root, subject)) if not file.is_file()]
    for file in missing:
        report.add("note", file, "no images", "tokens of them cannot be extracted")
    if not missing:
        images = nsd_synthetic_images(root, [subject])
        first = images.image(0)
        report.add("ok", shared_file(root), f"{len(images)} images of subject {subject}, {first.width} pixels a side")


def _load(path: Path, subject: int, **options: Any) -> Subject:
    """By default the first space and preparation that are there."""
    present = _present(nsd_root(path)).get(subject)
    return load_nsd_synthetic(path, subject=subject, **(present[0] if present else {}) | options)


def _images(path: Path) -> ImageSet | None:
    """The images of all subjects that are there."""
    return nsd_synthetic_images(path) if shared_file(nsd_root(path)).is_file() else None


NSD_SYNTHETIC = DataSet(
    name="nsd-synthetic",
    title="NSD-synthetic",
    expected="NSD-synthetic (nsddata/experiments/nsdsynthetic)",
    recognises=_recognises,
    subjects=lambda path: tuple(_present(nsd_root(path))) or (1,),
    load=_load,
    images=_images,
    like=("subject", "space", "voxels", "rois"),
    check=check_nsd_synthetic,
    counts_file=Path(__file__).with_name("published.toml"),
)
