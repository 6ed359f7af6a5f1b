"""Where the files of LAION-fMRI lie, and which image each trial showed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped

from factortopy.errors import DataError
from factortopy.storage import open_volume, read_values, reading

SUBJECTS = {1: "p01", 3: "p04", 5: "p03", 6: "p02", 7: "p05"}
"""How each subject is called at the end of the names of images that it alone saw."""
OWN = re.compile(r"unique_.*_(p\d\d)\.\w+")
MASKS = ("anatomical", "rsquare")
BETAS = "space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"
TRIALS = "desc-SingletrialBetas_trials.tsv"
COLUMNS = ("session", "run", "beta_index", "label")
PLACE = 0.5
"""Largest distance of the same voxel in two files, in voxels: beyond it they lie on different grids."""


@dataclass(frozen=True)
class LaionFiles:
    """The files of one subject; none is opened here.

    Attributes:
        root: the folder that holds ``derivatives``.
        subject: 1, 3, 5, 6 or 7.
    """

    root: Path
    subject: int

    @property
    def name(self) -> str:
        """The subject's name in paths, e.g. ``sub-01``."""
        return f"sub-{self.subject:02d}"

    @property
    def betas(self) -> Path:
        """The folder of the subject's sessions."""
        return self.root / "derivatives" / "glmsingle-tedana" / self.name

    @property
    def rois(self) -> Path:
        """The folder of the ROIs, one folder a category in it."""
        return self.root / "derivatives" / "rois" / self.name

    def sessions(self) -> dict[int, Path]:
        """The betas of the sessions that are there, by number."""
        found = {}
        for folder in sorted(self.betas.glob("ses-[0-9][0-9]")):
            file = folder / "func" / f"{self.name}_{folder.name}_task-images_{BETAS}"
            if file.is_file():
                found[int(folder.name[4:])] = file
        if not found:
            example = self.betas / "ses-01" / "func" / f"{self.name}_ses-01_task-images_{BETAS}"
            raise DataError.of(example, "is missing, and so are other sessions; get betas of this subject")
        return found

    def trials(self, session: int) -> Path:
        """The table of a session's trials."""
        name = f"ses-{session:02d}"
        return self.betas / name / "func" / f"{self.name}_{name}_task-images_{TRIALS}"

    def ceiling(self, repeats: int) -> Path:
        """The noise ceiling, in per cent, of images shown so many times."""
        return self.betas / f"{self.name}_task-images_space-T1w_desc-Noiseceiling{repeats}rep_statmap.nii.gz"

    def mask(self, kind: str) -> Path:
        """The volume that is above 0 in the brain (``anatomical``) or where the model of trials fits (``rsquare``)."""
        if kind == MASKS[1]:
            return self.betas / f"{self.name}_task-images_space-T1w_stat-rsquare_desc-R2mean_statmap.nii.gz"
        folder = self.root / "derivatives" / "anatomical" / self.name / "ses-PrismaAnat" / "anat"
        return folder / f"{self.name}_ses-PrismaAnat_space-T1w_res-1pt8_desc-brain_mask.nii.gz"

    def regions(self) -> dict[tuple[str, str], Path]:
        """ROI masks on the grid of the betas by category and name; hyphens in names are left out."""
        found = {}
        for file in sorted(self.rois.glob(f"*/{self.name}_space-T1w_res-1pt8_label-*_mask.nii.gz")):
            label = file.name.partition("_label-")[2].removesuffix("_mask.nii.gz")
            found[file.parent.name, label.replace("-", "")] = file
        return found


def read_trials(path: Path, session: int, count: int) -> Shaped[np.ndarray, "trial"]:
    """Name of the image of each trial of a session, in the order of its betas.

    Args:
        path: the table.
        session: its number.
        count: trials that the betas have.

    Raises:
        DataError: if it is damaged, of another session, or of another number of trials.
    """
    import pandas

    with reading(path, "it is truncated or no table; get it again"):
        table = pandas.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise DataError.of(path, f"has no column {', '.join(missing)}; get it again")
    if len(table) != count:
        raise DataError.of(path, f"lists {len(table)} trials, the betas have {count}; get both files again")
    others = set(table["session"]) - {f"ses-{session:02d}"}
    if others:
        raise DataError.of(path, f"lists trials of {min(others)}; get it again")
    with reading(path, "beta_index must hold whole numbers; get it again"):
        index = table["beta_index"].astype(int).to_numpy()
    if not np.array_equal(np.sort(index), np.arange(count)):
        fault = f"has a beta_index from {index.min()} to {index.max()}, expected each of 0 to {count - 1} once"
        raise DataError.of(path, f"{fault}; get it again")
    if (table["label"] == "").any():
        raise DataError.of(path, "has trials without a label; get it again")
    images = np.empty(count, dtype=object)
    images[index] = table["label"].to_numpy()
    return images.astype(str)


def check_owner(path: Path, images: Shaped[np.ndarray, "trial"], subject: int) -> None:
    """Refuse trials of images that only another subject saw."""
    owners = {match[1] for name in set(images.tolist()) if (match := OWN.fullmatch(name))}
    others = sorted(owners - {SUBJECTS[subject]})
    if others:
        number = next((number for number, suffix in SUBJECTS.items() if suffix == others[0]), None)
        whose = others[0] if number is None else f"sub-{number:02d} ({others[0]})"
        fault = f"shows images that only {whose} saw, sub-{subject:02d} has {SUBJECTS[subject]}"
        raise DataError.of(path, f"{fault}; it is of another subject: get it again")


def read_map(path: Path, betas: Any) -> Float[np.ndarray, "x y z"]:
    """A volume on the grid of the betas, whose header ``betas`` is.

    Raises:
        DataError: if it is damaged or lies on another grid.
    """
    image, grid = open_volume(path), tuple(betas.shape[:3])
    if tuple(image.shape) != grid:
        raise DataError.of(path, f"has shape {tuple(image.shape)}, the betas {grid}; get those of one resolution")
    corners = np.stack(np.meshgrid(*([0, length - 1] for length in grid), [1], indexing="ij"), axis=-1).reshape(-1, 4)
    apart = np.abs(corners @ (np.asarray(image.affine) - betas.affine).T).max()
    if apart > PLACE * np.linalg.norm(betas.affine[:3, 0]):
        fault = f"lies elsewhere than the betas by up to {apart:.1f} mm"
        raise DataError.of(path, f"{fault}, by its header; get files of one release")
    return np.asarray(read_values(image, path), dtype=np.float64)


def read_mask(path: Path, betas: Any) -> Bool[np.ndarray, "x y z"]:
    """Where a volume on the grid of the betas is above 0."""
    mask = read_map(path, betas) > 0
    if not mask.any():
        raise DataError.of(path, "is empty: no voxel is above 0; get it again")
    return mask
