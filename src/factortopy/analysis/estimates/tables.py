"""Tables, one row a thing: their columns, their records for JSON and their CSV, made in one way."""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from factortopy.analysis.estimates._estimate import Estimate, columns_of
from factortopy.storage import write_text


def table_of(rows: Iterable[Any]) -> pandas.DataFrame:
    """Rows as a table, an estimate in the columns ``NAME``, ``NAME_low`` and ``NAME_high``; NaN what is missing.

    Args:
        rows: dataclasses, or numbers, texts and estimates by name.
    """
    return pandas.DataFrame([_flat(row) for row in rows])


def record_of(row: Any) -> dict[str, Any]:
    """A row as JSON takes it: estimates in columns as in a table, and None for NaN.

    Args:
        row: a dataclass, or values by name; rows within it become lists of records.
    """
    return {name: _plain(value) for name, value in _flat(row).items()}


def records_of(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """All rows of a table as JSON takes them."""
    return [record_of(row) for row in table.to_dict("records")]


def write_table(path: str | PathLike[str], table: pandas.DataFrame) -> Path:
    """Write a table as CSV, atomically, empty what is missing; returns its path.

    Raises:
        DataError: if it cannot be written.
    """
    return write_text(path, csv_of(table))


def csv_of(table: pandas.DataFrame) -> str:
    """A table as CSV, empty what is missing."""
    return str(table.to_csv(index=False, lineterminator="\n"))


def text_in_row(row: MappingType[str, Any], name: str, form: str = ".3f") -> str:
    """A value of a row as it is printed: a number with its limits, if it has any; a dash for what is missing.

    Args:
        row: values by name; ``NAME_low`` and ``NAME_high`` are limits of ``NAME``.
        name: of the value.
        form: of a number that is not whole, such as ``"+.3f"`` or ``".0%"``.
    """
    value = row.get(name)
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if form.endswith("f"):
        return Estimate.in_row(row, name).text(int(form[-2]), sign=form.startswith("+"))
    return f"{value:{form}}" if math.isfinite(value) else "–"


def _flat(row: Any) -> dict[str, Any]:
    pairs = {item.name: getattr(row, item.name) for item in fields(row)} if is_dataclass(row) else dict(row)
    flat: dict[str, Any] = {}
    for name, value in pairs.items():
        if isinstance(value, Estimate):
            flat |= zip(columns_of(name), (value.value, value.low, value.high), strict=True)
        else:
            flat[name] = value
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) or isinstance(value, MappingType):
        return record_of(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
