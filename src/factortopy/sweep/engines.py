"""Where tasks run: in this process, on Ray, or as jobs of SLURM by submitit; one small interface for all."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from factortopy.errors import import_extra
from factortopy.machine import Cost, processors
from factortopy.sweep.tasks import Task
from factortopy.sweep.work import run_task


@dataclass(frozen=True)
class Ended:
    """A task that an engine runs no more.

    Attributes:
        key: of the task.
        lost: why its worker ended before the task did; empty where the task's own record says how it ended.
    """

    key: str
    lost: str = ""


class Engine(Protocol):
    """Runs tasks of a sweep."""

    @property
    def room(self) -> int:
        """How many more tasks may be submitted by now."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """Begin tasks whose needs are done."""

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
        memory: bytes of main memory; 0 where nothing is said.
        minutes: of a job, at most.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory: float = 0.0
    minutes: int = 24 * 60


class InProcess:
    """One task after the other, in this process: for few of them, and to look for faults."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ended = str(folder), list[Ended]()

    @property
    def room(self) -> int:
        """One task at a time."""
        return 1 - len(self._ended)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Do them."""
        for task in tasks:
            run_task(self._folder, task.key)
            self._ended.append(Ended(task.key))

    def poll(self) -> list[Ended]:
        """Those that were done."""
        ended, self._ended = self._ended, []
        return ended

    def cancel(self) -> None:
        """Nothing runs."""


class OnRay:
    """Tasks of a Ray cluster: one of this machine alone, which ends with this process, or one that is there.

    Args:
        folder: of the sweep, which every machine of the cluster sees.
        address: of a cluster; one of this machine, on its loopback interface, if None.
        share: what each task is given.
        costs: estimates by key; their memory is asked of Ray.
    """

    MOST = 1_000
    """Tasks that wait at Ray at a time."""

    def __init__(
        self, folder: Path, address: str | None = None, share: Share = Share(), costs: dict[str, Cost] | None = None
    ) -> None:
        self._ray = import_extra("ray", "ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is None:
            own = {"num_cpus": processors(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            self._ray.init(address="local", log_to_driver=False, logging_level="error", **own)
        else:
            self._ray.init(address=address, log_to_driver=False, logging_level="error")
        self._folder, self._share, self._costs = str(folder), share, costs or {}
        self._running: dict[Any, str] = {}

    @property
    def dashboard(self) -> str:
        """Address of Ray's own page; empty where there is none."""
        return str(
            self._ray.get_runtime_context().gcs_address and (self._ray._private.worker.get_dashboard_url() or "")
        )

    @property
    def room(self) -> int:
        """Ray holds tasks back until there is room for them."""
        return self.MOST - len(self._running)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Give them to Ray."""
        for task in tasks:
            asked: dict[str, Any] = {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus, "max_retries": 0}
            memory = self._costs[task.key].memory if task.key in self._costs else self._share.memory
            if memory:
                asked["memory"] = int(memory)
            reference = (
                self._ray.remote(**asked)(run_task)
                .options(name=f"{task.kind} {task.name}")
                .remote(self._folder, task.key)
            )
            self._running[reference] = task.key

    def poll(self) -> list[Ended]:
        """Those whose workers are done, or gone."""
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=0.5)
        more, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        ended = []
        for reference in {*ready, *more}:
            key = self._running.pop(reference)
            try:
                self._ray.get(reference)
                ended.append(Ended(key))
            except self._ray.exceptions.RayError as error:
                ended.append(Ended(key, f"Ray: {type(error).__name__}"))
        return ended

    def cancel(self) -> None:
        """End all tasks, and the cluster if it is this process's own."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running.clear()
        self._ray.shutdown()


class Requeued:
    """A task as a job: SLURM puts it into the queue again where it was pre-empted or its time was over."""

    def __call__(self, folder: str, key: str) -> str:
        """Do the task."""
        return run_task(folder, key)

    def checkpoint(self, folder: str, key: str) -> Any:
        """What to submit again; the task goes on where its own files are."""
        return import_extra("submitit", "slurm").helpers.DelayedSubmission(self, folder, key)


class OnSlurm:
    """Jobs of SLURM, each round of them one array; or processes of this machine, in its place.

    Args:
        folder: of the sweep, which every machine of the cluster sees.
        cluster: ``"slurm"``, or ``"local"`` for processes here.
        share: what each job is given.
        costs: estimates by key; the largest of a round is asked for.
        partition: of the cluster; its default if None.
        most: jobs at a time.
    """

    def __init__(
        self,
        folder: Path,
        cluster: str = "slurm",
        share: Share = Share(),
        costs: dict[str, Cost] | None = None,
        partition: str | None = None,
        most: int | None = None,
    ) -> None:
        submitit = import_extra("submitit", "slurm")
        self._executor = submitit.AutoExecutor(folder / "sweep" / "jobs", cluster=cluster)
        self._uncompleted = submitit.core.utils.UncompletedJobError
        self._folder, self._share, self._costs = str(folder), share, costs or {}
        self._partition, self._local = partition, cluster == "local"
        self._most = most or (processors() if self._local else 1_000)
        self._running: dict[str, Any] = {}

    @property
    def room(self) -> int:
        """Jobs that may run beside those that do."""
        return self._most - len(self._running)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Submit them as one array."""
        memory = max([self._share.memory, *(self._costs[task.key].memory for task in tasks if task.key in self._costs)])
        asked: dict[str, Any] = {
            "timeout_min": self._share.minutes,
            "cpus_per_task": self._share.cpus,
            "name": "factortopy",
        }
        asked |= {"mem_gb": memory / 1e9} if memory and not self._local else {}
        asked |= {"gpus_per_node": int(self._share.gpus)} if self._share.gpus and not self._local else {}
        if not self._local:
            asked |= {"slurm_array_parallelism": self._most}
            asked |= {"slurm_partition": self._partition} if self._partition else {}
        self._executor.update_parameters(**asked)
        with self._executor.batch():
            jobs = {task.key: self._executor.submit(Requeued(), self._folder, task.key) for task in tasks}
        self._running |= jobs

    def poll(self) -> list[Ended]:
        """Jobs that ended, or that SLURM ended."""
        ended = []
        for key, job in list(self._running.items()):
            if not job.done():
                continue
            del self._running[key]
            try:
                error = job.exception()
            except self._uncompleted as uncompleted:
                error = uncompleted
            ended.append(Ended(key, f"job {job.job_id}: {type(error).__name__}" if error else ""))
        return ended

    def cancel(self) -> None:
        """Cancel all jobs."""
        for job in self._running.values():
            job.cancel(check=False)
        self._running.clear()
