"""THINGS-fMRI: single-trial responses of three subjects to 8,740 photographs of 720 concepts.

Layout (the data set's own notebook, ViCCo-Group/THINGS-data)::

    betas_csv/sub-01_ResponseData.h5       pandas HDF5: voxel_id and a column a trial, a row a voxel
    betas_csv/sub-01_VoxelMetadata.csv     voxel_id, voxel_x/y/z, nc_singletrial, nc_testset, ..., ROIs as 0/1
    betas_csv/sub-01_StimulusMetadata.csv  trial_type, session, run, subject_id, trial_id, stimulus, concept
    brainmasks/sub-01_space-T1w_brainmask.nii.gz
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import Voxels
from factortopy.datasets.things.files import open_responses, read_table, read_trials, tables_folder, whole_numbers
from factortopy.errors import DataError
from factortopy.images import images_by_name
from factortopy.progress import progress_bar
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

BLOCK = 64 * 2**20
"""Bytes of responses held at once beside the rows."""
INDICES = ("voxel_x", "voxel_y", "voxel_z")
CEILING = "nc_singletrial"
NO_ROI = ("voxel_", "subject_id", "nc_", "splithalf_", "prf-")
"""How columns begin that are no ROIs."""
ATLAS = "glasser-"
CEILING_FORMULA = (
    "c / (c + (1 - c) m), c = nc_singletrial (per cent) / 100 for single trials, m the mean over images of 1 / repeats"
)


def load_things(
    path: str | os.PathLike[str],
    subject: int = 1,
    *,
    voxels: str = "rois",
    atlas: bool = False,
    trials: Trials = "averaged",
    zscore: ZScore = "session",
    images: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Subject:
    """Read a subject of THINGS-fMRI from its tables, by blocks of voxels.

    Args:
        path: the folder that holds ``betas_csv`` (and ``brainmasks``), or ``betas_csv`` itself.
        subject: 1 to 3.
        voxels: ``"rois"``, those in any region but the atlas's; ``"all"`` (211,339 of subject 1, 7.4 GB); or
            the name of one ROI, such as ``"V1"`` or ``"glasser-FFC"``.
        atlas: keep the 180 ``glasser-`` regions among the ROIs.
        trials: ``"averaged"``, the 12 trials of a test image make one row, or ``"single"``.
        zscore: ``"session"``: over all trials of a session, test trials too; ``"none"``: as in the file.
        images: folder beneath which the photographs lie; they are no part of this release.
        progress: show a bar.

    Returns:
        Image ids are the file names in ``stimulus``. Coordinates are mm by the affine of the brain mask, or
        voxel indices where there is none: the provenance says which. ``vertex`` is ``voxel_id``. ROIs are
        the table's, and unions of left and right (``lEBA``, ``rEBA``: ``EBA``), of V2 and V3 (``V2V3``), and
        ``OPA`` for its transverse occipital sulcus (``TOS``).

    Raises:
        DataError: if a file is missing, damaged, or does not fit the others.
        UnknownNameError: if there is no such ROI.

    Example:
        >>> subject = ft.load_things("things", subject=1, progress=False)
        >>> subject.responses.shape[1] == len(subject.voxels)
        True
    """
    root, name = Path(path), f"sub-{subject:02d}"
    tables = tables_folder(root)
    file = tables / f"{name}_VoxelMetadata.csv"
    shown = read_trials(tables / f"{name}_StimulusMetadata.csv")
    table = read_table(file, ("voxel_id", *INDICES))
    everywhere, space = _voxels(root, name, table, file)
    chosen = everywhere.choose(voxels)
    stimuli = shown["stimulus"].to_numpy(str)
    photographs = None if images is None else images_by_name(images, np.unique(stimuli).tolist(), f"{name} stimuli")
    rows = TrialRows(stimuli, shown["session"].to_numpy(), len(chosen), trials, zscore)
    with open_responses(tables / f"{name}_ResponseData.h5", everywhere.vertex, len(shown)) as responses:
        step = max(1, BLOCK // (4 * len(shown)))
        with progress_bar("Responses", total=len(chosen), show=progress) as advance:
            for start in range(0, len(chosen), step):
                part = slice(start, min(start + step, len(chosen)))
                rows.add(np.arange(len(rows.images)), part, responses.read(chosen.column[part]))
                advance(part.stop - part.start)
    ceiling, unknown = _ceiling(table, file, chosen, rows.repeats)
    if not atlas:
        chosen = replace(chosen, rois={roi: m for roi, m in chosen.rois.items() if not roi.startswith(ATLAS)})
    facts = {
        "kind": "things",
        "folder": str(root.resolve()),
        "voxels": voxels,
        "coordinates": space,
        "noise_ceiling": "none: there is no nc_singletrial" if ceiling is None else CEILING_FORMULA,
        "voxels_of_unknown_ceiling": f"{unknown}, taken as 0",
    }
    return rows.subject(name, chosen.plain, ceiling, photographs, facts)


def things_test_images(path: str | os.PathLike[str], subject: int = 1) -> tuple[str, ...]:
    """File names of the 100 test images of THINGS-fMRI, for ``split_with_test``.

    Args:
        path: the folder that holds ``betas_csv``, or that one itself.
        subject: 1 to 3.

    Raises:
        DataError: if the table of stimuli is missing or damaged.

    Example:
        >>> test = ft.things_test_images("things", subject=1)
        >>> len(set(test)) == len(test)
        True
    """
    shown = read_trials(tables_folder(Path(path)) / f"sub-{subject:02d}_StimulusMetadata.csv")
    return tuple(sorted(set(shown.loc[shown["trial_type"] == "test", "stimulus"])))


def _voxels(root: Path, name: str, table: Any, path: Path) -> tuple[RecordedVoxels, str]:
    """All voxels in the order of their table, and the space of their coordinates."""
    indices = np.stack([whole_numbers(table, axis, path) for axis in INDICES], axis=1)
    voxel_ids = whole_numbers(table, "voxel_id", path)
    if len(np.unique(voxel_ids)) != len(voxel_ids):
        raise DataError.of(path, "names a voxel_id twice; it is damaged, get it again")
    rois = _rois(table)
    mask = root / "brainmasks" / f"{name}_space-T1w_brainmask.nii.gz"
    if mask.is_file():
        image = open_volume(mask)
        if indices.min() < 0 or (indices >= np.array(image.shape[:3])).any():
            raise DataError.of(path, f"has voxels outside the volume {image.shape} of {mask}; get both again")
        coordinates, space = volume_coordinates(indices, image.affine), "mm, T1w space of the subject"
        left = coordinates[:, 0] < 0
    else:
        coordinates = indices.astype(np.float32)
        left, space = _left_by_regions(coordinates[:, 0], rois), "voxel indices: there is no brain mask"
    regions = tuple(roi for roi in rois if not roi.startswith(ATLAS))
    voxels = Voxels.at(coordinates, np.where(left, "left", "right"), voxel_ids)
    kinds = {"rois": regions} if regions else {}
    return RecordedVoxels.of_volume(replace(voxels, rois=rois), **kinds), space


def _rois(table: Any) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """Columns of 0 and 1 that are no measures, and the unions of these that other data sets call regions."""
    masks = {}
    for column in table.columns:
        if str(column).startswith(NO_ROI) or table[column].dtype.kind not in "biuf":
            continue
        values = table[column].to_numpy()
        if np.isin(values, (0, 1)).all():
            masks[str(column)] = values.astype(bool)
    for left in [name for name in masks if name[0] == "l" and f"r{name[1:]}" in masks]:
        masks.setdefault(left[1:], masks[left] | masks[f"r{left[1:]}"])
    for union, parts in {"V2V3": ("V2", "V3"), "OPA": ("TOS",)}.items():
        if union not in masks and all(part in masks for part in parts):
            masks[union] = np.any([masks[part] for part in parts], axis=0)
    return masks


def _left_by_regions(x: Float[np.ndarray, "voxel"], rois: dict[str, np.ndarray]) -> Bool[np.ndarray, "voxel"]:
    """Left of the middle, or right of it where regions named l... lie there: indices may run either way."""
    low = x < (x.min() + x.max()) / 2
    pairs = [(rois[name], rois[f"r{name[1:]}"]) for name in rois if name[0] == "l" and f"r{name[1:]}" in rois]
    apart = [x[left].mean() - x[right].mean() for left, right in pairs if left.any() and right.any()]
    return ~low if sum(apart) > 0 else low


def _ceiling(
    table: Any, path: Path, chosen: RecordedVoxels, repeats: np.ndarray
) -> tuple[Float[np.ndarray, "voxel"] | None, int]:
    """The ceiling of the rows, and how many voxels have none in the table."""
    if CEILING not in table.columns:
        return None, 0
    percent = table[CEILING].to_numpy()[chosen.column]
    if percent.dtype.kind not in "fiu":
        raise DataError(f"{path}: column {CEILING} must hold numbers, found {percent.dtype}; get it again", path=path)
    unknown = ~np.isfinite(percent)
    try:
        single = noise_ceiling_from_percent(np.where(unknown, 0, percent))
    except DataError as error:
        raise error.at(path) from error
    return noise_ceiling_at(single, (1,), repeat_counts(repeats)), int(unknown.sum())
