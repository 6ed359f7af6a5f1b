"""The tables of THINGS-fMRI: pandas' HDF5 of responses read without pandas, and two tables of text."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from factortopy.errors import DataError
from factortopy.storage import SMALL, check_plausible, reading

VOXEL_ID = "voxel_id"
REMEDY = "it is truncated or of another kind; get it again"


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Responses of all voxels to all trials in a file; nothing is read until asked for.

    Attributes:
        path: the file.
        values: its dataset of shape (voxel, column), or of one record a voxel.
        field: the field of the record that holds the columns, if it has records.
        columns: column of each trial.
        rows: row of each voxel.
    """

    path: Path
    values: Any
    field: str | None
    columns: Int[np.ndarray, "trial"]
    rows: Int[np.ndarray, "voxel"]

    def read(self, voxels: Int[np.ndarray, "taken"]) -> Float[np.ndarray, "trial taken"]:
        """Responses of some voxels to all trials, float32.

        Args:
            voxels: numbers of the voxels, in the order of the table of voxels.
        """
        rows, back = np.unique(self.rows[voxels], return_inverse=True)
        dense = rows[-1] - rows[0] + 1 == len(rows)
        with reading(self.path, REMEDY):
            block = self.values[rows[0] : rows[-1] + 1] if dense else self.values[rows]
        block = block if self.field is None else block[self.field]
        return np.ascontiguousarray(block[np.ix_(back, self.columns)].T, dtype=np.float32)


def tables_folder(root: Path) -> Path:
    """``betas_csv``, whether it is given or the folder that holds it."""
    return root / "betas_csv" if (root / "betas_csv").is_dir() else root


def read_table(path: str | os.PathLike[str], needed: tuple[str, ...]) -> Any:
    """A table of text (CSV) as a pandas data frame.

    Args:
        path: the file.
        needed: columns that it must have.

    Raises:
        DataError: if it is missing, no table, empty, or lacks a column.
    """
    import pandas

    with reading(path, REMEDY):
        table = pandas.read_csv(path)
    missing = [name for name in needed if name not in table.columns]
    if missing or not len(table):
        fault = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
        raise DataError(f"{path} {fault}; it is of another kind or truncated: get it again", path=path)
    return table


def whole_numbers(table: Any, name: str, path: Path) -> Int[np.ndarray, "row"]:
    """A column of whole numbers.

    Raises:
        DataError: if one is missing, no number or a fraction.
    """
    values = table[name].to_numpy()
    if values.dtype.kind not in "iufb" or not np.isfinite(values).all() or (values != np.rint(values)).any():
        raise DataError(
            f"{path}: column {name} must hold whole numbers, found {values.dtype} or gaps: damaged", path=path
        )
    return np.asarray(values, dtype=np.int64)


@contextmanager
def open_responses(path: Path, voxel_ids: Int[np.ndarray, "voxel"], trials: int) -> Iterator[ResponseTable]:
    """Open the responses as pandas writes them, ``format="fixed"`` or ``"table"``; nothing is unpickled.

    pandas pickles the names of columns where they are numbers, as here. So they are not read: trials are
    taken to stand in their own order, and their number is checked; where the names are texts, these tell
    the order.

    Args:
        path: the ``.h5`` file.
        voxel_ids: of each voxel, in the order wanted.
        trials: how many there must be.

    Raises:
        DataError: if the file is damaged, holds no such table, or has other voxels or trials.
    """
    import h5py

    with reading(path, REMEDY):
        file = h5py.File(path, "r")
    with file:
        with reading(path, REMEDY):
            table = _find(path, file, voxel_ids, trials)
        yield table


def _find(path: Path, file: Any, voxel_ids: np.ndarray, trials: int) -> ResponseTable:
    import h5py

    kind: list[Any] = []
    file.visititems(lambda _, item: kind.append(item) if isinstance(item, h5py.Dataset) else None)
    blocks = _blocks(kind)
    for dataset in {dataset.id: dataset for dataset, _, _, _ in blocks}.values():
        check_plausible(path, dataset.nbytes, dataset.id.get_storage_size())
    count = len(voxel_ids)
    for dataset, field, shape, names in blocks:
        # voxel_id stands among the responses where these are of the same type; pandas puts it first.
        extra = shape[1] - trials
        if shape[0] == count and extra in (0, 1):
            columns = _columns(names, trials, extra)
            stored = _stored_ids(blocks, dataset, field, extra, names)
            return ResponseTable(path, dataset, field, columns, _rows(path, stored, voxel_ids))
    shapes = ", ".join(str(shape) for _, _, shape, _ in blocks) or "none"
    raise DataError(
        f"{path} has tables of shape {shapes}, expected ({count}, {trials}): voxels and trials as the tables "
        "beside it say; get the three files of one release",
        path=path,
    )


Candidate = tuple[Any, str | None, tuple[int, int], list[str] | None]


def _blocks(datasets: list[Any]) -> list[Candidate]:
    """Two-dimensional numbers in a file: dataset, field of its records, (rows, columns), names of columns."""
    blocks: list[Candidate] = []
    for dataset in datasets:
        if dataset.ndim == 2 and dataset.dtype.kind in "fiu" and "_i_table" not in dataset.name:
            names = dataset.parent.get(dataset.name.rsplit("/", 1)[1].replace("_values", "_items"))
            blocks.append((dataset, None, dataset.shape, _texts(names, dataset.shape[1])))
        elif dataset.ndim == 1 and dataset.dtype.names and "_i_table" not in dataset.name:
            for field in dataset.dtype.names:
                kind = dataset.dtype[field]
                if kind.subdtype and kind.subdtype[0].kind in "fiu" and len(kind.shape) == 1:
                    blocks.append((dataset, field, (len(dataset), kind.shape[0]), None))
    # Responses are the widest.
    return sorted(blocks, key=lambda block: -block[2][1])


def _texts(names: Any, count: int) -> list[str] | None:
    """Names that are texts; none where they are something else, not as many, or too large."""
    if names is None or names.dtype.kind != "S" or names.shape != (count,) or names.nbytes > SMALL:
        return None
    return [name.decode("utf-8", errors="replace") for name in names[:]]


def _columns(names: list[str] | None, trials: int, extra: int) -> Int[np.ndarray, "trial"]:
    if names is not None:
        column_of = {name: column for column, name in enumerate(names)}
        if all(str(trial) in column_of for trial in range(trials)):
            return np.array([column_of[str(trial)] for trial in range(trials)])
    return np.arange(trials) + extra


def _stored_ids(
    blocks: list[Candidate], dataset: Any, field: str | None, extra: int, names: list[str] | None
) -> np.ndarray | None:
    """voxel_id of each row: a column of the responses, or a block of one column of whole numbers."""
    if extra:
        column = names.index(VOXEL_ID) if names and VOXEL_ID in names else 0
        return np.asarray(dataset[:, column] if field is None else dataset[field][:, column])
    for other, other_field, shape, _ in blocks:
        values = other.dtype if other_field is None else other.dtype[other_field].base
        if shape[1] == 1 and values.kind in "iu" and shape[0] == len(dataset):
            return np.asarray(other[:, 0] if other_field is None else other[other_field][:, 0])
    return None


def _rows(path: Path, stored: np.ndarray | None, voxel_ids: np.ndarray) -> Int[np.ndarray, "voxel"]:
    if stored is None or np.array_equal(stored, voxel_ids):
        return np.arange(len(voxel_ids))
    row_of = {int(name): row for row, name in enumerate(stored.tolist())} if np.isfinite(stored).all() else {}
    if len(row_of) != len(stored) or set(row_of) != set(voxel_ids.tolist()):
        raise DataError(
            f"{path} names other voxels (voxel_id) than the table of voxels; get both of one release", path=path
        )
    return np.array([row_of[name] for name in voxel_ids.tolist()])
