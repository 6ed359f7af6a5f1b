"""Where the files of BOLD5000 lie: betas by session, names of images, masks of the brain and of regions."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from factortopy.errors import DataError
from factortopy.storage import open_volume, read_values, reading

PREPARATIONS = ("TYPED-FITHRF-GLMDENOISE-RR", "TYPEC-FITHRF-GLMDENOISE", "TYPEB-FITHRF", "TYPEA-ASSUMEHRF")
STIMULI = Path("BOLD5000_Stimuli", "Scene_Stimuli", "Presented_Stimuli")
LISTS = Path("BOLD5000_Stimuli", "Stimuli_Presentation_Lists")
REPEATED = "rep_"
"""Stands before names of repeated images in some lists."""
SPELLINGS = {"LO": "LOC", "RRSC": "RSC"}
"""Regions whose files are named otherwise for two subjects."""


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
        return [Path(name).name.removeprefix(REPEATED) for name in path.read_text(encoding="utf-8").split()]


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
        """The betas in a folder or in one folder below it.

        Raises:
            DataError: if there are none, or a session is there twice or missing between others.
        """
        name = f"CSI{subject}"
        pattern = re.compile(rf"{name}_GLMbetas-{re.escape(preparation)}_ses-(\d\d)\.nii(\.gz)?")
        sessions: dict[int, Path] = {}
        for file in sorted([*root.glob(f"{name}_GLMbetas-*"), *root.glob(f"*/{name}_GLMbetas-*")]):
            if match := pattern.fullmatch(file.name):
                if int(match[1]) in sessions:
                    raise DataError(f"{file} and {sessions[int(match[1])]} are the same session; remove one", path=file)
                sessions[int(match[1])] = file
        if not sessions:
            raise DataError(
                f"{root} has no {name}_GLMbetas-{preparation}_ses-01.nii.gz; give the betas' folder", path=root
            )
        missing = sorted(set(range(1, max(sessions) + 1)) - set(sessions))
        if missing:
            raise DataError(
                f"{root} lacks the sessions {missing} of {name}, while the list of images has all: "
                "get them, or take away the later ones",
                path=root,
            )
        return cls(root, name, dict(sorted(sessions.items())))

    @property
    def folder(self) -> Path:
        """The folder of the first session's betas."""
        return next(iter(self.sessions.values())).parent

    def image_names(self, trials: int) -> np.ndarray:
        """File name of the image of each trial.

        Args:
            trials: of all sessions; the list may be longer where later sessions are not there.

        Raises:
            DataError: if the list is missing or too short.
        """
        file = f"{self.name}_imgnames.txt"
        candidates = [self.folder / file, self.root / file, self.root / LISTS / self.name / file]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            raise DataError(f"{candidates[0]} is missing; it names the image of each trial: get it", path=candidates[0])
        names = _read_names(path)
        if len(names) < trials:
            raise DataError(
                f"{path} names {len(names)} images, but sessions 1 to {max(self.sessions)} have {trials} "
                "trials; get both of one release",
                path=path,
            )
        return np.array(names[:trials])

    def brain_mask(self) -> Path | None:
        """The mask of the brain, where it is there."""
        files = (folder / f"{self.name}_brainmask.nii.gz" for folder in (self.folder, self.root))
        return next((file for file in files if file.is_file()), None)

    def region_masks(self) -> dict[tuple[str, str], Path]:
        """Masks by hemisphere (``LH``, ``RH``) and region."""
        folders = (self.root / "derivatives" / "spm", self.root / "spm", self.root, self.folder)
        folder = next(
            (parent / f"sub-{self.name}" for parent in folders if (parent / f"sub-{self.name}").is_dir()), None
        )
        masks: dict[tuple[str, str], Path] = {}
        for file in sorted(folder.glob(f"sub-{self.name}_mask-*.nii.gz")) if folder else ():
            region = file.name.removesuffix(".nii.gz").split("_mask-", 1)[1]
            if region[:2] in ("LH", "RH") and len(region) > 2:
                masks[region[:2], SPELLINGS.get(region[2:], region[2:])] = file
        return masks


def read_mask(path: Path, grid: tuple[int, ...]) -> tuple[Bool[np.ndarray, "x y z"], Float[np.ndarray, "4 4"]]:
    """A mask on the grid of the betas, and its affine.

    Raises:
        DataError: if it is damaged, lies on another grid, or holds nothing.
    """
    image = open_volume(path)
    if tuple(image.shape) != grid:
        raise DataError(
            f"{path} has shape {image.shape}, the betas {grid}; get masks and betas of one release", path=path
        )
    mask = np.asarray(read_values(image, path)) > 0
    if not mask.any():
        raise DataError(f"{path} is empty: no voxel is in this mask; get it again", path=path)
    return mask, np.asarray(image.affine, dtype=float)
