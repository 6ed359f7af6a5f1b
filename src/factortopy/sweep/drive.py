"""The driver of a sweep: gives an engine what may run by now, notes how it ended, until nothing is left."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas

from factortopy.errors import DataError
from factortopy.storage import remove, write_table
from factortopy.sweep.engines import Engine, InProcess
from factortopy.sweep.record import BusyError, Record, State
from factortopy.sweep.tasks import Task
from factortopy.sweep.work import ended_by_sigterm, read_scores

ATTEMPTS = 3
"""Times that a task is begun in a run, where its worker is lost."""
LIGHT = ("score", "compare")
"""Tasks that the driver does itself: a worker would take longer to begin than they take."""
DRIVER = "driver"
"""Name of the lock of the whole sweep."""
RESULTS = "results.csv"
LOOK = 1.0
"""Seconds between two looks at tasks that another process works on."""


@dataclass
class Progress:
    """What a sweep is at.

    Attributes:
        tasks: all of them.
        states: by key.
        seconds: that tasks took, by kind.
        begun: by key, on the clock that is never set (:func:`time.monotonic`).
        done_before: how many were done when this run began.
    """

    tasks: Sequence[Task]
    states: dict[str, State]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    done_before: int = 0

    def counts(self, kind: str | None = None) -> Counter[State]:
        """Tasks by state, of one kind or of all."""
        return Counter(self.states[task.key] for task in self.tasks if kind in (None, task.kind))

    def seconds_left(self) -> float | None:
        """By the mean time of each kind so far, one after the other as now; None where nothing is known yet."""
        left, now = 0.0, time.monotonic()
        for task in self.tasks:
            if self.states[task.key] not in (State.WAITING, State.RUNNING):
                continue
            known = self.seconds.get(task.kind)
            if not known:
                return None
            gone = now - self.begun.get(task.key, now)
            left += max(0.0, sum(known) / len(known) - gone)
        running = sum(state is State.RUNNING for state in self.states.values())
        return left / max(1, running)


class Sweep:
    """A run of a sweep.

    Args:
        record: of the sweep.
        tasks: from :func:`plan_tasks`.
        engine: where tasks run.
        tell: called with what the sweep is at, whenever that changed or a second is over.
    """

    def __init__(
        self, record: Record, tasks: Sequence[Task], engine: Engine, tell: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.record, self.engine, self.tell = record, engine, tell
        self._here = InProcess(record.folder)
        self.of = {task.key: task for task in tasks}
        states = record.states(tasks)
        self.progress = Progress(tasks, states, done_before=sum(state is State.DONE for state in states.values()))
        self._attempts: Counter[str] = Counter()
        self._elsewhere = {key for key, state in states.items() if state is State.RUNNING}
        for task in tasks:
            if states[task.key] is State.DONE:
                self._note_seconds(task)

    def run(self) -> Progress:
        """Do all that can be done."""
        self._write_results()
        try:
            while self._unfinished():
                begun = self._begin()
                ended = [*self.engine.poll(), *self._here.poll()]
                for one in ended:
                    self._attempts[one.key] -= not one.begun
                    self._take(one.key, one.lost)
                self._look_elsewhere()
                if not begun and not ended:
                    time.sleep(LOOK / 4)
                self.tell(self.progress)
        finally:
            self.engine.cancel()
        return self.progress

    def _begin(self) -> bool:
        """Begin what may run by now; whether there was any."""
        ready = self._ready()
        light = [task for task in ready if task.kind in LIGHT]
        heavy = [task for task in ready if task.kind not in LIGHT]
        begun = [*(self.engine.submit(heavy) if heavy else ()), *self._here.submit(light)]
        for task in begun:
            self._attempts[task.key] += 1
            self._set(task.key, State.RUNNING)
        if begun:
            self.tell(self.progress)
        return bool(begun)

    def _unfinished(self) -> bool:
        return any(state in (State.WAITING, State.RUNNING) for state in self.progress.states.values())

    def _ready(self) -> list[Task]:
        states = self.progress.states
        return [
            task
            for task in self.of.values()
            if states[task.key] is State.WAITING and all(states.get(key) is State.DONE for key in task.needs)
        ]

    def _set(self, key: str, state: State) -> None:
        self.progress.states[key] = state
        if state is State.RUNNING:
            self.progress.begun[key] = time.monotonic()

    def _take(self, key: str, lost: str) -> None:
        """Note how a task ended, by its record; one whose worker was lost is begun again."""
        task = self.of[key]
        if self.record.is_done(task):
            self._set(key, State.DONE)
            self._note_seconds(task)
            if task.kind == "score":
                self._write_results()
        elif self.record.failure(task) is not None:
            self._fail(task)
        elif self.record.is_held(key):
            self._elsewhere.add(key)
        elif self._attempts[key] < ATTEMPTS:
            self._set(key, State.WAITING)
        else:
            why = lost or "its worker ended without a word"
            self.record.note(State.FAILED, task, reason=f"{why}, {ATTEMPTS} times; is memory or time too short?")
            self._fail(task)

    def _fail(self, task: Task) -> None:
        self._set(task.key, State.FAILED)
        for other in self.of.values():
            if any(self.progress.states.get(key) in (State.FAILED, State.HELD) for key in other.needs):
                self._set(other.key, State.HELD)

    def _look_elsewhere(self) -> None:
        """Tasks that a worker of an earlier run still did when this one began."""
        for key in [key for key in self._elsewhere if not self.record.is_held(key)]:
            self._elsewhere.discard(key)
            self._take(key, "")

    def _note_seconds(self, task: Task) -> None:
        facts = self.record.ending(State.DONE, task) or {}
        if "seconds" in facts:
            self.progress.seconds.setdefault(task.kind, []).append(float(facts["seconds"]))

    def _write_results(self) -> None:
        """All scores that are there as one table; none where there are none, as older ones would be taken for them."""
        done = [task for task in self.of.values() if task.kind == "score" and self.record.is_done(task)]
        rows = [row for task in done for row in read_scores(self.record.folder / task.result)]
        if rows:
            write_table(self.record.folder / RESULTS, pandas.DataFrame(rows))
        else:
            remove(self.record.folder / RESULTS)


def run_sweep(
    record: Record,
    plan: Callable[[], Sequence[Task]],
    engine: Callable[[Sequence[Task]], Engine],
    tell: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Run a sweep, or go on with it; what is done is not done again, what failed before is tried again.

    Args:
        record: of its folder.
        plan: gives its tasks; called once nobody else runs a sweep on the folder.
        engine: makes the engine for these tasks.
        tell: called with what the sweep is at.

    Raises:
        DataError: if another sweep runs on the folder, or as ``plan`` raises.
    """
    try:
        with record.only(DRIVER, wait=1.0), ended_by_sigterm():
            tasks = plan()
            record.describe(tasks)
            record.clear_leftovers()
            return Sweep(record, tasks, engine(tasks), tell).run()
    except BusyError:
        raise DataError(
            f"another sweep runs on {record.folder}; wait for it, or stop it first", path=record.folder
        ) from None


def look(record: Record) -> Progress:
    """What a sweep is at, from its folder alone.

    Raises:
        DataError: if the folder holds no sweep.
    """
    tasks = record.tasks()
    progress = Progress(tasks, record.states(tasks))
    for task in tasks:
        facts: dict[str, Any] = record.ending(State.DONE, task) or {}
        if "seconds" in facts:
            progress.seconds.setdefault(task.kind, []).append(float(facts["seconds"]))
    return progress
