"""``factortopy sweep``: many networks on many subjects, on one machine or many."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import print_table, readable_bytes, readable_seconds
from factortopy.errors import DataError

STATUS = "status"
Engine = Literal["process", "ray", "slurm", "local"]


def sweep(
    file: Annotated[
        Path, Argument(metavar="SWEEP.toml", help="What is to be done; or [bold]status[/bold], to see what is.")
    ],
    folder: Annotated[Path | None, Argument(metavar="FOLDER", help="With status: the folder of the results.")] = None,
    *,
    engine: Annotated[
        Engine,
        Option(help="Where tasks run: in this process, on Ray, as jobs of SLURM, or as processes of this machine."),
    ] = "process",
    address: Annotated[str | None, Option(help="Of a Ray cluster. [dim]\\[default: one of this machine][/dim]")] = None,
    partition: Annotated[str | None, Option(help="Of SLURM. [dim]\\[default: the cluster's own][/dim]")] = None,
    jobs: Annotated[
        int | None, Option(min=1, help="Jobs at a time. [dim]\\[default: one a core, or 1,000][/dim]")
    ] = None,
    cpus: Annotated[int, Option(min=1, help="Processors of a task.")] = 1,
    gpus: Annotated[float, Option(min=0, help="GPUs of a task; on Ray 0.5 lets two share one.")] = 0,
    minutes: Annotated[int, Option(min=1, help="Of a job at most; what it has done is then gone on with.")] = 1440,
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Map many networks onto many subjects; what is done is never done again, and what failed is tried again.

    Results land in one folder: tokens, mappings, scores, comparisons, a table of all scores, and status.html.
    """
    if str(file) == STATUS:
        _show(folder, as_json)
        return
    if folder is not None:
        raise DataError(
            f"{folder}: a sweep's folder stands in its file (output = ...); or factortopy sweep status FOLDER"
        )
    settings = ft.sweep.read_sweep(file)
    record, share = ft.sweep.Record(settings.output), ft.sweep.Share(cpus, gpus, minutes)
    if dry_run:
        _dry_run(record, ft.sweep.plan_tasks(settings, progress=not quiet), share, engine, partition, jobs, not quiet)
        return
    opt.check_output(settings.output / "sweep")

    def make(tasks: "Sequence[ft.sweep.Task]") -> "ft.sweep.Engine":
        if engine == "process":
            return ft.sweep.InProcess(record.folder, share)
        costs = ft.sweep.estimate_tasks(tasks, timed=False, progress=False)
        if engine == "ray":
            made = ft.sweep.OnRay(record.folder, share, costs, address)
            watch.note = made.note
            return made
        return ft.sweep.OnSlurm(record.folder, share, costs, engine, partition, jobs)

    with ft.sweep.watching(record, show=not quiet) as watch:
        progress = ft.sweep.run_sweep(record, lambda: ft.sweep.plan_tasks(settings, progress=False), make, watch)
    _report(record, progress, as_json, quiet)


def _show(folder: Path | None, as_json: bool) -> None:
    if folder is None:
        raise DataError("factortopy sweep status FOLDER: give the folder of the results")
    record = ft.sweep.Record(folder)
    _report(record, ft.sweep.look(record), as_json, False, failing=False)


def _report(
    record: "ft.sweep.Record", progress: "ft.sweep.Progress", as_json: bool, quiet: bool, failing: bool = True
) -> None:
    failed = ft.sweep.failures(record, progress.tasks)
    if as_json:
        counts = {str(state): progress.counts()[state] for state in ft.sweep.State}
        results = record.folder / ft.sweep.RESULTS
        typer.echo(json.dumps(counts | {"failures": dict(failed), "results": str(results)}))
    elif not quiet:
        Console().print(ft.sweep.status_table(record, progress, failed=not failing))
    if failing:
        _tell(failed)


def _tell(failed: Sequence[tuple[str, str]]) -> None:
    """Each failure in one line, and exit code 2 where there is one."""
    for name, reason in failed:
        typer.echo(f"error: {name}: {reason}", err=True)
    if failed:
        raise typer.Exit(2)


def _dry_run(
    record: "ft.sweep.Record",
    tasks: "Sequence[ft.sweep.Task]",
    share: "ft.sweep.Share",
    engine: Engine,
    partition: str | None,
    jobs: int | None,
    progress: bool,
) -> None:
    costs = ft.sweep.estimate_tasks(tasks, cpus=share.cpus, progress=progress)
    rows = ft.sweep.cost_rows(tasks, costs, {task.key: record.is_done(task) for task in tasks})
    columns = ("task", "network", "tasks", "left", "time", "memory", "GPU memory", "disk")
    note = "Time: of what is left, one task after the other on this machine. Memory: of the largest task."
    print_table("Needs of the sweep: nothing was written", [_cells(row) for row in rows], columns, note=note)
    if engine == "slurm":
        left = [task for task in tasks if task.kind not in ft.sweep.LIGHT and not record.is_done(task)]
        for kind in dict.fromkeys(task.kind for task in left):
            array = [task for task in left if task.kind == kind]
            typer.echo(f"\n# {kind}\n{ft.sweep.sbatch_text(record.folder, array, share, costs, partition, jobs)}")
    faults = {task.fault: f"{task.kind} {task.name}" for task in tasks if task.fault and not _foreseen(task, costs)}
    _tell([(name, str(fault)) for fault, name in faults.items()])


def _foreseen(task: "ft.sweep.Task", costs: "Mapping[str, ft.machine.Cost]") -> bool:
    """Whether a subject has sizes alone, so that nothing need be there, and what is asked for is known."""
    sizes = (task.facts or {})["subject"].get("sizes")
    return sizes is not None and costs[task.key].disk > 0


def _cells(row: Mapping[str, Any]) -> list[str]:
    sizes = [readable_bytes(row[name]) if row[name] else "" for name in ("memory", "gpu", "disk")]
    return [
        row["task"],
        row["network"],
        f"{row['tasks']:,}",
        f"{row['left']:,}",
        readable_seconds(row["seconds"]),
        *sizes,
    ]
