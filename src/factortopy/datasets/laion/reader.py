"""LAION-fMRI (Zerbe et al. 2026): five subjects at 7 T, 6,204 images each, 881 of them 12 times, the rest four times.

Layout (``s3://laion-fmri``)::

    derivatives/glmsingle-tedana/sub-01/ses-01/func/*_desc-SingletrialBetas_statmap.nii.gz    x, y, z, trial
    derivatives/glmsingle-tedana/sub-01/ses-01/func/*_desc-SingletrialBetas_trials.tsv        the image of each trial
    derivatives/glmsingle-tedana/sub-01/*_desc-Noiseceiling12rep_statmap.nii.gz               per cent
    derivatives/anatomical/sub-01/ses-PrismaAnat/anat/*_res-1pt8_desc-brain_mask.nii.gz
    derivatives/rois/sub-01/CATEGORY/sub-01_space-T1w_res-1pt8_label-V1v_mask.nii.gz
    stimuli/task-images_stimuli.h5, task-images_metadata.csv                                  encoded images, names
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import Voxels
from factortopy.datasets.laion.files import MASKS, SUBJECTS, LaionFiles, check_owner, read_map, read_mask, read_trials
from factortopy.datasets.laion.stimuli import laion_images, stimuli_file
from factortopy.datasets.volumes import session_blocks
from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import open_volume, volume_coordinates
from factortopy.subjects import (
    RecordedVoxels,
    Subject,
    TrialRows,
    Trials,
    ZScore,
    noise_ceiling_at,
    noise_ceiling_from_percent,
    repeat_counts,
)

CEILINGS = (12, 4)
"""Repeats of the maps of noise ceilings, in the order in which they are taken."""
AREAS = {
    "V1": ("V1v", "V1d"),
    "V2": ("V2v", "V2d"),
    "V3": ("V3v", "V3d"),
    "V2V3": ("V2v", "V2d", "V3v", "V3d"),
    "V4": ("hV4",),
    "FFA": ("FFA1", "FFA2"),
}
"""Areas that the masks divide, under the names that the hierarchy's slope and tables use."""
VENTRAL, RETINOTOPIC = "laionventral", ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4")
"""IT, by the definition of Brain-Score, is what the first has beyond the others."""


def load_laion(
    path: str | os.PathLike[str],
    subject: int = 1,
    *,
    voxels: str = "all",
    mask: str | None = None,
    trials: Trials = "averaged",
    zscore: ZScore = "session",
    progress: bool = True,
) -> Subject:
    """Read a subject of LAION-fMRI, one volume at a time, from the sessions that are there.

    Args:
        path: the folder that holds ``derivatives`` and ``stimuli``.
        subject: 1, 3, 5, 6 or 7.
        voxels: ``"all"`` of the mask, one ROI (``"V1v"``, ``"IT"``) or a category of ROIs (``"retinotopic"``).
        mask: ``"anatomical"``, the brain; ``"rsquare"``, where the mean R^2 of the model of trials is above 0; by
            default the first of them that is there.
        trials: ``"averaged"`` (a row an image, by ascending name) or ``"single"`` (a row a trial).
        zscore: ``"session"``: over all trials of a session; betas are those of a ridge and no per cent signal change,
            so sessions do not fit one another without it; or ``"none"``.
        progress: show a bar.

    Returns:
        Image ids are the names in the trials' tables. ROIs are both hemispheres'; V1, V2, V3, V2V3, V4 (hV4), FFA, and
        IT (``laionventral`` without V1 to hV4, as Brain-Score has it) are put together. Voxels lie in mm through the
        affine of the betas and are numbered as ``reshape(-1)`` of a volume numbers them. The noise ceiling is that of
        the published map of 12 repeats, for the repeats that each image really has in the sessions read.

    Raises:
        DataError: if a file is missing, damaged or does not fit the others; the line names it.
        UnknownNameError: if there is no such ROI or mask.

    Example:
        >>> subject = ft.load_laion("laion", subject=1, voxels="V1", progress=False)
        >>> bool(subject.voxels.rois["V1"].all())
        True
    """
    files = laion_files(path, subject)
    sessions = files.sessions()
    volumes = {session: open_volume(file) for session, file in sessions.items()}
    shown = shown_images(files, volumes)
    everywhere, used = read_voxels(files, next(iter(volumes.values())), mask)
    chosen = everywhere.choose(voxels)
    ids = np.concatenate(list(shown.values()))
    photographs = laion_images(files.root, np.unique(ids).tolist()) if stimuli_file(files.root).is_file() else None
    numbers = np.repeat(list(shown), [len(images) for images in shown.values()])
    rows = TrialRows(ids, numbers, len(chosen), trials, zscore)
    ceiling, described = _ceiling(files, volumes, chosen, rows)
    for _ in session_blocks(sessions, volumes, chosen.vertex, rows, progress):
        pass
    facts: dict[str, Any] = {
        "kind": "LAION-fMRI",
        "folder": str(files.root.resolve()),
        "mask": used,
        "voxels": voxels,
        "coordinates": "mm, by the affine of the betas",
        "betas": "of a ridge regression, in its own unit",
    }
    return rows.subject(f"laion-{files.name}", chosen.plain, ceiling, photographs, facts | described)


def laion_files(path: str | os.PathLike[str], subject: int) -> LaionFiles:
    """The files of a subject, after proof that there is one of that number."""
    if subject not in SUBJECTS:
        raise DataError.of(path, f"is LAION-fMRI, whose subjects are {', '.join(map(str, SUBJECTS))}; got {subject!r}")
    files = LaionFiles(Path(path), subject)
    if not files.betas.is_dir():
        raise DataError.of(files.betas, "is missing; get the betas of this subject, or choose another one")
    return files


def shown_images(files: LaionFiles, volumes: dict[int, Any]) -> dict[int, np.ndarray]:
    """The image of every trial of each session, whose betas' headers are checked against one another."""
    sessions, shown = files.sessions(), {}
    grids = {session: tuple(image.shape[:3]) for session, image in volumes.items()}
    first = next(iter(grids.values()))
    for session, image in volumes.items():
        if len(image.shape) != 4 or grids[session] != first:
            fault = f"has shape {tuple(image.shape)}, expected {first} and trials as in the first session"
            raise DataError.of(sessions[session], f"{fault}; get it again")
        table = files.trials(session)
        shown[session] = read_trials(table, session, image.shape[3])
        check_owner(table, shown[session], files.subject)
    return shown


def read_voxels(files: LaionFiles, betas: Any, mask: str | None = None) -> tuple[RecordedVoxels, str]:
    """The voxels of a mask on the grid of the betas, with their ROIs; and which mask that was."""
    if mask is not None and mask not in MASKS:
        raise UnknownNameError("mask of LAION-fMRI", mask, MASKS)
    used = mask or next((kind for kind in MASKS if files.mask(kind).is_file()), MASKS[0])
    inside = read_mask(files.mask(used), betas)
    rois: dict[str, Bool[np.ndarray, voxel]] = {}
    kinds: dict[str, tuple[str, ...]] = {}
    for (category, label), file in files.regions().items():
        name = f"{category}.{label}" if label in rois else label
        rois[name] = (read_map(file, betas) > 0)[inside]
        kinds[category] = (*kinds.get(category, ()), name)
    voxels = Voxels.at(volume_coordinates(np.argwhere(inside), betas.affine), vertex=np.flatnonzero(inside))
    return RecordedVoxels.of_volume(replace(voxels, rois=rois | _areas(rois)), **kinds), used


def _areas(rois: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Areas all of whose parts are there."""
    areas = {
        area: np.any([rois[part] for part in parts], axis=0)
        for area, parts in AREAS.items()
        if area not in rois and set(parts) <= set(rois)
    }
    if "IT" not in rois and {VENTRAL, *RETINOTOPIC} <= set(rois):
        areas["IT"] = rois[VENTRAL] & ~np.any([rois[part] for part in RETINOTOPIC], axis=0)
    return areas


def _ceiling(
    files: LaionFiles, volumes: dict[int, Any], voxels: RecordedVoxels, rows: TrialRows
) -> tuple[Float[np.ndarray, "voxel"] | None, dict[str, Any]]:
    """The noise ceiling of the rows from the published map, and its description; voxels without one are left out."""
    repeats = next((repeats for repeats in CEILINGS if files.ceiling(repeats).is_file()), None)
    if repeats is None:
        return None, {"noise_ceiling": f"none: no {files.ceiling(CEILINGS[0]).name}"}
    path = files.ceiling(repeats)
    percent = read_map(path, next(iter(volumes.values()))).reshape(-1)[voxels.vertex]
    try:
        published = noise_ceiling_from_percent(percent)
    except DataError as error:
        raise DataError.of(path, f"is no map in per cent: {error}; get it again") from None
    rows.alive &= np.isfinite(published)
    counts = repeat_counts(np.full(1, repeats)), repeat_counts(rows.repeats)
    ceiling = noise_ceiling_at(np.nan_to_num(published), *counts)
    formula = f"S / (S + N * mean over images of 1 / repeats), S / N from the published map of {repeats} repeats"
    return ceiling, {"noise_ceiling": formula, "ceiling_repeats": repeats}
