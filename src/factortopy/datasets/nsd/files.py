"""Where the files of the Natural Scenes Dataset (NSD) lie."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from factortopy.errors import DataError, UnknownNameError

SPACES = ("fsaverage", "nativesurface", "func1pt8mm", "func1mm")
PREPARATIONS = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf", "betas_assumehrf")
PREFIXES = {"left": "lh.", "right": "rh.", "volume": ""}
SUFFIXES = {"fsaverage": (".mgh",), "nativesurface": (".hdf5",)}
"""Of the betas on surfaces."""
VOLUMES = (".hdf5", ".nii.gz")
"""Of the betas in volumes: in the first that is there they are quicker to read."""


@cache
def published_sessions() -> dict[int, int]:
    """Sessions of each subject, 1 to 8; earlier releases lack the last three."""
    counts = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
    return {int(name.removeprefix("subj")): count["sessions"] for name, count in counts.items()}


def design_file(root: Path) -> Path:
    """The file that says which trial showed which image."""
    return root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"


def stimuli_file(root: Path) -> Path:
    """The photographs."""
    return root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"


def betas_folders(root: Path) -> list[Path]:
    """The folders of the subjects whose betas are there."""
    return sorted((root / "nsddata_betas" / "ppdata").glob("subj0[1-8]"))


def preparations_in(folder: Path) -> list[dict[str, str]]:
    """``space`` and ``preparation`` of all betas in a subject's folder, in the usual order."""
    names = [{"space": space, "preparation": preparation} for space in SPACES for preparation in PREPARATIONS]
    return [name for name in names if folder.joinpath(*name.values()).is_dir()]


@dataclass(frozen=True)
class NsdFiles:
    """The files of one subject in one space and preparation; none is opened here."""

    root: Path
    subject: int
    space: str
    preparation: str
    preparations: ClassVar[tuple[str, ...]] = PREPARATIONS
    stem: ClassVar[str] = "betas_session{:02d}"
    """What the files of a session's betas are called, without hemisphere and ending."""

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise UnknownNameError("space of NSD", self.space, SPACES)
        if self.preparation not in self.preparations:
            raise UnknownNameError("preparation of NSD", self.preparation, self.preparations)
        if self.subject not in published_sessions():
            raise DataError(f"NSD has the subjects 1 to 8, got {self.subject!r}")
        if not self.root.is_dir():
            raise DataError.of(self.root, "is no folder; give the one that holds nsddata and nsddata_betas")
        if not self.betas.is_dir():
            raise DataError.of(self.betas, "is missing; get this folder of NSD or choose another preparation")

    @property
    def name(self) -> str:
        """The subject's name in paths, e.g. ``subj01``."""
        return f"subj{self.subject:02d}"

    @property
    def parts(self) -> tuple[str, ...]:
        """What a session is divided into: two hemispheres, or one volume."""
        return ("volume",) if self.space.startswith("func") else ("left", "right")

    @property
    def betas(self) -> Path:
        """The folder of the betas."""
        return self.root / "nsddata_betas" / "ppdata" / self.name / self.space / self.preparation

    @property
    def stimulus_info(self) -> Path:
        """The table of all images."""
        return design_file(self.root).with_name("nsd_stim_info_merged.csv")

    @property
    def anatomy(self) -> Path:
        """The FreeSurfer folder whose surface the vertices are of; for volumes the subject's own."""
        name = "fsaverage" if self.space == "fsaverage" else self.name
        return self.root / "nsddata" / "freesurfer" / name

    @property
    def labels(self) -> Path:
        """The folder of the ROIs in this space."""
        if self.parts == ("volume",):
            return self.root / "nsddata" / "ppdata" / self.name / self.space / "roi"
        return self.anatomy / "label"

    def surface(self, part: str, name: str) -> Path:
        """A mesh of one hemisphere, e.g. its ``sphere``."""
        return self.anatomy / "surf" / f"{PREFIXES[part]}{name}"

    def label(self, part: str, name: str) -> Path:
        """The file of one kind of ROI."""
        return self.labels / f"{PREFIXES[part]}{name}{'.nii.gz' if part == 'volume' else '.mgz'}"

    def ncsnr(self, part: str) -> Path:
        """The file of the noise ceiling's signal to noise ratio."""
        return self.betas / f"{PREFIXES[part]}ncsnr{'.nii.gz' if part == 'volume' else '.mgh'}"

    def session(self, part: str, session: int) -> Path:
        """The betas of one session, counted from 1, in the form that is there."""
        files = [
            self.betas / f"{PREFIXES[part]}{self.stem.format(session)}{suffix}"
            for suffix in SUFFIXES.get(self.space, VOLUMES)
        ]
        return next((file for file in files if file.is_file()), files[0])

    def sessions(self, chosen: Iterable[int] | None = None) -> tuple[int, ...]:
        """The sessions on disk, or those chosen of them, in order."""
        numbers = {number for number in range(100) for part in self.parts if self.session(part, number).is_file()}
        wanted = sorted(numbers if chosen is None else {int(number) for number in chosen})
        if not wanted:
            example = self.session(self.parts[0], 1).name + (" or .nii.gz" if self.parts == ("volume",) else "")
            raise DataError.of(self.betas, f"holds no session ({example}, and so on); get the files again")
        for file in (self.session(part, session) for session in wanted for part in self.parts):
            if not file.is_file():
                raise DataError.of(file, "is missing; get it, or do without this session")
        return tuple(wanted)
