"""The work of a task: the same function on every engine, and nothing is done that is done already."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factortopy.analysis import compare, records_of, roi_scores
from factortopy.errors import DataError
from factortopy.fitting import fit_settings
from factortopy.machine import Machine, limit_threads
from factortopy.mapping import Mapping
from factortopy.networks import load_network
from factortopy.storage import atomic_path, read_text, write_text
from factortopy.sweep.reasons import reason_of
from factortopy.sweep.record import BusyError, Record, State
from factortopy.sweep.tasks import Task, images_of, open_subject
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit_to_folder

PROBED = 5.0
"""Seconds to wait for a task's lock, which one who only looks at a sweep holds for a moment."""


def run_task(folder: str, key: str, cpus: int) -> str:
    """Do a task of a sweep, if it is not done and nobody does it.

    Args:
        folder: of the sweep's results.
        key: of the task.
        cpus: processors that it may keep busy.

    Returns:
        ``"done"``, ``"failed"`` (why is in the record) or ``"busy"``, where another process works on it.
    """
    record = Record(folder)
    task = record.task(key)
    try:
        with record.only(key, wait=PROBED), ended_by_sigterm(), limit_threads(cpus):
            if not record.is_done(task):
                record.clear_beside(task)
                return _do(record, task)
            return "done"
    except BusyError:
        return "busy"


def run_tasks(folder: str, keys: Sequence[str], cpus: int) -> None:
    """Do several tasks, one after the other in one process, which loads its libraries once."""
    for key in keys:
        run_task(folder, key, cpus)


def _do(record: Record, task: Task) -> str:
    begun = time.monotonic()
    try:
        said = WORK[task.kind](record, task)
    except Exception as error:
        record.note(State.FAILED, task, reason=reason_of(error))
        return "failed"
    record.note(State.DONE, task, seconds=round(time.monotonic() - begun, 2), said=said)
    return "done"


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """A worker that is told to end (pre-emption) ends as by Ctrl-C: what is half-written is taken away."""
    told = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not told:  # an engine that knows what to do, such as submitit, keeps its own way
        yield
        return

    def end(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _extract(record: Record, task: Task) -> str:
    facts = task.facts or {}
    told = facts["network"]
    network = load_network(
        told["name"],
        weights=told["weights"],
        untrained=told["untrained"],
        device=facts["device"],
        preprocessing="authors" if told["preprocessing"] == "authors" else None,
        progress=False,
    )
    images, (height, width) = images_of(open_subject(facts["subject"])), facts["grid"]
    how = {"batch_size": facts["batch_size"], "precision": facts["precision"], "progress": False}
    extract(network, images, record.folder / task.result, (height, width), **how)
    return ""


def _fit(record: Record, task: Task) -> str:
    facts = task.facts or {}
    (store,) = (TokenStore.open(record.folder / record.task(key).result) for key in task.needs)
    settings = fit_settings(facts["recipe"], seed=facts["seed"], **facts["settings"])
    machine = Machine.choose(facts["device"], facts["precision"])
    subject, output = open_subject(facts["subject"]), record.folder / task.result
    # Not beside the mapping: all that lies there can be compared while fits run.
    checkpoint = record.notes / f"{task.name}.checkpoint"
    how = {"machine": machine, "bootstrap": facts["bootstrap"], "progress": False}
    mapping = fit_to_folder(store, subject, output, settings, overwrite=True, checkpoint=checkpoint, **how)
    diverged = mapping.provenance["training"]["diverged"]
    if diverged is None:
        return ""
    where = f"step {diverged['step']:.0f}, learning rate {diverged['rate']:.2g}"
    return f"it diverged at {where}: gone on with from its best parameters at a quarter of it"


def _score(record: Record, task: Task) -> str:
    (mapping,) = _mappings(record, task)
    facts = task.facts or {}
    named = {"network": facts["label"], "subject": mapping.dataset.attrs["subject"]}
    named |= {"recipe": facts["recipe"], "seed": facts["seed"], "simulated": mapping.simulated}
    rows = [named | row for row in records_of(roi_scores(mapping))]
    write_text(record.folder / task.result, json.dumps(rows, indent=1) + "\n")
    return ""


def _compare(record: Record, task: Task) -> str:
    from factortopy.reporting import find_results, write_comparison  # libraries of figures, which no worker loads

    comparison = compare(_mappings(record, task), (task.facts or {})["labels"])
    with atomic_path(record.folder / task.result) as folder:
        folder.mkdir(parents=True)
        write_comparison(comparison, find_results(comparison, progress=False), folder, progress=False)
    return ""


def _mappings(record: Record, task: Task) -> list[Mapping]:
    return [Mapping.load(record.folder / record.task(key).result) for key in task.needs]


WORK: dict[str, Callable[[Record, Task], str]] = {
    "extract": _extract,
    "fit": _fit,
    "score": _score,
    "compare": _compare,
}


def finished_fits(record: Record) -> list[dict[str, Any]]:
    """Fits of a sweep that are done and scored by now, as ``factortopy.paper.KeptFit`` takes them.

    A trained network goes by its name where the sweep has no other one of it, such as another checkpoint.

    Raises:
        DataError: if the folder holds no sweep, or a score is damaged.
    """
    scores = [task for task in record.tasks() if task.kind == "score"]
    extractions = {(task.facts or {})["label"]: task for task in record.tasks() if task.kind == "extract"}
    networks = {label: (task.facts or {})["network"] for label, task in extractions.items()}
    names = [network["name"] for network in networks.values()]
    found = []
    for task in (task for task in scores if record.is_done(task)):
        row, (fit,) = read_scores(record.folder / task.result)[0], map(record.task, task.needs)
        network = networks[row["network"]]
        by_name = names.count(network["name"]) == 1 and not network["untrained"]
        known = {key: row[key] for key in ("subject", "recipe", "seed", "simulated")}
        known |= {"topology": (fit.facts or {})["settings"].get("topology", True)}
        named = network["name"] if by_name else row["network"]
        found.append({"network": named, "folder": record.folder / fit.result, **known})
    return found


def read_scores(path: Path) -> list[dict[str, Any]]:
    """The rows that a score wrote.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        rows: list[dict[str, Any]] = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged; delete it, and start the sweep again", path=path) from error
    return rows
