"""Where tasks run: in this process or on Ray, by one small interface; ``slurm.py`` has a third."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from factortopy.errors import UnavailableError, first_line, import_extra
from factortopy.machine import Cost, processors
from factortopy.sweep.tasks import Task
from factortopy.sweep.work import run_task

LOOPBACK = "127.0.0.1"
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Of Ray, read when it is imported: on every system, despite its name, 0 keeps it on the loopback interface."""
POLL = 0.5
"""Seconds that a look at running tasks waits for one to end."""


@dataclass(frozen=True)
class Ended:
    """A task that an engine runs no more.

    Attributes:
        key: of the task.
        lost: why its worker ended before the task did; empty where the task's own record says how it ended.
        begun: whether it was begun at all, before its worker ended.
    """

    key: str
    lost: str = ""
    begun: bool = True


class Engine(Protocol):
    """Runs tasks of a sweep."""

    def submit(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Take as many of these tasks, whose needs are done, as there is room for; gives those that were taken."""

    def poll(self) -> list[Ended]:
        """The tasks that ended since the last call; waits a moment where there are none."""

    def cancel(self) -> None:
        """End all that runs."""


@dataclass(frozen=True)
class Share:
    """What a task is given of a machine.

    Attributes:
        cpus: processors.
        gpus: GPUs, a fraction where several tasks share one.
        minutes: of a job, at most.
    """

    cpus: int = 1
    gpus: float = 0.0
    minutes: int = 24 * 60


class InProcess:
    """One task after the other, in this process: for few of them, and to look for faults.

    Args:
        folder: of the sweep.
        share: what a task is given.
    """

    def __init__(self, folder: Path, share: Share = Share()) -> None:
        self._folder, self._cpus, self._taken = str(folder), share.cpus, list[Task]()

    def submit(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Take one."""
        taken = tasks[: 1 - len(self._taken)]
        self._taken += taken
        return taken

    def poll(self) -> list[Ended]:
        """Do it."""
        taken, self._taken = self._taken, []
        for task in taken:
            run_task(self._folder, task.key, self._cpus)
        return [Ended(task.key) for task in taken]

    def cancel(self) -> None:
        """Nothing runs."""


class OnRay:
    """Tasks of a Ray cluster: one of this machine alone, which ends with this process, or one that is there.

    Args:
        folder: of the sweep, which every machine of the cluster sees.
        share: what each task is given.
        costs: estimates by key; their memory is asked of Ray, so that no node is overrun.
        address: of a cluster; one of this machine if None, on its loopback interface unless Ray was imported before.

    Attributes:
        note: where Ray's dashboard is; empty where there is none.

    Raises:
        MissingExtraError: if Ray is not installed.
        UnavailableError: if no cluster is at the address.
    """

    MOST = 1_000
    """Tasks that wait at Ray at a time."""
    STORE = 80 * 2**20
    """Bytes of Ray's store of objects: tasks hand over nothing but words."""

    def __init__(
        self, folder: Path, share: Share = Share(), costs: Mapping[str, Cost] | None = None, address: str | None = None
    ) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is None:
            # Ray takes the loopback interface for that of the network, unless it is told to be of one machine alone.
            os.environ[ALONE] = "0"
        self._ray = import_extra("ray", "ray")
        own: dict[str, Any] = {"num_cpus": processors(), "include_dashboard": False, "object_store_memory": self.STORE}
        options = own | {"_node_ip_address": LOOPBACK} if address is None else {}
        try:
            at = self._ray.init(address=address or "local", log_to_driver=False, logging_level="error", **options)
        except ConnectionError as error:
            raise UnavailableError(
                f"no Ray cluster at {address}: {first_line(error)}; start one, or leave --address"
            ) from error
        self.note = f"Ray's dashboard: http://{at.dashboard_url}" if at.dashboard_url else ""
        self._folder, self._share, self._costs = str(folder), share, costs or {}
        self._most = max((node["Resources"].get("memory", 0) for node in self._ray.nodes()), default=0)
        self._running: dict[Any, str] = {}

    def submit(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Give them to Ray, which holds them back until a node has room; one that needs more has a whole one."""
        taken = tasks[: max(0, self.MOST - len(self._running))]
        for task in taken:
            memory = self._costs[task.key].memory if task.key in self._costs else 0.0
            asked: dict[str, Any] = {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus, "max_retries": 0}
            asked |= {"memory": int(min(memory, self._most)), "name": f"{task.kind} {task.name}"}
            reference = self._ray.remote(run_task).options(**asked).remote(self._folder, task.key, self._share.cpus)
            self._running[reference] = task.key
        return taken

    def poll(self) -> list[Ended]:
        """Those whose workers are done, or gone."""
        if not self._running:
            return []
        waiting = list(self._running)
        self._ray.wait(waiting, num_returns=1, timeout=POLL)
        ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [self._ended(reference) for reference in ready]

    def _ended(self, reference: Any) -> Ended:
        key = self._running.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Ended(key, f"Ray: {type(error).__name__}")
        return Ended(key)

    def cancel(self) -> None:
        """End all tasks, and the cluster if it is this process's own."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()
