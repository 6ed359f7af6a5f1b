"""One look for every long stage: a bar on standard error with time left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Advance(Protocol):
    """Tells a progress bar that work was done."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance by ``steps``; ``note`` stands at the end of the bar (a loss, a score)."""


@contextmanager
def progress_bar(description: str, total: int, *, show: bool = True, done: int = 0) -> Iterator[Advance]:
    """Show a bar for a stage of ``total`` steps, ``done`` of which were done before (a resumed run).

    Standard output stays clean for results: the bar goes to standard error. A stage that ends before its last step (a
    fit that no longer gets better) is shown as done; one that fails stays where it stopped.
    """
    # Wide enough for the longest note, narrow enough for 80 columns.
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not show) as bar:
        task = bar.add_task(description, total=total, completed=done, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance
        bar.update(task, total=bar.tasks[task].completed)
