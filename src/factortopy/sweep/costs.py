"""What the tasks of a sweep will take: from the sizes of networks and data alone, before anything is extracted."""

import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from factortopy.errors import FactortopyError
from factortopy.fitting import fit_settings
from factortopy.images import sample_views
from factortopy.machine import Cost, Machine, limit_threads, processors
from factortopy.networks import Network, NetworkCost, estimate_cost, load_network, network_skeleton
from factortopy.progress import progress_bar
from factortopy.sweep.tasks import FOLDERS, Task
from factortopy.tokens import estimate_extraction, planned_bytes
from factortopy.workflow import LIBRARIES_MEMORY, reckon_fit

LOADED = {"extract": "timm", "fit": "torch._dynamo"}
"""The large libraries that a task loads beside this package's."""
VIEWS = 3
"""Batches that the time of an extraction is measured with."""
DECODED = 5
"""Batches of photographs that stand in memory at a time."""
KEPT = 300e6
"""Bytes that the allocator keeps of freed activations, at most as many as they take: large ones it gives back."""


def estimate_tasks(
    tasks: Sequence[Task], *, cpus: int | None = None, timed: bool = True, progress: bool = True
) -> dict[str, Cost]:
    """Time, memory and disk of every task, by key.

    Networks of one structure and fits of one size are measured once.

    Args:
        tasks: from :func:`plan_tasks`; of what cannot be had nothing is known, and nothing counted.
        cpus: processors of a task; all there are if None.
        timed: whether batches and short fits are run for the time; else seconds are 0.
        progress: whether to show a progress bar.
    """
    measure, costs = _Measure(timed), dict[str, Cost]()
    of = {task.key: task for task in tasks}
    threads = limit_threads(cpus or processors())
    with threads, progress_bar("Estimates", len(tasks), show=progress) as advance:
        for task in tasks:
            costs[task.key] = measure.task(task, of)
            advance()
    return costs


def start_seconds(kind: str) -> float:
    """Seconds in which a process starts and loads the libraries of a task."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import factortopy.sweep.work, {LOADED[kind]}"], check=True)
    return time.perf_counter() - begun


class _Measure:
    """Measures what was not measured before."""

    def __init__(self, timed: bool) -> None:
        self._timed = timed
        self._networks: dict[str, tuple[Network, NetworkCost] | FactortopyError] = {}
        self._fits: dict[Any, Cost] = {}
        self._starts: dict[str, float] = {}

    def _start(self, kind: str) -> float:
        if self._timed and kind not in self._starts:
            self._starts[kind] = start_seconds(kind)
        return self._starts.get(kind, 0.0)

    def _network(self, facts: Mapping[str, Any]) -> tuple[Network, NetworkCost]:
        name = facts["network"]["name"]
        if name not in self._networks:
            try:
                self._networks[name] = self._measured(name, facts)
            except FactortopyError as error:
                self._networks[name] = error
        found = self._networks[name]
        if isinstance(found, FactortopyError):
            raise found
        return found

    def _measured(self, name: str, facts: Mapping[str, Any]) -> tuple[Network, NetworkCost]:
        skeleton, machine = network_skeleton(name), Machine.choose(facts["device"], facts["precision"])
        build = partial(load_network, name, untrained=True) if self._timed else None
        cost = estimate_cost(skeleton, build, machine.device, machine.precision)
        if build is not None and cost.timed:  # with all that is done to an image beside the network
            views = sample_views(VIEWS * facts["batch_size"])
            how = {"batch_size": facts["batch_size"], "device": machine.device, "precision": machine.precision}
            took = estimate_extraction(build(), views, tuple(facts["grid"]), **how)
            cost = replace(cost, images_per_second=len(views) / took.seconds)
        return skeleton, cost

    def task(self, task: Task, of: Mapping[str, Task]) -> Cost:
        """Of any task; of one whose subject cannot be read, or whose network has no structure to be had, nothing."""
        extraction = task if task.kind == "extract" else of[task.needs[0]]
        known = (extraction.facts or {}).get("size", {}).get("images", 0)
        if task.kind not in ("extract", "fit") or not known:
            return Cost(memory=LIBRARIES_MEMORY)
        try:
            facts = extraction.facts or {}
            return self.extraction(facts) if task is extraction else self.fit(task.facts or {}, facts)
        except FactortopyError:  # it is told when the task is done
            return Cost(memory=LIBRARIES_MEMORY)

    def extraction(self, facts: Mapping[str, Any]) -> Cost:
        """Of one network's tokens of one set of images."""
        (network, cost), images = self._network(facts), facts["size"]["images"]
        decoded = DECODED * 4 * 3 * math.prod(network.preprocessing.size)
        activations = facts["batch_size"] * cost.activation_bytes
        needed = cost.parameter_bytes + facts["batch_size"] * decoded + activations + min(KEPT, activations)
        on_gpu = Machine.choose(facts["device"]).device.type == "cuda"
        return Cost(
            seconds=self._start("extract") + (images / cost.images_per_second if self._timed else 0.0),
            memory=LIBRARIES_MEMORY + (0.0 if on_gpu else needed),
            device_memory=needed if on_gpu else 0.0,
            disk=planned_bytes(images, network.channels, tuple(facts["grid"])),
        )

    def fit(self, facts: Mapping[str, Any], extraction: Mapping[str, Any]) -> Cost:
        """Of one fit, with the rest of its task."""
        (network, _), size = self._network(extraction), facts["size"]
        alike = (network.channels, *size.values(), facts["recipe"], facts["bootstrap"])
        if alike not in self._fits:
            settings = fit_settings(facts["recipe"], seed=facts["seed"], **facts["settings"])
            machine = Machine.choose(facts["device"], facts["precision"])
            how = {"timed": self._timed, "bootstrap": facts["bootstrap"]}
            sizes = tuple(extraction["grid"]), size["images"], size["trials"], size["voxels"]
            self._fits[alike] = reckon_fit(network.channels, *sizes, settings, machine, **how)
            self._fits[alike] += Cost(self._start("fit"))
        return self._fits[alike]


def cost_rows(tasks: Sequence[Task], costs: Mapping[str, Cost], done: Mapping[str, bool]) -> list[dict[str, Any]]:
    """Rows of a table: tasks of one kind and network together, then all; what is done takes nothing more."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.kind, str((task.facts or {}).get("label", ""))), []).append(task)
    order = list(FOLDERS)
    named = sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))  # type: ignore[arg-type]
    rows = [_row(kind, label, group, costs, done) for (kind, label), group in named]
    return [*rows, _row("all", "", tasks, costs, done)]


def _row(
    kind: str, label: str, tasks: Sequence[Task], costs: Mapping[str, Cost], done: Mapping[str, bool]
) -> dict[str, Any]:
    left = [costs[task.key] for task in tasks if not done[task.key]]
    total = sum(left, Cost())
    facts = {"task": kind, "network": label, "tasks": len(tasks), "left": len(left)}
    return facts | {"seconds": total.seconds, "memory": total.memory, "gpu": total.device_memory, "disk": total.disk}
