"""What a sweep was said to take against what it took: time, memory and disk of a measured slice.

    python benchmarks/forecast.py                     # minutes; one thread, seconds of the processor
    python benchmarks/forecast.py --images 600 200 --networks clip-b16-openai dinov2-s14-focus
    python benchmarks/forecast.py --files docs/sweeps/*.toml --page docs/sweep.md     # what these sweeps would take

Real networks on simulated subjects of different sizes. The estimates are those of ``factortopy sweep --dry-run``,
measured on this machine; then every task runs in a process of its own, one after the other. All is computed in one
thread and timed by the processor's clock, as the other tells little beside other programs; the clock's seconds are told
as well. Ratios are estimated over measured, summed over tasks of a kind for seconds and bytes of disk, the largest
task's for memory. The last line is one JSON object; ``worst`` is the ratio farthest from 1, and ``within`` whether it
is within 25 %.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from factortopy.images import sample_views
from factortopy.machine import Cost, limit_threads
from factortopy.networks import load_network
from factortopy.simulation import simulate_subject
from factortopy.sweep import Record, Task, estimate_tasks, plan_tasks, read_sweep
from factortopy.tokens import extract
from laboratory import markdown, write_table

NETWORKS = ["efficientnet-lite0", "squeezenet-1.1"]
GRID = 4, 4
TOLERANCE = 0.25
KINDS = "extract", "fit", "all"
WHAT = "time", "memory", "disk"
FORETOLD = "sweep", "tasks", "number", "processor time", "memory", "disk"


def make(folder: Path, networks: Sequence[str], sizes: Sequence[int], voxels: int) -> Path:
    """Simulated subjects who saw so many sample views each, and a sweep file that asks for the networks on them."""
    for number, images in enumerate(sizes):
        views, place = sample_views(images, number), folder / f"subject-{images}"
        (place / "images").mkdir(parents=True)
        for row, name in enumerate(views.ids):
            views.image(row).save(place / "images" / f"{name}.png")
        tokens = extract(load_network(networks[0]), views, folder / f"seen-{images}", GRID, progress=False)
        subject = simulate_subject(tokens, seed=number, progress=False)
        some = np.linspace(0, len(subject.voxels) - 1, min(voxels, len(subject.voxels))).astype(int)
        subject = subject.select(some)
        np.save(place / "responses.npy", np.asarray(subject.responses))
        np.save(place / "coordinates.npy", subject.voxels.coordinates)
        (place / "image_ids.txt").write_text("\n".join(f"{name}.png" for name in subject.image_ids))
        (place / "subject.toml").write_text(f'name = "{place.name}"\nimages = "images"\n')
    asked: dict[str, Any] = {"networks": list(networks), "subjects": [f"subject-{images}" for images in sizes]}
    asked |= {"grid": list(GRID), "device": "cpu", "precision": "fp32", "output": "study"}
    (folder / "sweep.toml").write_text(tomli_w.dumps(asked))
    return folder / "sweep.toml"


def processor_seconds() -> float:
    """Of this process and of those it started that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


WORK = """
import sys
from factortopy.networks.cost import peak_memory
from factortopy.sweep import run_task
with peak_memory(0.05) as peak:
    run_task(sys.argv[1], sys.argv[2], 1)
print(peak[0])
"""


def work(record: Record, task: Task) -> tuple[Cost, float]:
    """Do a task in a process of its own; what it took of the processor, of memory and disk, and by the clock."""
    begun, used = time.monotonic(), processor_seconds()
    words = [sys.executable, "-c", WORK, str(record.folder), task.key]
    peak = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    waited, used = time.monotonic() - begun, processor_seconds() - used
    if not record.is_done(task):
        raise SystemExit(f"{task.kind} {task.name}: {record.failure(task)}")
    result = record.folder / task.result
    disk = sum(file.stat().st_size for file in (result.rglob("*") if result.is_dir() else [result]) if file.is_file())
    return Cost(used, peak, float(disk)), waited


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--images", type=int, nargs="+", default=[160, 120], help="of each subject")
    parser.add_argument("--voxels", type=int, default=400)
    parser.add_argument("--files", type=Path, nargs="+", help="sweep files, instead of a slice that is run")
    parser.add_argument("--untimed", action="store_true", help="of the files count memory and disk alone")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are replaced")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    time.perf_counter = processor_seconds
    if options.files:
        for file in options.files:
            rows = foretold(file, not options.untimed)
            if options.page:
                cells = [tuple(row.values()) for row in rows]
                write_table(options.page, f"forecast.py {file.stem}", markdown(FORETOLD, cells))
            print(json.dumps(rows), flush=True)
        return
    with tempfile.TemporaryDirectory() as place, limit_threads():
        file = make(Path(place), options.networks, options.images, options.voxels)
        settings = read_sweep(file)
        tasks, record = plan_tasks(settings, progress=False), Record(settings.output)
        record.describe(tasks)
        tasks = [task for task in tasks if task.kind in ("extract", "fit")]  # the others take next to nothing
        said, took = dict[str, Cost](), dict[str, Cost]()
        for task in tasks:
            if task.kind == "extract":  # right before, as what else the machine does makes even processors slower
                pair = [task, *(other for other in tasks if task.key in other.needs)]
                said |= estimate_tasks(pair, cpus=1, progress=False)
            took[task.key], waited = work(record, task)
            words = f"{_words(said[task.key])}; took {_words(took[task.key])}, {waited:.1f} s by the clock"
            print(f"{task.kind} {task.name}: {words}", flush=True)
    found = ratios(tasks, said, took)
    if options.page:
        rows = [(kind, *(f"{found[f'{kind}_{what}']:.2f}" for what in WHAT)) for kind in KINDS]
        write_table(options.page, "forecast.py slice", markdown(("estimated / measured", *WHAT), rows))
    print(json.dumps(found))


def foretold(file: Path, timed: bool) -> list[dict[str, Any]]:
    """What a sweep would take, by kind of task: with one processor of this machine, and of memory the most."""
    tasks = plan_tasks(read_sweep(file), progress=False)
    costs = estimate_tasks(tasks, cpus=1, timed=timed)
    rows = []
    for kind in KINDS:
        some = [costs[task.key] for task in tasks if kind in (task.kind, "all")]
        cost = sum(some, Cost())
        hours = f"{cost.seconds / 3600:,.0f} h" if timed else "not measured"
        sizes = f"{cost.memory / 1e9:.1f} GB", f"{cost.disk / 1e12:.2f} TB"
        rows.append(dict(zip(FORETOLD, (file.stem, kind, f"{len(some):,}", hours, *sizes), strict=True)))
    return rows


def _words(cost: Cost) -> str:
    return f"{cost.seconds:.1f} s, {cost.memory / 1e9:.2f} GB, {cost.disk / 1e6:.1f} MB"


def ratios(tasks: Sequence[Task], said: dict[str, Cost], took: dict[str, Cost]) -> dict[str, Any]:
    """Estimated over measured, by kind."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        keys = [task.key for task in tasks if kind in (task.kind, "all")]
        one, other = (sum((costs[key] for key in keys), Cost()) for costs in (said, took))
        found[f"{kind}_seconds"] = round(other.seconds, 1)
        found[f"{kind}_time"] = round(one.seconds / other.seconds, 3)
        found[f"{kind}_memory"] = round(one.memory / other.memory, 3)
        found[f"{kind}_disk"] = round(one.disk / other.disk, 3)
    matter = [found[f"{kind}_{what}"] for kind in KINDS for what in WHAT]
    worst = max(matter, key=lambda ratio: abs(math.log(ratio)))
    return found | {"worst": worst, "within": abs(worst - 1) <= TOLERANCE}


if __name__ == "__main__":
    main()
