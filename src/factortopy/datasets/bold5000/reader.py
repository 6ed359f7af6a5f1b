"""BOLD5000 (release 2): single-trial betas of four subjects to 4,916 photographs, 113 of them repeated.

Layout (figshare 14456124, OpenNeuro ds001499)::

    CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_ses-01.nii.gz     x, y, z, trial
    CSI1_imgnames.txt                                          the image of each trial, sessions in order
    CSI1_brainmask.nii.gz
    derivatives/spm/sub-CSI1/sub-CSI1_mask-LHPPA.nii.gz        masks of regions
    BOLD5000_Stimuli/Scene_Stimuli/Presented_Stimuli/{Scene,COCO,ImageNet}/
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.cortex import Voxels
from factortopy.datasets.volumes import session_blocks
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import images_by_name
from factortopy.storage import open_volume, read_text, read_values, reading, volume_coordinates
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

PREPARATIONS = ("TYPED-FITHRF-GLMDENOISE-RR", "TYPEC-FITHRF-GLMDENOISE", "TYPEB-FITHRF", "TYPEA-ASSUMEHRF")
BETAS = re.compile(r"(CSI[1-4])_GLMbetas-(.+)_ses-(\d\d)\.nii(?:\.gz)?")
STIMULI = Path("BOLD5000_Stimuli", "Scene_Stimuli", "Presented_Stimuli")
LISTS = Path("BOLD5000_Stimuli", "Stimuli_Presentation_Lists")
REPEATED = "rep_"
"""Stands before names of repeated images in some lists."""
SPELLINGS = {"LO": "LOC", "RRSC": "RSC"}
"""Regions whose files are named otherwise for two subjects."""


def betas_in(root: Path) -> dict[tuple[str, str], list[tuple[int, Path]]]:
    """(session, file) of all betas in a folder and those below it, by subject and preparation."""
    files: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for file in sorted([*root.glob("CSI*"), *root.glob("*/CSI*")]):
        if match := BETAS.fullmatch(file.name):
            files.setdefault((match[1], match[2]), []).append((int(match[3]), file))
    return files


def listed_images(root: Path) -> list[str]:
    """File names of the images in the lists of all subjects that are there."""
    names: set[str] = set()
    for pattern in ("CSI?_imgnames.txt", "*/CSI?_imgnames.txt", f"{LISTS}/CSI?/CSI?_imgnames.txt"):
        for file in root.glob(pattern):
            names.update(_read_names(file))
    return sorted(names)


def _read_names(path: Path) -> list[str]:
    """The image of each trial, by a text with one file name a line."""
    with reading(path, "expected a text with one file name a line"):
        lines = [line.strip() for line in read_text(path).splitlines()]
        return [Path(line).name.removeprefix(REPEATED) for line in lines if line]


@dataclass(frozen=True, eq=False)
class BoldFiles:
    """The files of one subject; nothing is read but a few headers.

    Attributes:
        root: the folder given.
        name: of the subject, e.g. ``CSI1``.
        sessions: betas of each session, by number.
    """

    root: Path
    name: str
    sessions: dict[int, Path]

    @classmethod
    def find(cls, root: Path, subject: int, preparation: str) -> "BoldFiles":
        """The betas in a folder or in one folder below it."""
        name = f"CSI{subject}"
        sessions: dict[int, Path] = {}
        for number, file in betas_in(root).get((name, preparation), ()):
            if number in sessions:
                raise DataError.of(file, f"and {sessions[number]} are the same session; remove one")
            sessions[number] = file
        if not sessions:
            raise DataError.of(root, f"has no {name}_GLMbetas-{preparation}_ses-01.nii.gz; give the betas' folder")
        missing = sorted(set(range(1, max(sessions) + 1)) - set(sessions))
        if missing:
            fault = f"lacks the sessions {missing} of {name}, while the list of images has all"
            raise DataError.of(root, f"{fault}: get them, or take away the later ones")
        return cls(root, name, dict(sorted(sessions.items())))

    @property
    def folder(self) -> Path:
        """The folder of the first session's betas."""
        return next(iter(self.sessions.values())).parent

    def image_names(self, trials: int) -> np.ndarray:
        """File name of the image of each trial; the list may be longer where later sessions are not there."""
        file = f"{self.name}_imgnames.txt"
        candidates = [self.folder / file, self.root / file, self.root / LISTS / self.name / file]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            raise DataError.of(candidates[0], "is missing; it names the image of each trial: get it")
        names = _read_names(path)
        if len(names) < trials:
            fault = f"names {len(names)} images, but sessions 1 to {max(self.sessions)} have {trials} trials"
            raise DataError.of(path, f"{fault}; get both of one release")
        return np.array(names[:trials])

    def brain_mask(self) -> Path | None:
        """The mask of the brain, where it is there."""
        files = (folder / f"{self.name}_brainmask.nii.gz" for folder in (self.folder, self.root))
        return next((file for file in files if file.is_file()), None)

    def region_masks(self) -> dict[tuple[str, str], Path]:
        """Masks by hemisphere (``LH``, ``RH``) and region."""
        parents = (self.root / "derivatives" / "spm", self.root / "spm", self.root, self.folder)
        folders = (parent / f"sub-{self.name}" for parent in parents)
        folder = next((folder for folder in folders if folder.is_dir()), None)
        masks: dict[tuple[str, str], Path] = {}
        for file in sorted(folder.glob(f"sub-{self.name}_mask-*.nii.gz")) if folder else ():
            region = file.name.removesuffix(".nii.gz").split("_mask-", 1)[1]
            if region[:2] in ("LH", "RH") and len(region) > 2:
                masks[region[:2], SPELLINGS.get(region[2:], region[2:])] = file
        return masks


def read_mask(path: Path, grid: tuple[int, ...]) -> tuple[Bool[np.ndarray, "x y z"], Float[np.ndarray, "4 4"]]:
    """A mask on the grid of the betas, and its affine."""
    image = open_volume(path)
    if tuple(image.shape) != grid:
        raise DataError.of(path, f"has shape {image.shape}, the betas {grid}; get masks and betas of one release")
    mask = np.asarray(read_values(image, path)) > 0
    if not mask.any():
        raise DataError.of(path, "is empty: no voxel is in this mask; get it again")
    return mask, np.asarray(image.affine, dtype=float)


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
            fault = f"has shape {image.shape}, expected (*{grid}, trials) as the first session; get it again"
            raise DataError.of(files.sessions[session], fault)
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
            raise DataError.of(files.sessions[1], "has no values in its first trial; it is damaged, get it again")
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
    for here, block in session_blocks(files.sessions, volumes, inside, rows, progress):
        of_session = np.isin(repeated, here)
        kept[of_session] = block[repeated[of_session] - here[0]]
    if len(np.unique(rows.images[repeated])) < 2:
        return None
    return repeat_variance(kept, rows.images[repeated])
