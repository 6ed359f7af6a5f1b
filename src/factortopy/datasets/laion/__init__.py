"""LAION-fMRI: the folder that holds ``derivatives/glmsingle-tedana`` and ``stimuli``."""

from pathlib import Path

import numpy as np

from factortopy.datasets.data_set import DataSet, Report, holding
from factortopy.datasets.laion.files import MASKS, SUBJECTS, LaionFiles, read_trials
from factortopy.datasets.laion.reader import CEILINGS, laion_files, load_laion, read_voxels, shown_images
from factortopy.datasets.laion.splits import laion_split
from factortopy.datasets.laion.stimuli import laion_images, names_file, stimuli_file
from factortopy.datasets.volumes import check_volumes
from factortopy.images import ImageSet
from factortopy.storage import open_volume, read_values

FOLDER = Path("derivatives", "glmsingle-tedana")
SAMPLED_VOLUMES = 8
HELD_OUT = range(31, 35)
"""Sessions that are not public yet."""


def _subjects(path: Path) -> tuple[int, ...]:
    """Numbers of the subjects whose betas are there."""
    return tuple(number for number in SUBJECTS if LaionFiles(path, number).betas.is_dir()) or (min(SUBJECTS),)


def check_laion(path: Path, report: Report) -> None:
    """Sessions, sizes, trials, masks, ceilings and photographs of every subject, and the values of a few volumes."""
    for number in _subjects(path):
        with report.problems_at(path / FOLDER):
            _check_subject(report, laion_files(path, number))
    if not stimuli_file(path).is_file():
        report.add("note", stimuli_file(path), "no photographs", "get them to extract tokens (a form must be signed)")
        return
    with report.problems_at(stimuli_file(path)):
        images = laion_images(path)
        first = images.image(0)
        report.add("ok", stimuli_file(path), f"{len(images):,} encoded images, the first of {first.size} pixels")


def _check_subject(report: Report, files: LaionFiles) -> None:
    sessions = files.sessions()
    volumes = {session: open_volume(file) for session, file in sessions.items()}
    shapes = {session: check_volumes(report, sessions[session], image) for session, image in volumes.items()}
    published = report.published[files.name]["sessions"]
    missing = [session for session in range(1, published + 1) if session not in sessions]
    if set(missing) - set(HELD_OUT):
        meaning = f"sessions {', '.join(map(str, missing))} are missing: their images have fewer repeats, or none"
        report.add("note", files.betas, meaning, "get them, or go on without")
    elif missing:
        report.add("note", files.betas, f"sessions {missing[0]} to {missing[-1]} are not here, nor public yet")
    report.count(files.name, {"sessions": len(sessions), "trials": sum(shape[3] for shape in shapes.values() if shape)})
    if None in shapes.values():
        return
    shown = np.concatenate(list(shown_images(files, volumes).values()))
    images, repeats = np.unique(shown, return_counts=True)
    report.count(files.name, {"images": len(images)})
    counted = ", ".join(f"{(repeats == times).sum():,} shown {times} times" for times in np.unique(repeats))
    report.add("ok", files.trials(min(sessions)), f"images in all sessions: {counted}")
    first = next(iter(volumes.values()))
    voxels, mask = read_voxels(files, first)
    named = {"voxels": len(voxels)} if mask == MASKS[0] else {f"voxels of {mask}": len(voxels)}
    report.count(files.name, named | {"ROIs": len(files.regions())})
    if not any(files.ceiling(repeats).is_file() for repeats in CEILINGS):
        report.add("note", files.ceiling(CEILINGS[0]), "no noise ceiling: scores stay raw")
    _check_values(report, sessions[min(sessions)], first, voxels.vertex)


def _check_values(report: Report, file: Path, image: object, inside: np.ndarray) -> None:
    """Whether the first volumes have values inside of the mask; a ridge's betas have no scale of their own."""
    volumes = np.asarray(read_values(image, file, (..., slice(0, SAMPLED_VOLUMES))))
    betas = volumes.reshape(-1, volumes.shape[-1])[inside]
    whole = np.isfinite(betas).all(axis=1)
    if not whole.any() or not (betas[whole] != 0).any():
        report.add("problem", file, "all values sampled are 0 or NaN", "get the file again")
        return
    note = f"; {(~whole).sum():,} voxels with NaN are left out" if not whole.all() else ""
    report.add("ok", file, f"{betas.shape[1]} volumes sampled: betas of a ridge, z-scored by session{note}")


def _images(path: Path) -> ImageSet | None:
    """The images of the trials that are there; all without betas."""
    if not stimuli_file(path).is_file() or not names_file(path).is_file():
        return None
    labels: set[str] = set()
    for number in _subjects(path):
        files = LaionFiles(path, number)
        if files.betas.is_dir():
            for session, file in files.sessions().items():
                labels.update(read_trials(files.trials(session), session, open_volume(file).shape[-1]).tolist())
    return laion_images(path, sorted(labels) or None)


LAION = DataSet(
    name="laion-fmri",
    title="LAION-fMRI",
    expected="LAION-fMRI (derivatives/glmsingle-tedana)",
    recognises=holding(str(FOLDER), "stimuli/task-images_stimuli.h5"),
    subjects=_subjects,
    load=load_laion,
    images=_images,
    check=check_laion,
    split=laion_split,
    counts_file=Path(__file__).with_name("published.toml"),
)
