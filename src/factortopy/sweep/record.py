"""What became of every task, as small files in the sweep's folder, so that it can be read and gone on with anywhere.

``sweep/tasks`` holds what each task is, ``sweep/done`` and ``sweep/failed`` how it ended, ``sweep/locks`` a lock file
that its worker holds: the kernel lets go of it however the worker ends, so that no clock decides who is alive.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from factortopy.errors import DataError, NewerFormatError
from factortopy.storage import check_format, read_text, remove, write_text
from factortopy.sweep.tasks import FOLDERS, Task

PLAN = "plan.json"
FORMAT = "factortopy-sweep-1"
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.(partial|old)")
"""Names that ``storage`` gives to what it has not yet put in its place; others are the user's own."""


class State(StrEnum):
    """What a task is at."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held back"


class BusyError(Exception):
    """Another process works on the same thing."""


class Record:
    """The record of a sweep.

    Args:
        folder: of the sweep's results.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.notes = self.folder / "sweep"

    def describe(self, tasks: Sequence[Task]) -> None:
        """Write down what tasks there are, and which cannot be done; what failed before may be tried again."""
        self.check_format()
        for task in tasks:
            file = self.notes / "tasks" / f"{task.key}.json"
            if not file.is_file() or read_text(file) != task.to_json():
                write_text(file, task.to_json())
            remove(self.notes / "failed" / f"{task.key}.json")
            if task.fault is not None and not self.is_done(task):
                self.note(State.FAILED, task, reason=task.fault)
        write_text(self.notes / PLAN, json.dumps({"format": FORMAT, "tasks": [task.key for task in tasks]}) + "\n")

    def task(self, key: str) -> Task:
        """A task by its key."""
        return Task.from_file(self.notes / "tasks" / f"{key}.json")

    def tasks(self) -> list[Task]:
        """The tasks of the last run, in their order.

        Raises:
            DataError: if the folder holds no sweep.
        """
        try:
            keys = self._plan()
        except NewerFormatError:
            raise
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.folder} holds no sweep; give the output of factortopy sweep", path=self.folder
            ) from error
        return [self.task(key) for key in keys]

    def check_format(self) -> None:
        """Refuse a folder of a newer version, before anything is written to it.

        Raises:
            NewerFormatError: if it is one.
        """
        try:
            self._plan()
        except NewerFormatError:
            raise
        except (OSError, ValueError, KeyError, TypeError):
            return  # none yet, or a damaged one, which is written anew

    def _plan(self) -> list[str]:
        plan = json.loads(read_text(self.notes / PLAN))
        check_format(self.notes / PLAN, plan["format"], FORMAT)
        return list(plan["tasks"])

    def is_done(self, task: Task) -> bool:
        """Whether its result is there, whole."""
        return (self.notes / "done" / f"{task.key}.json").is_file() and (self.folder / task.result).exists()

    def note(self, ending: State, task: Task, **facts: Any) -> None:
        """Write down how a task ended."""
        facts |= {"name": task.name, "kind": task.kind, "host": platform.node(), "process": os.getpid()}
        write_text(self.notes / ending / f"{task.key}.json", json.dumps(facts) + "\n")

    def ending(self, ending: State, task: Task) -> dict[str, Any] | None:
        """What was written down at the end of a task; None if it did not end so."""
        try:
            facts: dict[str, Any] = json.loads(read_text(self.notes / ending / f"{task.key}.json"))
        except (OSError, ValueError):
            return None
        return facts

    def failure(self, task: Task) -> str | None:
        """Why a task failed, in one line."""
        facts = self.ending(State.FAILED, task)
        return None if facts is None else str(facts.get("reason"))

    def states(self, tasks: Sequence[Task]) -> dict[str, State]:
        """The state of every task, by key; a task is held back where one that it needs failed."""
        states: dict[str, State] = {}
        for task in tasks:
            if self.is_done(task):
                states[task.key] = State.DONE
            elif self.ending(State.FAILED, task) is not None:
                states[task.key] = State.FAILED
            elif any(states.get(key) in (State.FAILED, State.HELD) for key in task.needs):
                states[task.key] = State.HELD
            else:
                states[task.key] = State.RUNNING if self.is_held(task.key) else State.WAITING
        return states

    def is_held(self, name: str) -> bool:
        """Whether a process that lives works on a task."""
        if not (self.notes / "locks" / name).exists():
            return False
        try:
            with self.only(name):
                return False
        except BusyError:
            return True
        except OSError:  # a reader who may not write sees what is written, not who lives
            return False

    @contextmanager
    def only(self, name: str, wait: float = 0.0) -> Iterator[None]:
        """Hold the lock of a task, or that of the whole sweep; wait so many seconds for it.

        Raises:
            BusyError: if another process holds it.
        """
        file = self.notes / "locks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, timeout=wait)
        try:
            lock.acquire()
        except Timeout as error:
            raise BusyError(name) from error
        try:
            yield
        finally:
            lock.release()

    def clear_leftovers(self) -> None:
        """Remove what writers that were killed have left half-written, where nobody writes any more."""
        for task in self.tasks():
            with suppress(BusyError), self.only(task.key):
                self.clear_beside(task)
        for folder in (self.folder, self.notes, *(self.notes / name for name in ("tasks", State.DONE, State.FAILED))):
            _clear(folder, ".")

    def clear_beside(self, task: Task) -> None:
        """The same, of one task, whose lock is held."""
        _clear(self.folder / FOLDERS[task.kind], f".{task.name}.")


def _clear(folder: Path, beginning: str) -> None:
    for path in folder.glob(f"{beginning}*"):
        if LEFTOVER.fullmatch(path.name):
            remove(path)
