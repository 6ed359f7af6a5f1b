"""What a sweep is at, as a table in the terminal and as a page that refreshes itself."""

import html
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from factortopy.storage import write_text
from factortopy.sweep.drive import Progress
from factortopy.sweep.record import Record, State
from factortopy.sweep.tasks import FOLDERS, Task

STATES = (State.DONE, State.RUNNING, State.WAITING, State.FAILED, State.HELD)
SHOWN = 12
"""Failures that a terminal shows."""
REFRESH = 5
"""Seconds after which the page reads itself again."""
PAGE = "status.html"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1d21}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{padding:.35rem .6rem;text-align:right;border-bottom:1px solid #ddd}"
    "th:first-child,td:first-child{text-align:left}progress{width:100%;height:1.2rem}.failed{color:#a33000}"
    "@media(prefers-color-scheme:dark){body{background:#14171b;color:#e6e8ea}"
    "th,td{border-color:#333}.failed{color:#ff9a6b}}"
)


def seconds_text(seconds: float | None) -> str:
    """A time as people say it; empty where none is known."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def rows_of(progress: Progress) -> list[tuple[str, ...]]:
    """Counts by kind of task, then of all."""
    kinds = [*FOLDERS, None]
    counted = [(kind or "all", progress.counts(kind)) for kind in kinds]
    return [(name, *(str(counts[state]) for state in STATES)) for name, counts in counted if sum(counts.values())]


def failures(record: Record, tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """Kind and name of each task that failed, and why; those that failed alike together."""
    alike: dict[str, list[Task]] = {}
    for task in tasks:
        reason = record.failure(task)
        if reason is not None:
            alike.setdefault(reason, []).append(task)
    return [(_named(failed), reason) for reason, failed in alike.items()]


def _named(tasks: Sequence[Task]) -> str:
    more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
    return f"{tasks[0].kind} {tasks[0].name}{more}"


def remarks(record: Record, tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """Kind and name of each task that was done with something to be told."""
    found = ((task, (record.ending(State.DONE, task) or {}).get("said")) for task in tasks)
    return [(f"{task.kind} {task.name}", str(said)) for task, said in found if said]


def status_table(record: Record, progress: Progress, *, failed: bool = True) -> Group:
    """A table of what a sweep is at, with the failures below it if ``failed``."""
    table = Table(title=f"Sweep in {record.folder}", title_justify="left")
    for number, name in enumerate(("", *STATES)):
        table.add_column(str(name), justify="right" if number else "left")
    for row in rows_of(progress):
        table.add_row(*row)
    left = seconds_text(progress.seconds_left())
    lines = [Text(f"about {left} left")] if left and progress.counts()[State.WAITING] else []
    told = failures(record, progress.tasks) if failed else []
    lines += [Text(f"{name}: {reason}") for name, reason in told[:SHOWN]]
    lines += [Text(f"and {len(told) - SHOWN} more failures")] if len(told) > SHOWN else []
    lines += [Text(f"{name}: {said}") for name, said in remarks(record, progress.tasks)[:SHOWN]]
    return Group(table, *lines)


def write_page(record: Record, progress: Progress, *, ended: bool = False, note: str = "") -> None:
    """Write that table as a page, which a browser reads again until the sweep has ended."""
    counts = progress.counts()
    heads = "".join(f"<th scope=col>{html.escape(str(name))}</th>" for name in ("task", *STATES))
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows_of(progress))
    failed = "".join(
        f"<li><b>{html.escape(name)}</b>: {html.escape(reason)}</li>"
        for name, reason in failures(record, progress.tasks)
    )
    left = seconds_text(progress.seconds_left())
    words = "ended" if ended else (f"about {left} left" if left else "running")
    refresh = "" if ended else f'<meta http-equiv="refresh" content="{REFRESH}">'
    title = html.escape(f"Sweep in {record.folder.name}")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}<title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><h1>{title}</h1>'
        f'<p><progress max="{len(progress.tasks)}" value="{counts[State.DONE]}" aria-label="tasks done"></progress></p>'
        f"<p>{counts[State.DONE]:,} of {len(progress.tasks):,} tasks done, {words}. {html.escape(note)}</p>"
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        f"{f'<h2>Failed</h2><ul class=failed>{failed}</ul>' if failed else ''}</body></html>\n"
    )
    write_text(record.folder / PAGE, page)


class Watch:
    """Shows what a sweep is at while it runs, in the terminal and as a page.

    Args:
        record: of the sweep.
        live: the table in the terminal; None shows none.

    Attributes:
        note: a line of the page.
    """

    def __init__(self, record: Record, live: Live | None) -> None:
        self._record, self._live, self.note = record, live, ""
        self._next, self._last = 0.0, list[Progress]()
        self._counts: Counter[State] | None = None

    def __call__(self, progress: Progress) -> None:
        """Show it, at most once a second where no task began or ended."""
        counts, now = progress.counts(), time.monotonic()
        self._last = [progress]
        if counts == self._counts and now < self._next:
            return
        self._counts, self._next = counts, now + 1.0
        write_page(self._record, progress, note=self.note)
        if self._live is not None:
            self._live.update(status_table(self._record, progress), refresh=True)

    def end(self) -> None:
        """Say on the page that the run has ended."""
        for progress in self._last:
            write_page(self._record, progress, ended=True)


@contextmanager
def watching(record: Record, *, show: bool = True) -> Iterator[Watch]:
    """Show what a sweep is at while it runs, in the terminal if ``show``, and as a page."""
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) if show else nullcontext() as live:
        watch = Watch(record, live)
        try:
            yield watch
        finally:
            watch.end()
