"""Tasks as jobs of SLURM, by submitit, or as processes of this machine in their place."""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from factortopy.errors import UnavailableError, import_extra
from factortopy.machine import Cost, processors
from factortopy.sweep.engines import Ended, Share
from factortopy.sweep.record import Record
from factortopy.sweep.tasks import Task
from factortopy.sweep.work import run_tasks

TIMEOUTS = 100
"""Times that a job whose time is over is queued again."""
MOST = 1_000
"""Jobs at a time on a cluster."""


class Requeued:
    """Tasks as a job: SLURM puts it into the queue again where it was pre-empted or its time was over."""

    def __call__(self, folder: str, keys: Sequence[str], cpus: int) -> None:
        """Do the tasks."""
        run_tasks(folder, keys, cpus)

    def checkpoint(self, folder: str, keys: Sequence[str], cpus: int) -> Any:
        """What to submit again; tasks that are done are not done again, one that was begun goes on by its files."""
        return import_extra("submitit", "slurm").helpers.DelayedSubmission(self, folder, keys, cpus)


class OnSlurm:
    """Jobs of SLURM, those of a kind that are ready as one array; or processes of this machine, in its place.

    Where more tasks are ready than jobs may run, a job does several of them one after the other.

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
        share: Share | None = None,
        costs: Mapping[str, Cost] | None = None,
        cluster: Literal["slurm", "local"] = "slurm",
        partition: str | None = None,
        most: int | None = None,
    ) -> None:
        submitit, share = import_extra("submitit", "slurm"), share or Share()
        kinds = {"slurm": submitit.SlurmExecutor, "local": submitit.LocalExecutor}
        try:
            self._executor = kinds[cluster](folder / "sweep" / "jobs", max_num_timeout=TIMEOUTS)
        except RuntimeError as error:
            raise UnavailableError("no SLURM here (its srun is missing); take another --engine") from error
        self._uncompleted = submitit.core.utils.UncompletedJobError
        self._folder, self._share, self._costs = str(folder), share, costs or {}
        self._partition, self._local = partition, cluster == "local"
        self._most = most or (max(1, processors() // share.cpus) if self._local else MOST)
        self._running: list[tuple[tuple[Task, ...], Any]] = []

    def submit(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Submit those of a kind as one array, shared out among the jobs that may run."""
        each = math.ceil(len(tasks) / self._most)
        kinds = dict.fromkeys(task.kind for task in tasks)
        of_kinds = [[task for task in tasks if task.kind == kind] for kind in kinds]
        packs = [tuple(group[at : at + each]) for group in of_kinds for at in range(0, len(group), each)]
        taken = packs[: max(0, self._most - len(self._running))]
        for kind in kinds:
            if array := [pack for pack in taken if pack[0].kind == kind]:
                self._submit_array(array)
        return [task for pack in taken for task in pack]

    def _submit_array(self, packs: Sequence[tuple[Task, ...]]) -> None:
        if self._local:
            self._executor.update_parameters(timeout_min=self._share.minutes)
        else:
            every = [task for pack in packs for task in pack]
            self._executor.update_parameters(
                **job_options(every, self._share, self._costs, self._partition, self._most)
            )
        with self._executor.batch():
            jobs = [
                self._executor.submit(Requeued(), self._folder, [task.key for task in pack], self._share.cpus)
                for pack in packs
            ]
        self._running += zip(packs, jobs, strict=True)

    def poll(self) -> list[Ended]:
        """Tasks of jobs that ended, or that SLURM ended."""
        over = [(pack, job) for pack, job in self._running if job.done()]
        self._running = [one for one in self._running if one not in over]
        return [one for pack, job in over for one in self._ended(pack, job)]

    def _ended(self, pack: tuple[Task, ...], job: Any) -> list[Ended]:
        """The first task that has no ending was being done when the job was lost, and those behind it were not."""
        record = Record(self._folder)
        try:
            error = job.exception()
        except self._uncompleted as uncompleted:
            error = uncompleted
        left = [task for task in pack if not record.is_done(task) and record.failure(task) is None] if error else []
        lost = f"job {job.job_id}: {type(error).__name__}"
        return [Ended(task.key, lost if task in left[:1] else "", begun=task not in left[1:]) for task in pack]

    def cancel(self) -> None:
        """Cancel all jobs."""
        for _, job in self._running:
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
    most: int | None = None,
) -> str:
    """The file that SLURM would be given for an array of these tasks.

    Args:
        folder: of the sweep.
        tasks: of one kind, all ready.
        share, costs, partition, most: as of :class:`OnSlurm`.

    Raises:
        MissingExtraError: if submitit is not installed.
    """
    slurm = import_extra("submitit.slurm.slurm", "slurm")
    most = most or MOST
    jobs, options = folder / "sweep" / "jobs", job_options(tasks, share, costs, partition, most)
    packs = math.ceil(len(tasks) / math.ceil(len(tasks) / most))
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(jobs))}"
    return str(slurm._make_sbatch_string(command=command, folder=jobs, map_count=packs, **options))
