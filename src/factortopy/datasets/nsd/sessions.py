"""One session of NSD betas in a file, read by trials or by voxels; never whole where that is large."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int, Shaped

from factortopy.errors import DataError
from factortopy.storage import check_plausible, open_volume, reading

TRIALS_AT_ONCE = 32
ROW = 4096
"""Neighbouring vertices of a surface that are read from HDF5 at once."""
GAP = 32
"""Voxels not asked for that are read along with their neighbours, as one read more takes longer."""


class SessionFile(Protocol):
    """The betas of one session of a hemisphere or a volume.

    Attributes:
        path: the file.
        trials, voxels: how many.
        dtype: of its numbers, in this machine's byte order.
        divisor: its numbers divided by it are per cent signal change.
        by_trial: whether it is quickest read trial after trial, and not voxel after voxel.
    """

    path: Path
    trials: int
    voxels: int
    dtype: np.dtype
    divisor: int
    by_trial: bool

    def read(
        self, columns: Int[np.ndarray, "column"], trials: slice = slice(None)
    ) -> Shaped[np.ndarray, "trial column"]:
        """The file's own numbers for some voxels and trials.

        Args:
            columns: indices of the voxels in the file, ascending.
            trials: of which trials; all by default.

        Raises:
            DataError: if the file ends too early or is damaged.
        """


class MghSession:
    """``.mgh`` of one hemisphere on fsaverage: big-endian float32, per cent signal change as it stands.

    Args:
        path: the file, shape (vertices, 1, 1, trials), the vertices of a trial side by side.
        vertices: that the hemisphere has.

    Raises:
        DataError: if the header is damaged, says another shape or type, or more than the file holds.
    """

    divisor = 1
    by_trial = True
    dtype = np.dtype("float32")

    def __init__(self, path: Path, vertices: int) -> None:
        image = open_volume(path)
        stored, shape = image.dataobj.dtype, tuple(int(length) for length in image.header["dims"])
        if stored != np.dtype(">f4"):
            raise DataError(f"{path} holds {stored.name}, expected float32 (per cent signal change)", path=path)
        if shape[:3] != (vertices, 1, 1):
            raise DataError(
                f"{path} has shape {shape}, expected ({vertices}, 1, 1, trials) as its surface has; "
                "take betas and surface of the same space",
                path=path,
            )
        self.path, self.voxels, self.trials = path, vertices, shape[3]
        self._start = int(image.dataobj.offset)

    def read(self, columns: np.ndarray, trials: slice = slice(None)) -> np.ndarray:
        """See ``SessionFile.read``; the file is read in one pass, some trials at a time."""
        first, last, _ = trials.indices(self.trials)
        rows = np.empty((last - first, len(columns)), self.dtype)
        raw = np.empty((min(TRIALS_AT_ONCE, last - first), self.voxels), ">f4")
        whole = len(columns) == self.voxels
        with open(self.path, "rb", buffering=0) as file:
            file.seek(self._start + first * raw.itemsize * self.voxels)
            for done in range(0, len(rows), len(raw)):
                part = raw[: len(rows) - done]
                if file.readinto(part.data.cast("B")) != part.nbytes:
                    raise DataError(f"{self.path} was cut while it was read; get it again", path=self.path)
                rows[done : done + len(part)] = part if whole else part[:, columns]
        return rows


class Hdf5Session:
    """``.hdf5`` of a hemisphere or a volume: int16, 300 times the per cent signal change.

    MATLAB writes (voxels, trials) or (X, Y, Z, trials); HDF5 shows the axes the other way round. A chunk of
    the file holds all trials of one voxel, so that some voxels are cheap and one trial costs everything.
    Voxels are counted along the file: for a volume X runs fastest, then Y, then Z.

    Args:
        path: the file with the dataset ``betas``.
        grid: (vertices,) or (Z, Y, X).

    Raises:
        DataError: if the file is damaged, incomplete, or of another shape or type.
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
                raise DataError(
                    f"{self.path} has no dataset betas, it holds {', '.join(file) or 'nothing'}", path=self.path
                )
            yield file["betas"]

    def read(self, columns: np.ndarray, trials: slice = slice(None)) -> np.ndarray:
        """See ``SessionFile.read``."""
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
