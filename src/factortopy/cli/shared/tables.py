"""One way of saying what a command computed: a JSON object, CSV, or tables on the terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

import factortopy as ft


@dataclass(frozen=True)
class Rows:
    """Rows of numbers and texts by name, and how they are printed.

    Attributes:
        title: what they show.
        rows: values by name; ``NAME_low`` and ``NAME_high`` are limits of ``NAME``.
        columns: headings of what is printed, by name.
        note: lines under the table.
        formats: of numbers by name, such as ``"+.3f"`` or ``".0%"``, where it is not three decimals.
        simulated: the responses are, which the title then says.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    columns: Mapping[str, str]
    note: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False

    def print(self) -> None:
        """Print them as a table."""
        shown, formats = ft.analysis.text_in_row, self.formats
        texts = [[shown(row, name, formats.get(name, ".3f")) for name in self.columns] for row in self.rows]
        headings = list(self.columns.values())
        print_table(self.title, texts, headings, note=self.note, names=True, simulated=self.simulated)


@dataclass(frozen=True)
class Answer:
    """What a command computed: ``facts`` are everything, for JSON, ``rows`` for CSV, ``tables`` for the terminal."""

    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    tables: Sequence[Rows]

    def print(self, as_json: bool, as_csv: bool) -> None:
        """Print it in the form that was asked for, as tables if none was."""
        if as_json:
            typer.echo(json.dumps(self.facts))
        elif as_csv:
            typer.echo(ft.storage.csv_of(ft.analysis.table_of(self.rows)), nl=False)
        else:
            for table in self.tables:
                table.print()


def print_table(
    title: str,
    rows: Iterable[Sequence[str]],
    columns: Sequence[str] = ("", ""),
    *,
    note: str | None = None,
    names: bool = False,
    simulated: bool = False,
) -> None:
    """Print a table of texts; names given by users are never read as markup.

    Args:
        title: what it shows.
        rows: texts, one a column.
        columns: headings.
        note: a line under the table.
        names: the first column has names, which are not broken into lines.
        simulated: the responses are, which the title then says.
    """
    table = Table(show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=names and index == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    console.print(Text(title + (", SIMULATED responses" if simulated else ""), style="bold"))
    console.print(table)
    if note is not None:
        console.print(Text(note, style="dim"))


def print_cost(
    work: str, cost: "ft.machine.Cost", before: Iterable[tuple[str, str]] = (), after: Iterable[tuple[str, str]] = ()
) -> None:
    """Print what a work takes in memory, disk and time, between facts that stand before and after."""
    rows = [*before, *cost.facts.items()]
    if cost.memory:
        rows.append(("memory", f"about {readable_bytes(cost.memory)}"))
    if cost.device_memory:
        rows.append(("GPU memory", f"about {readable_bytes(cost.device_memory)}"))
    meanwhile = f", and {readable_bytes(cost.temporary)} until it is done" if cost.temporary else ""
    rows.append(("disk", f"about {readable_bytes(cost.disk)}{meanwhile}"))
    print_table(work, [*rows, ("time", f"about {readable_seconds(cost.seconds)}"), *after])


def readable_bytes(count: float) -> str:
    """A number of bytes as people read it, e.g. ``1.3 GB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def readable_seconds(seconds: float) -> str:
    """A time as people read it, e.g. ``4 min 10 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
