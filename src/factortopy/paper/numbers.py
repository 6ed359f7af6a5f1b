"""The paper's own numbers, read from ``numbers.toml``, and ours beside them with the difference."""

import tomllib
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from factortopy.errors import UnknownNameError

Row = dict[str, Any]
"""A line of a table: columns by name, JSON-ready values."""


@dataclass(frozen=True)
class PaperRow:
    """One line of a table of the paper.

    Attributes:
        label: as the paper names it.
        network: the short name of its network; empty for the model that takes the best of all.
        values: printed numbers by quantity.
    """

    label: str
    network: str
    values: MappingType[str, float]


@dataclass(frozen=True)
class PaperTable:
    """One table of the paper.

    Attributes:
        source: its number in the paper.
        title: what it shows.
        quantities: names of its columns of numbers.
        rows: its lines.
    """

    source: str
    title: str
    quantities: tuple[str, ...]
    rows: tuple[PaperRow, ...]

    def row(self, network: str) -> PaperRow | None:
        """The line of a network; None where the paper has none."""
        return next((row for row in self.rows if row.network == network), None)


@cache
def paper_table(name: str) -> PaperTable:
    """A table of the paper.

    Args:
        name: ``"table1"`` or ``"table2"``.

    Raises:
        UnknownNameError: if the paper has no numbers under this name.
    """
    text = files("factortopy.paper").joinpath("numbers.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    if name not in tables:
        raise UnknownNameError("table of the paper", name, tables)
    table = tables[name]
    rows = tuple(
        PaperRow(row["label"], row["network"], {quantity: row[quantity] for quantity in table["quantities"]})
        for row in table["rows"]
    )
    return PaperTable(table["source"], table["title"], tuple(table["quantities"]), rows)


def beside(ours: MappingType[str, float | None], paper: PaperRow | None) -> Row:
    """Our numbers, the paper's, and ours less the paper's.

    Args:
        ours: numbers by quantity; None where there is none.
        paper: the line of the paper; None where it has none.

    Returns:
        For each quantity ``<name>``, ``<name>_paper`` and ``<name>_difference``; None where there is none.
    """
    row: Row = {}
    for name, value in ours.items():
        printed = None if paper is None else paper.values.get(name)
        row[name] = value
        row[f"{name}_paper"] = printed
        row[f"{name}_difference"] = None if value is None or printed is None else value - printed
    return row
