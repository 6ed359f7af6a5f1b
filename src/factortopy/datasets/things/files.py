"""The tables of THINGS-fMRI: pandas' HDF5 of responses read without pandas, and two tables of text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.errors import DataError
from factortopy.storage import SMALL, check_dataset, reading

VOXEL_ID = "voxel_id"
REMEDY = "it is truncated or of another kind; get it again"


@dataclass(frozen=True, eq=False)
class _Block:
    """Two-dimensional numbers in a file: a dataset (row, column), or a field of one record a row."""

    dataset: Any
    field: str | None = None

    @property
    def dtype(self) -> np.dtype:
        return self.dataset.dtype if self.field is None else self.dataset.dtype[self.field].base

    @property
    def shape(self) -> tuple[int, int]:
        return self.dataset.shape if self.field is None else (len(self.dataset), *self.dataset.dtype[self.field].shape)

    @property
    def names(self) -> list[str]:
        """Names of the columns where the file has them as texts; none where they are something else or too large."""
        if self.field is not None:
            return []
        names = self.dataset.parent.get(self.dataset.name.rsplit("/", 1)[1].replace("_values", "_items"))
        if names is None or names.dtype.kind != "S" or names.shape != self.shape[1:] or names.nbytes > SMALL:
            return []
        return [name.decode("utf-8", errors="replace") for name in names[:]]

    def rows(self, rows: Any = slice(None)) -> np.ndarray:
        """Some rows, all columns of each."""
        return self.dataset[rows] if self.field is None else self.dataset[self.field, rows]


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Responses in a file: the column of each trial and the row of each voxel; nothing is read until asked for."""

    path: Path
    block: _Block
    columns: Int[np.ndarray, "trial"]
    row_of: Int[np.ndarray, "voxel"]

    def read(self, voxels: Int[np.ndarray, "taken"]) -> Float[np.ndarray, "trial taken"]:
        """Responses of some voxels (indices in the table of voxels) to all trials, float32."""
        rows, back = np.unique(self.row_of[voxels], return_inverse=True)
        dense = rows[-1] - rows[0] + 1 == len(rows)
        with reading(self.path, REMEDY):
            block = self.block.rows(slice(rows[0], rows[-1] + 1) if dense else rows)
        return np.ascontiguousarray(block[np.ix_(back, self.columns)].T, dtype=np.float32)


def tables_folder(root: Path) -> Path:
    """``betas_csv``, whether it is given or the folder that holds it."""
    return root / "betas_csv" if (root / "betas_csv").is_dir() else root


def read_table(path: Path, needed: tuple[str, ...]) -> Any:
    """A table of text (CSV) as a pandas data frame, which has the columns needed and a row at least."""
    import pandas

    with reading(path, REMEDY):
        table = pandas.read_csv(path)
    missing = [name for name in needed if name not in table.columns]
    if missing or not len(table):
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise DataError.of(path, f"{fault}; it is of another kind or truncated: get it again")
    return table


def whole_numbers(table: Any, name: str, path: Path) -> Int[np.ndarray, "row"]:
    """A column of whole numbers."""
    values = table[name].to_numpy()
    if values.dtype.kind not in "iufb" or not np.isfinite(values).all() or (values != np.rint(values)).any():
        fault = f"column {name} must hold whole numbers, found {values.dtype} or gaps: damaged"
        raise DataError(f"{path}: {fault}", path=path)
    return np.asarray(values, dtype=np.int64)


def read_trials(path: Path) -> Any:
    """The table of trials (session, stimulus and trial_type of each) in the order of the columns of responses.

    That order is ``trial_id``'s, where the table has one.
    """
    table = read_table(path, ("trial_type", "session", "stimulus"))
    kinds = set(table["trial_type"].astype(str)) - {"train", "test"}
    if kinds or table["stimulus"].isna().any():
        fault = f"the trial types {sorted(kinds)}" if kinds else "trials without a stimulus"
        raise DataError.of(path, f"has {fault}; expected train and test, each with a stimulus: get it again")
    if "trial_id" in table.columns:
        ids = whole_numbers(table, "trial_id", path)
        if not np.array_equal(np.sort(ids), np.arange(len(ids))):
            fault = f"does not name each trial_id from 0 to {len(ids) - 1} once"
            raise DataError.of(path, f"{fault}; trials are missing or stand twice: get it again")
        table = table.iloc[np.argsort(ids)].reset_index(drop=True)
    return table.assign(session=whole_numbers(table, "session", path), stimulus=table["stimulus"].astype(str))


@contextmanager
def open_responses(path: Path, voxel_ids: Int[np.ndarray, "voxel"], trials: int) -> Iterator[ResponseTable]:
    """Open the responses as pandas writes them, ``format="fixed"`` or ``"table"``; nothing is unpickled.

    pandas pickles the names of columns where they are numbers, as here. So they are not read: trials are
    taken to stand in their own order, and their number is checked; where the names are texts, these tell
    the order.

    Rows are told by ``voxel_ids``, which are in the order wanted.
    """
    import h5py

    with reading(path, REMEDY):
        file = h5py.File(path, "r")
    with file:
        with reading(path, REMEDY):
            table = _find(path, file, voxel_ids, trials)
        yield table


def _find(path: Path, file: Any, voxel_ids: np.ndarray, trials: int) -> ResponseTable:
    blocks = _blocks(file)
    for block in blocks:
        check_dataset(block.dataset, path)
    count = len(voxel_ids)
    for block in blocks:
        # voxel_id stands among the responses where these are of the same type; pandas puts it first.
        extra = block.shape[1] - trials
        if block.shape[0] == count and extra in (0, 1):
            names = block.names
            column_of = {name: column for column, name in enumerate(names)}
            in_order = all(str(trial) in column_of for trial in range(trials))
            columns = [column_of[str(trial)] if in_order else trial + extra for trial in range(trials)]
            if extra:
                stored = block.dataset[:, column_of.get(VOXEL_ID, 0)] if block.field is None else block.rows()[:, 0]
            else:
                stored = next((other.rows()[:, 0] for other in blocks if _is_id(other, count)), voxel_ids)
            return ResponseTable(path, block, np.array(columns), _rows(path, stored, voxel_ids))
    shapes = ", ".join(str(block.shape) for block in blocks) or "none"
    fault = f"has tables of shape {shapes}, expected ({count}, {trials}): voxels and trials as the tables beside it say"
    raise DataError.of(path, f"{fault}; get the three files of one release")


def _blocks(file: Any) -> list[_Block]:
    """All two-dimensional numbers in a file but pandas' own indices, the widest, which the responses are, first."""
    import h5py

    blocks: list[_Block] = []

    def visit(name: str, item: Any) -> None:
        """Note the arrays of numbers that an entry of the file holds."""
        if not isinstance(item, h5py.Dataset) or "_i_table" in name:
            return
        if item.ndim == 2 and item.dtype.kind in "fiu":
            blocks.append(_Block(item))
        for field in item.dtype.names or () if item.ndim == 1 else ():
            kind = item.dtype[field]
            if kind.subdtype and kind.base.kind in "fiu" and len(kind.shape) == 1:
                blocks.append(_Block(item, field))

    file.visititems(visit)
    return sorted(blocks, key=lambda block: -block.shape[1])


def _is_id(block: _Block, count: int) -> bool:
    """Whether a block is one whole number a row."""
    return block.shape == (count, 1) and block.dtype.kind in "iu"


def _rows(path: Path, stored: np.ndarray, voxel_ids: np.ndarray) -> Int[np.ndarray, "voxel"]:
    """The row of each voxel, by the voxel_id of every row."""
    if np.array_equal(stored, voxel_ids):
        return np.arange(len(voxel_ids))
    row_of = {int(name): row for row, name in enumerate(stored.tolist())} if np.isfinite(stored).all() else {}
    if len(row_of) != len(stored) or set(row_of) != set(voxel_ids.tolist()):
        raise DataError.of(path, "names other voxels (voxel_id) than the table of voxels; get both of one release")
    return np.array([row_of[name] for name in voxel_ids.tolist()])
