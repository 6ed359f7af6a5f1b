"""Tables on the terminal; names given by users are never read as markup."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    note: str | None = None,
    names: bool = False,
) -> None:
    """Print a table on standard output.

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
