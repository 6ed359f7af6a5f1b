"""What engines of sweeps take beyond a plain loop, and what becomes of a job whose time is over; for ``faults.py``."""

import shutil
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tomli_w

from factortopy.machine import processors
from factortopy.storage import sha256_file
from factortopy.sweep import (
    InProcess,
    OnRay,
    OnSlurm,
    Record,
    Share,
    State,
    Task,
    plan_tasks,
    read_sweep,
    run_sweep,
    run_task,
)

FITS = {"steps": 6, "validate_every": 3, "width": 4, "batch_size": 16, "components": 8}
UNLIKE = {"provenance.json", "zarr.json"}
"""Files with times and names of machines."""
LIMIT, LONG = 2, 120.0
"""Minutes of a job, which is told 30 s before they are over, and seconds of a fit; a state is written each minute."""


def digests(study: Path) -> dict[str, str]:
    """Hashes of all results, save times and names of machines."""
    files = [file for name in ("tokens", "mappings", "scores") for file in (study / name).rglob("*")]
    kept = [file for file in files if file.is_file() and file.name not in UNLIKE]
    return {str(file.relative_to(study)): sha256_file(file) for file in sorted(kept)}


def prepared(file: Path, name: str) -> tuple[Record, list[Task]]:
    """A record with all extractions done, and the tasks that are left."""
    record, tasks = Record(file.parent / name), plan_tasks(read_sweep(file), progress=False)
    record.describe(tasks)
    for task in tasks:
        if task.kind == "extract":
            run_task(str(record.folder), task.key, 1)
    return record, tasks


@contextmanager
def timed() -> Iterator[np.ndarray]:
    """Seconds by the clock, and of the processor: of this process and all that descend from it.

    Processes are looked at every second: of one that ends, the last moment is lost.
    """
    own, used, ended, took = psutil.Process(), dict[psutil.Process, float](), threading.Event(), np.zeros(2)
    begun, before, looking = time.monotonic(), sum(own.cpu_times()[:2]), [0.0]

    def look() -> None:
        for one in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):
                used[one] = sum(one.cpu_times()[:2])

    def watch() -> None:
        while not ended.wait(1.0):
            look()
        look()
        looking[0] = time.thread_time()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield took
    finally:  # a thread that goes on would keep the process
        took[0] = time.monotonic() - begun
        ended.set()
        thread.join()
    took[1] = sum(used.values()) - before - looking[0]


def loop(record: Record, tasks: list[Task], seeds: range) -> np.ndarray:
    """Seconds, as by :func:`timed`, of the fits of some seeds and of their scores, one after the other."""
    with timed() as took:
        for task in tasks:
            if task.kind in ("fit", "score") and (task.facts or {})["seed"] in seeds:
                run_task(str(record.folder), task.key, 1)
    return took


def overheads(file: Path, engines: list[str], seconds: float, seeds: int) -> dict[str, float]:
    """What engines take beyond a plain loop: as its share, and in seconds an item (a fit with its score)."""
    lengthen(file, seconds)
    found: dict[str, float] = {}
    made = {
        "ray": lambda at: OnRay(at, Share(cpus=processors())),
        "local": lambda at: OnSlurm(at, None, None, "local", most=1),
    }
    for engine, name in (("ray", "ray"), ("local", "submitit")):
        if engine not in engines:
            continue
        # Half of the loop before and half behind, so that other work that comes or goes meanwhile hits both alike.
        plain, tasks = prepared(file, f"loop-{engine}")
        record, _ = prepared(file, f"timed-{engine}")
        before = loop(plain, tasks, range(seeds // 2))
        some = [task for task in tasks if task.kind != "compare"]
        with timed() as whole:
            run_sweep(record, lambda some=some: some, lambda _, engine=engine, at=record.folder: made[engine](at))
        alone = before + loop(plain, tasks, range(seeds // 2, seeds))
        fits = [task for task in tasks if task.kind == "fit"]
        assert all(record.is_done(task) and plain.is_done(task) for task in fits)
        worked = sum(
            float((record.ending(State.DONE, task) or {})["seconds"]) for task in some if task.kind != "extract"
        )
        each, more = (alone / len(fits)).tolist(), (whole / alone - 1).tolist()
        found |= {"items": len(fits), f"{name}_loop_seconds_an_item": round(each[0], 2)}
        found |= {f"{name}_overhead": round(more[0], 3), f"{name}_overhead_of_processor": round(more[1], 3)}
        found |= {f"{name}_seconds_an_item": round(more[0] * each[0], 2)}
        found |= {f"{name}_outside_of_tasks": round(float(whole[0]) / worked - 1, 3)}
        print(engine, found, file=sys.stderr, flush=True)
    return found


def lengthen(file: Path, seconds: float) -> None:
    """Give fits as many steps as take so many seconds of the processor, and so at least as many by the clock."""
    asked = tomllib.loads(file.read_text())
    one = min(timed_fit(file, asked, steps) for steps in (20, 20))
    more = timed_fit(file, asked, 120)
    steps = max(6, round(20 + (seconds - one) / max(1e-3, (more - one) / 100)))
    # Responses are random numbers: no look is better than the first, and patience would end the fit.
    asked["settings"] = FITS | {"steps": steps, "validate_every": max(3, steps // 20), "patience": steps}
    file.write_text(tomli_w.dumps(asked))


def timeouts(file: Path) -> dict[str, Any]:
    """A fit longer than the time of its job, which is told so, queued again and goes on from its checkpoint."""
    file = Path(shutil.copy(file, file.with_name("long.toml")))  # others go on with the short one
    lengthen(file, LONG)
    asked = tomllib.loads(file.read_text())
    one = {"networks": asked["networks"][:1], "subjects": asked["subjects"][:1], "seeds": [0]}
    file.write_text(tomli_w.dumps(asked | one))
    found = []
    for name, share in (("undisturbed", None), ("timed-out", Share(minutes=LIMIT))):
        record, tasks = prepared(file, f"time-{name}")
        engine = InProcess(record.folder) if share is None else OnSlurm(record.folder, share, cluster="local", most=1)
        begun = time.monotonic()
        run_sweep(record, lambda tasks=tasks: tasks, lambda _, engine=engine: engine)
        lost = sum(not record.is_done(task) for task in tasks)
        print(f"{name}: {time.monotonic() - begun:.0f} s, {lost} lost", file=sys.stderr, flush=True)
        found.append((digests(record.folder), lost))
    logs = "".join(log.read_text() for log in (record.folder / "sweep" / "jobs").glob("*_log.out"))
    (wanted, _), (given, lost) = found
    facts = {"timeouts": logs.count("Requeued job"), "timeouts_lost": lost}
    return facts | {"timeouts_identical": given == wanted}


def timed_fit(file: Path, asked: dict, steps: int) -> float:
    """Seconds of the processor of a fit with so many steps."""
    few = {"networks": asked["networks"][:1], "subjects": asked["subjects"][:1], "seeds": [0]}
    trial = file.with_name("trial.toml")
    trial.write_text(tomli_w.dumps(asked | few | {"settings": FITS | {"steps": steps, "validate_every": steps}}))
    record, tasks = prepared(trial, f"trial-{steps}")
    (fit,) = (task for task in tasks if task.kind == "fit")
    begun = time.process_time()
    run_task(str(record.folder), fit.key, 1)
    seconds = time.process_time() - begun
    shutil.rmtree(record.folder)
    return seconds
