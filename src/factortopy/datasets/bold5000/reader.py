"""BOLD5000 (release 2): single-trial betas of four subjects to 4,916 photographs, 113 of them repeated.

Layout (figshare 14456124, OpenNeuro ds001499)::

    CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_ses-01.nii.gz     x, y, z, trial
    CSI1_imgnames.txt                                          the image of each trial, sessions in order
    CSI1_brainmask.nii.gz
    derivatives/spm/sub-CSI1/sub-CSI1_mask-LHPPA.nii.gz        masks of regions
    BOLD5000_Stimuli/Scene_Stimuli/Presented_Stimuli/{Scene,COCO,ImageNet}/
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import Voxels
from factortopy.datasets.bold5000.files import PREPARATIONS, STIMULI, BoldFiles, read_mask
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import images_by_name
from factortopy.progress import progress_bar
from factortopy.storage import open_volume, read_values, volume_coordinates
from factortopy.subjects import (
    REPEATS_FORMULA,
    RecordedVoxels,
    RepeatVariance,
    Subject,
    TrialRows,
    Trials,
    ZScore,
    repeat_counts,
    repeat_variance,
)


def load_bold5000(
    path: str | os.PathLike[str],
    subject: int = 1,
    *,
    preparation: str = PREPARATIONS[0],
    voxels: str = "all",
    trials: Trials = "averaged",
    zscore: ZScore = "session",
    images: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Subject:
    """Read a subject of BOLD5000, one volume at a time.

    Args:
        path: the folder of the betas, or the one above.
        subject: 1 to 4.
        preparation: how the betas were estimated, e.g. ``"TYPED-FITHRF-GLMDENOISE-RR"``.
        voxels: ``"all"`` of the brain mask (without one, all that vary); ``"rois"``, those in any region; or
            the name of one region, such as ``"PPA"`` or ``"LHPPA"``.
        trials: ``"averaged"``, the 3 or 4 trials of a repeated image make one row, or ``"single"``.
        zscore: ``"session"``: over all trials of a session, repeated images too; ``"none"``: as in the files.
        images: folder beneath which the photographs lie; by default ``BOLD5000_Stimuli``, if it is there.
        progress: show a bar.

    Returns:
        Image ids are file names, by ascending name. Coordinates are mm by the affine of the brain mask: that
        of the betas is not right in this release. The ceiling is estimated from the repeated images alone.

    Raises:
        DataError: if a file is missing, damaged, or does not fit the others.
        UnknownNameError: if there is no such preparation or region.

    Example:
        >>> subject = ft.load_bold5000("bold5000", subject=1, progress=False)
        >>> subject.responses.shape[1] == len(subject.voxels)
        True
    """
    if preparation not in PREPARATIONS:
        raise UnknownNameError("preparation of BOLD5000", preparation, PREPARATIONS)
    root = Path(path)
    files = BoldFiles.find(root, subject, preparation)
    volumes = {session: open_volume(file) for session, file in files.sessions.items()}
    grid, counts = _check_shapes(files, volumes)
    shown = files.image_names(sum(counts))
    everywhere, space = _voxels(files, grid, volumes[1])
    chosen = everywhere.choose(voxels)
    ids = np.unique(shown).tolist()
    folder = root / STIMULI if images is None and (root / STIMULI).is_dir() else images
    photographs = None if folder is None else images_by_name(folder, ids, f"{files.name} stimuli")
    rows = TrialRows(shown, np.repeat(list(volumes), counts), len(chosen), trials, zscore)
    variance = _read(files, volumes, chosen.vertex, rows, progress)
    ceiling = None if variance is None else variance.ceiling(repeat_counts(rows.repeats))
    facts: dict[str, Any] = {
        "kind": "bold5000",
        "folder": str(root.resolve()),
        "preparation": preparation,
        "voxels": voxels,
        "coordinates": space,
        "noise_ceiling": "none: no image is repeated" if variance is None else REPEATS_FORMULA,
    }
    if variance is not None:
        facts["ceiling_from"] = {"repeated_images": variance.images, "trials": variance.trials}
        facts["voxels_of_ceiling_0"] = f"{variance.without_signal}, where repeats show no signal"
    return rows.subject(files.name, chosen.plain, ceiling, photographs, facts)


def _check_shapes(files: BoldFiles, volumes: dict[int, Any]) -> tuple[tuple[int, ...], list[int]]:
    """The grid of all sessions, and the number of trials of each."""
    grid = tuple(volumes[1].shape[:3])
    for session, image in volumes.items():
        if len(image.shape) != 4 or tuple(image.shape[:3]) != grid:
            raise DataError(
                f"{files.sessions[session]} has shape {image.shape}, expected (*{grid}, trials) as the first "
                "session; get it again",
                path=files.sessions[session],
            )
    return grid, [int(image.shape[3]) for image in volumes.values()]


def _voxels(files: BoldFiles, grid: tuple[int, ...], first: Any) -> tuple[RecordedVoxels, str]:
    """The voxels of the brain, and the space of their coordinates."""
    masks = {key: (file, *read_mask(file, grid)) for key, file in files.region_masks().items()}
    mask = files.brain_mask()
    if mask is not None:
        brain, affine = read_mask(mask, grid)
        space = f"mm, affine of {mask.name}"
    else:
        volume = read_values(first, files.sessions[1], (..., 0))
        brain = np.isfinite(volume) & (volume != 0)
        file, _, affine = next(iter(masks.values()), (files.sessions[1], brain, first.affine))
        space = f"mm, affine of {file.name} (there is no brain mask)"
        if not brain.any():
            raise DataError(
                f"{files.sessions[1]} has no values in its first trial; it is damaged, get it again",
                path=files.sessions[1],
            )
    coordinates = volume_coordinates(np.argwhere(brain), affine)
    rois: dict[str, Bool[np.ndarray, voxel]] = {}
    side = np.where(coordinates[:, 0] < 0, "left", "right")
    for (half, region), (_, members, _) in masks.items():
        rois[f"{half}{region}"] = members[brain]
        rois[region] = rois.get(region, np.zeros(len(side), bool)) | members[brain]
        side[members[brain]] = "left" if half == "LH" else "right"
    voxels = Voxels.at(coordinates, side, np.flatnonzero(brain))
    kinds = {"rois": tuple(rois)} if rois else {}
    return RecordedVoxels.of_volume(replace(voxels, rois=rois), **kinds), space


def _read(
    files: BoldFiles, volumes: dict[int, Any], inside: np.ndarray, rows: TrialRows, progress: bool
) -> RepeatVariance | None:
    """Add all sessions to the rows; the variances that the trials of repeated images show."""
    names, shown = np.unique(rows.images, return_counts=True)
    repeated = np.flatnonzero(np.isin(rows.images, names[shown > 1]))
    kept = np.zeros((len(repeated), len(inside)), dtype=np.float32)
    done = 0
    with progress_bar("Betas", total=len(rows.images), show=progress) as advance:
        for session, image in volumes.items():
            block: Float[np.ndarray, "trial voxel"] = np.empty((image.shape[3], len(inside)), dtype=np.float32)
            for trial in range(len(block)):
                block[trial] = read_values(image, files.sessions[session], (..., trial)).reshape(-1)[inside]
                advance()
            here = np.arange(done, done + len(block))
            block = rows.add(here, slice(None), block)
            of_session = np.isin(repeated, here)
            kept[of_session] = block[repeated[of_session] - done]
            done += len(block)
    if len(np.unique(rows.images[repeated])) < 2:
        return None
    return repeat_variance(kept, rows.images[repeated])
