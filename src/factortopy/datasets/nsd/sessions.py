"""The betas of one NSD session in one part of the brain, in each of the forms that they are published in.

All kinds of session files say their ``path``, ``dtype`` (in this machine's byte order), how many ``trials`` and
``voxels`` they have, by what ``divisor`` their numbers become per cent signal change, and ``by_trial``, whether
they are quickest read trial after trial, and not voxel after voxel. They are never read whole where that is large.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int, Shaped

from factortopy.errors import DataError
from factortopy.storage import check_dataset, open_volume, read_values, reading

TRIALS_AT_ONCE = 32
ROW = 4096
"""Neighbouring vertices of a surface that are read from HDF5 at once."""
GAP = 32
"""Voxels not asked for that are read along with their neighbours, as one read more takes longer."""


class SessionFile(Protocol):
    """What all kinds of session files have in common."""

    path: Path
    trials: int
    divisor: int
    by_trial: bool
    dtype: np.dtype

    def read(
        self, columns: Int[np.ndarray, "column"], trials: slice = slice(None)
    ) -> Shaped[np.ndarray, "trial column"]:
        """The file's own numbers for some voxels (their ascending indices) and trials."""


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
        fault = ""
        if shape[1:] != self._grid or not shape[0]:
            fault = (
                f"have shape {betas.shape}, expected (trials, {', '.join(map(str, self._grid))}): the axes of MATLAB's "
                "file the other way round; a file with other axes or of another space"
            )
        elif betas.dtype != self.dtype:
            fault = f"are {betas.dtype}, expected int16, 300 times per cent signal change"
        if fault:
            raise DataError(f"betas of {self.path} {fault}", path=self.path)
        check_dataset(betas, self.path)

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


class NiftiSession:
    """``.nii.gz`` of a volume: int16, 300 times the per cent signal change, without scaling in the header.

    Its shape is (X, Y, Z, trials), the axes of the HDF5 file the other way round; voxels are counted as there, X
    fastest. A header of another type, shape, scaling or orientation than expected is an error.

    Args:
        path: the file.
        grid: (Z, Y, X).
        affine: of the files that say where voxels lie.
    """

    divisor = 300
    by_trial = True
    dtype = np.dtype("int16")

    def __init__(self, path: Path, grid: tuple[int, ...], affine: Float[np.ndarray, "4 4"]) -> None:
        self.path, self.voxels = path, int(np.prod(grid))
        self._image = open_volume(path)
        stored, shape = self._image.dataobj.dtype, tuple(int(length) for length in self._image.shape)
        scaling = float(self._image.dataobj.slope), float(self._image.dataobj.inter)
        fault = ""
        if len(shape) != 4 or shape[:3] != grid[::-1]:
            fault = f"has shape {shape}, expected ({', '.join(map(str, grid[::-1]))}, trials)"
        elif stored.newbyteorder("=") != self.dtype:
            fault = f"holds {stored.name}, expected int16, 300 times per cent signal change"
        elif scaling != (1, 0):
            fault = f"has a header that scales by {scaling[0]:g} and adds {scaling[1]:g}, NSD's have none"
        elif not _same_orientation(self._image.affine, affine):
            fault = "has axes that run otherwise than those of its ROIs and ncsnr"
        if fault:
            raise DataError.of(path, f"{fault}; it was saved again or is of another space: get NSD's own file")
        self.trials = shape[3]

    def read(self, columns: np.ndarray, trials: slice = slice(None)) -> np.ndarray:
        """As ``MghSession.read`` does."""
        numbers = range(*trials.indices(self.trials))
        rows = np.empty((len(numbers), len(columns)), self.dtype)
        for row, trial in zip(rows, numbers, strict=True):
            row[:] = read_values(self._image, self.path, (..., trial)).T.reshape(-1)[columns]
        return rows


def _same_orientation(one: Float[np.ndarray, "4 4"], other: Float[np.ndarray, "4 4"]) -> bool:
    """Whether axes of a volume run alike; the identity says nothing, as it stands in headers without a place."""
    from nibabel import aff2axcodes

    return np.array_equal(one, np.eye(4)) or aff2axcodes(one) == aff2axcodes(other)


def _runs(columns: Int[np.ndarray, "column"], row: int) -> Iterator[slice]:
    """Pieces of ascending columns that lie in one row of the file and near one another."""
    if len(columns):
        apart = (np.diff(columns) > GAP) | (np.diff(columns // row) > 0)
        for start, stop in pairwise([0, *(np.flatnonzero(apart) + 1), len(columns)]):
            yield slice(int(start), int(stop))
