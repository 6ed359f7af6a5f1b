"""The files of the Natural Scenes Dataset (NSD): where they lie, and the betas of one session in one.

Both kinds of session files say their ``path``, ``dtype`` (in this machine's byte order), how many ``trials`` and
``voxels`` they have, by what ``divisor`` their numbers become per cent signal change, and ``by_trial``, whether
they are quickest read trial after trial, and not voxel after voxel. They are never read whole where that is large.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import check_plausible, open_volume, reading

SPACES = ("fsaverage", "nativesurface", "func1pt8mm", "func1mm")
PREPARATIONS = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf", "betas_assumehrf")
PREFIXES = {"left": "lh.", "right": "rh.", "volume": ""}
TRIALS_AT_ONCE = 32
ROW = 4096
"""Neighbouring vertices of a surface that are read from HDF5 at once."""
GAP = 32
"""Voxels not asked for that are read along with their neighbours, as one read more takes longer."""


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

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise UnknownNameError("space of NSD", self.space, SPACES)
        if self.preparation not in PREPARATIONS:
            raise UnknownNameError("preparation of NSD", self.preparation, PREPARATIONS)
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
        """The betas of one session, counted from 1."""
        suffix = "mgh" if self.space == "fsaverage" else "hdf5"
        return self.betas / f"{PREFIXES[part]}betas_session{session:02d}.{suffix}"

    def sessions(self, chosen: Iterable[int] | None = None) -> tuple[int, ...]:
        """The sessions on disk, or those chosen of them, in order."""
        names = {self.session(part, number).name: number for number in range(100) for part in self.parts}
        numbers = {names[file] for file in os.listdir(self.betas) if file in names}
        wanted = sorted(numbers if chosen is None else set(chosen))
        if not wanted:
            example = self.session(self.parts[0], 1).name
            raise DataError.of(self.betas, f"holds no session ({example} and so on); get the files again")
        for file in (self.session(part, session) for session in wanted for part in self.parts):
            if not file.is_file():
                raise DataError.of(file, "is missing; get it, or choose sessions without it")
        return tuple(wanted)


class MghSession:
    """``.mgh`` of one hemisphere on fsaverage: big-endian float32, per cent signal change as it stands.

    Its shape is (vertices, 1, 1, trials), the vertices of a trial side by side. A header that is damaged, or says
    another shape or type or more than the file holds, is an error.
    """

    divisor = 1
    by_trial = True
    dtype = np.dtype("float32")

    def __init__(self, path: Path, vertices: int) -> None:
        image = open_volume(path)
        stored, shape = image.dataobj.dtype, tuple(int(length) for length in image.header["dims"])
        if stored != np.dtype(">f4"):
            raise DataError.of(path, f"holds {stored.name}, expected float32 (per cent signal change)")
        if shape[:3] != (vertices, 1, 1):
            expected = f"expected ({vertices}, 1, 1, trials) as its surface has"
            raise DataError.of(path, f"has shape {shape}, {expected}; take betas and surface of the same space")
        self.path, self.voxels, self.trials = path, vertices, shape[3]
        self._start = int(image.dataobj.offset)

    def read(
        self, columns: Int[np.ndarray, "column"], trials: slice = slice(None)
    ) -> Shaped[np.ndarray, "trial column"]:
        """The file's own numbers for some voxels (their ascending indices) and trials, read in one pass."""
        first, last, _ = trials.indices(self.trials)
        rows = np.empty((last - first, len(columns)), self.dtype)
        raw = np.empty((min(TRIALS_AT_ONCE, last - first), self.voxels), ">f4")
        every_voxel = len(columns) == self.voxels
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self._start + first * raw.itemsize * self.voxels)
            for done in range(0, len(rows), len(raw)):
                part = raw[: len(rows) - done]
                if file.readinto(part.data.cast("B")) != part.nbytes:
                    raise DataError.of(self.path, "was cut while it was read; get it again")
                rows[done : done + len(part)] = part if every_voxel else part[:, columns]
        return rows


class Hdf5Session:
    """``.hdf5`` of a hemisphere or a volume: int16, 300 times the per cent signal change.

    MATLAB writes (voxels, trials) or (X, Y, Z, trials); HDF5 shows the axes the other way round. A chunk of
    the file holds all trials of one voxel, so that some voxels are cheap and one trial costs everything.
    Voxels are counted along the file: for a volume X runs fastest, then Y, then Z.

    ``grid`` is (vertices,) or (Z, Y, X). A file that is damaged, incomplete, or of another shape or type is an error.
    """

    divisor = 300
    by_trial = False
    dtype = np.dtype("int16")

    def __init__(self, path: Path, grid: tuple[int, ...]) -> None:
        self.path, self._grid, self.voxels = path, grid, int(np.prod(grid))
        with self._open() as betas:
            self._turned = betas.ndim == 2 and betas.shape[0] == grid[0] != betas.shape[1]
            shape = betas.shape[::-1] if self._turned else betas.shape
            self._check(betas, shape)
        self.trials = int(shape[0])

    def _check(self, betas: Any, shape: tuple[int, ...]) -> None:
        stored = betas.id.get_storage_size()
        fault = ""
        if shape[1:] != self._grid or not shape[0]:
            fault = (
                f"have shape {betas.shape}, expected (trials, {', '.join(map(str, self._grid))}): the axes of MATLAB's "
                "file the other way round; a file with other axes or of another space"
            )
        elif betas.dtype != self.dtype:
            fault = f"are {betas.dtype}, expected int16, 300 times per cent signal change"
        # Without a compressing filter every chunk takes its full size, if it was written at all.
        elif betas.compression is None and stored < betas.nbytes:
            fault = f"hold {stored:,} of {betas.nbytes:,} bytes; get the whole file again"
        if fault:
            raise DataError(f"betas of {self.path} {fault}", path=self.path)
        check_plausible(self.path, betas.nbytes, stored)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import h5py

        with reading(self.path), h5py.File(self.path, "r") as file:
            if not isinstance(file.get("betas"), h5py.Dataset):
                raise DataError.of(self.path, f"has no dataset betas, it holds {', '.join(file) or 'nothing'}")
            yield file["betas"]

    def read(self, columns: np.ndarray, trials: slice = slice(None)) -> np.ndarray:
        """As ``MghSession.read`` does."""
        first, last, _ = trials.indices(self.trials)
        rows = np.empty((last - first, len(columns)), self.dtype)
        with self._open() as betas:
            for run in _runs(columns, ROW if len(self._grid) == 1 else self._grid[-1]):
                *row, start = (int(i) for i in np.unravel_index(columns[run.start], self._grid))
                near = columns[run] - columns[run.start]
                along = slice(start, start + int(near[-1]) + 1)
                block = betas[along, trials].T if self._turned else betas[(trials, *row, along)]
                rows[:, run] = block[:, near]
        return rows


def _runs(columns: Int[np.ndarray, "column"], row: int) -> Iterator[slice]:
    """Pieces of ascending columns that lie in one row of the file and near one another."""
    if len(columns):
        apart = (np.diff(columns) > GAP) | (np.diff(columns // row) > 0)
        for start, stop in pairwise([0, *(np.flatnonzero(apart) + 1), len(columns)]):
            yield slice(int(start), int(stop))
