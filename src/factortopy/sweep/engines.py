"""Where tasks run: in this process, on Ray, or as jobs of SLURM by submitit; one small interface for all."""

import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from factortopy.errors import UnavailableError, first_line, import_extra
from factortopy.machine import Cost, processors
from factortopy.sweep.tasks import Task
from factortopy.sweep.work import run_task

LOOPBACK = "127.0.0.1"
POLL = 0.5
"""Seconds that a look at running tasks waits for one to end."""


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
        self._folder, self._cpus, self._ended = str(folder), share.cpus, list[Ended]()

    @property
    def room(self) -> int:
        """One task at a time."""
        return 1 - len(self._ended)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Do them."""
        for task in tasks:
            run_task(self._folder, task.key, self._cpus)
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
        share: what each task is given.
        costs: estimates by key; their memory is asked of Ray, so that no node is overrun.
        address: of a cluster; one of this machine, on its loopback interface, if None.

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
        self._ray = import_extra("ray", "ray")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
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

    @property
    def room(self) -> int:
        """Ray holds tasks back until there is room for them."""
        return self.MOST - len(self._running)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Give them to Ray; one that needs more memory than a node has is given a whole one."""
        for task in tasks:
            memory = self._costs[task.key].memory if task.key in self._costs else 0.0
            asked: dict[str, Any] = {"num_cpus": self._share.cpus, "num_gpus": self._share.gpus, "max_retries": 0}
            asked |= {"memory": int(min(memory, self._most)), "name": f"{task.kind} {task.name}"}
            reference = self._ray.remote(run_task).options(**asked).remote(self._folder, task.key, self._share.cpus)
            self._running[reference] = task.key

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


class Requeued:
    """A task as a job: SLURM puts it into the queue again where it was pre-empted or its time was over."""

    def __call__(self, folder: str, key: str, cpus: int) -> str:
        """Do the task."""
        return run_task(folder, key, cpus)

    def checkpoint(self, folder: str, key: str, cpus: int) -> Any:
        """What to submit again; the task goes on where its own files are."""
        return import_extra("submitit", "slurm").helpers.DelayedSubmission(self, folder, key, cpus)


class OnSlurm:
    """Jobs of SLURM, those of a kind that are ready as one array; or processes of this machine, in its place.

    Args:
        folder: of the sweep, which every machine of the cluster sees.
        share: what each job is given.
        costs: estimates by key; the largest of an array is asked for.
        cluster: ``"slurm"``, or ``"local"`` for processes here.
        partition: of the cluster; its default if None.
        most: jobs at a time.

    Raises:
        MissingExtraError: if submitit is not installed.
        UnavailableError: if there is no SLURM here.
    """

    def __init__(
        self,
        folder: Path,
        share: Share = Share(),
        costs: Mapping[str, Cost] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
        partition: str | None = None,
        most: int | None = None,
    ) -> None:
        submitit = import_extra("submitit", "slurm")
        kinds = {"slurm": submitit.SlurmExecutor, "local": submitit.LocalExecutor}
        try:
            self._executor = kinds[cluster](folder / "sweep" / "jobs")
        except RuntimeError as error:
            raise UnavailableError("no SLURM here (its srun is missing); take another --engine") from error
        self._uncompleted = submitit.core.utils.UncompletedJobError
        self._folder, self._share, self._costs = str(folder), share, costs or {}
        self._partition, self._local = partition, cluster == "local"
        self._most = most or (max(1, processors() // share.cpus) if self._local else 1_000)
        self._running: dict[str, Any] = {}

    @property
    def room(self) -> int:
        """Jobs that may run beside those that do."""
        return self._most - len(self._running)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Submit those of a kind as one array."""
        for kind in dict.fromkeys(task.kind for task in tasks):
            group = [task for task in tasks if task.kind == kind]
            if self._local:
                self._executor.update_parameters(timeout_min=self._share.minutes)
            else:
                self._executor.update_parameters(
                    **job_options(group, self._share, self._costs, self._partition, self._most)
                )
            with self._executor.batch():
                jobs = [self._executor.submit(Requeued(), self._folder, task.key, self._share.cpus) for task in group]
            self._running |= {task.key: job for task, job in zip(group, jobs, strict=True)}

    def poll(self) -> list[Ended]:
        """Jobs that ended, or that SLURM ended."""
        return [self._ended(key) for key, job in list(self._running.items()) if job.done()]

    def _ended(self, key: str) -> Ended:
        job = self._running.pop(key)
        try:
            error = job.exception()
        except self._uncompleted as uncompleted:
            error = uncompleted
        return Ended(key, f"job {job.job_id}: {type(error).__name__}" if error else "")

    def cancel(self) -> None:
        """Cancel all jobs."""
        for job in self._running.values():
            job.cancel(check=False)
        self._running.clear()


def job_options(
    tasks: Sequence[Task], share: Share, costs: Mapping[str, Cost], partition: str | None, most: int
) -> dict[str, Any]:
    """What submitit is told of an array of jobs."""
    memory = max((costs[task.key].memory for task in tasks if task.key in costs), default=0.0)
    asked: dict[str, Any] = {"job_name": "factortopy", "time": share.minutes, "cpus_per_task": share.cpus}
    asked |= {"array_parallelism": min(most, len(tasks)), "additional_parameters": {"requeue": True}}
    asked |= {"mem": f"{math.ceil(memory / 2**30)}G"} if memory else {}
    asked |= {"gpus_per_node": math.ceil(share.gpus)} if share.gpus else {}
    return asked | ({"partition": partition} if partition else {})


def sbatch_text(
    folder: Path,
    tasks: Sequence[Task],
    share: Share,
    costs: Mapping[str, Cost],
    partition: str | None,
    most: int = 1_000,
) -> str:
    """The file that SLURM would be given for an array of these tasks.

    Raises:
        MissingExtraError: if submitit is not installed.
    """
    slurm = import_extra("submitit.slurm.slurm", "slurm")
    jobs, options = folder / "sweep" / "jobs", job_options(tasks, share, costs, partition, most)
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(jobs))}"
    return str(slurm._make_sbatch_string(command=command, folder=jobs, map_count=len(tasks), **options))
