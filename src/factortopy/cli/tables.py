"""One way of saying what a command found: a JSON object, CSV, or tables on the terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factortopy.cli.options import readable_bytes, readable_seconds

if TYPE_CHECKING:
    from factortopy.machine import Cost


@dataclass(frozen=True)
class Rows:
    """Rows of numbers and texts by name, and how they are printed.

    Attributes:
        title: what they show; says SIMULATED where the responses are.
        rows: values by name; ``NAME_low`` and ``NAME_high`` are limits of ``NAME``.
        columns: headings of what is printed, by name.
        note: lines under the table.
        formats: of numbers by name, such as ``"+.3f"`` or ``".0%"``, where it is not three decimals.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    columns: Mapping[str, str]
    note: str | None = None
    formats: Mapping[str, str] = field(default_factory=dict)

    def print(self) -> None:
        """Print them as a table."""
        from factortopy.analysis import text_in_row

        texts = [[text_in_row(row, name, self.formats.get(name, ".3f")) for name in self.columns] for row in self.rows]
        print_table(self.title, list(self.columns.values()), texts, note=self.note, names=True)


@dataclass(frozen=True)
class Answer:
    """What a command found, for programs and for people.

    Attributes:
        facts: everything, for JSON.
        rows: numbers by name, for CSV.
        tables: for the terminal.
    """

    facts: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    tables: Sequence[Rows]

    def print(self, as_json: bool, as_csv: bool) -> None:
        """Print it in the form that was asked for, as tables if none was."""
        if as_json:
            typer.echo(json.dumps(self.facts))
        elif as_csv:
            from factortopy.analysis import table_of
            from factortopy.storage import csv_of

            typer.echo(csv_of(table_of(self.rows)), nl=False)
        else:
            for table in self.tables:
                table.print()


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    note: str | None = None,
    names: bool = False,
) -> None:
    """Print a table of texts; names given by users are never read as markup.

    Args:
        title: what it shows; says SIMULATED where the responses are.
        columns: headings.
        rows: texts, one a column.
        note: a line under the table.
        names: the first column has names, which are not broken into lines.
    """
    table = Table(show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=names and index == 0)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    console.print(Text(title, style="bold"))
    console.print(table)
    if note is not None:
        console.print(Text(note, style="dim"))


def print_cost(title: str, cost: "Cost", rows: Iterable[tuple[str, str]] = ()) -> None:
    """Print what a dry run came to.

    Args:
        title: the work.
        cost: what it takes.
        rows: facts that stand first.
    """
    print_table(f"{title}: nothing was written", ("", ""), [*rows, *cost_rows(cost)])


def cost_rows(cost: "Cost") -> list[tuple[str, str]]:
    """Facts, memory, disk and time of a cost."""
    rows = list(cost.facts.items())
    if cost.memory:
        rows.append(("memory", f"about {readable_bytes(cost.memory)}"))
    if cost.device_memory:
        rows.append(("GPU memory", f"about {readable_bytes(cost.device_memory)}"))
    meanwhile = f", and {readable_bytes(cost.temporary)} until it is done" if cost.temporary else ""
    rows.append(("disk", f"about {readable_bytes(cost.disk)}{meanwhile}"))
    return [*rows, ("time", f"about {readable_seconds(cost.seconds)}")]
