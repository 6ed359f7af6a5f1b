"""``factortopy finetune``: the paper's fine-tuning, and, if asked, the mapping before and after."""

import json
from pathlib import Path
from typing import Any

import typer

import factortopy as ft
from factortopy.cli.compare import print_change
from factortopy.cli.shared import finetune_options as own
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import print_cost, print_table, readable_bytes, readable_seconds
from factortopy.errors import DataError


def finetune(
    network: own.Network,
    labelled: own.Labelled,
    output: own.Output,
    *,
    data: own.Data = None,
    photographs: own.Photographs = None,
    subject: opt.SubjectNumber = None,
    original: own.Original = None,
    per_class: own.PerClass = 50,
    steps: own.Steps = 3_000,
    changes: opt.Changes = None,
    fit_changes: own.FitChanges = None,
    root: own.Root = None,
    download: own.Download = False,
    weights: opt.WeightsFile = None,
    untrained: opt.Untrained = False,
    seed: opt.Seed = 0,
    device: opt.Device = None,
    precision: opt.Precision = None,
    palette: opt.Palette = "default",
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train all layers of a network to classify images, 50 a class, as the paper does; see what it forgot.

    A run that was stopped goes on when the same command is given again. With --map the network is mapped
    before and after, and OUTPUT/change says what changed.
    """
    opt.check_whole(output)
    opt.check_weights(untrained, weights)
    if data is None and (photographs is not None or fit_changes or subject is not None):
        raise DataError("--photographs, --subject and --fit-set are for mappings; give --map SUBJECT as well")
    chosen = {"per_class": per_class, "steps": steps, "seed": seed, **opt.parse_changes(changes)}
    settings = ft.finetuning.FinetuneSettings.checked(**chosen)
    shared: dict[str, Any] = {"precision": precision, "progress": not quiet}
    fetch = download and not dry_run
    pictures = ft.open_labelled(labelled, root=root, download=fetch)
    task = None if original is None else ft.open_labelled(original, root=root, download=fetch)
    fits = {"seed": seed, "precision": precision, **opt.parse_changes(fit_changes, ("seed",))}
    mapped = None if data is None else _open_mapped(data, photographs, subject, not quiet)
    ft.fitting.fit_settings(**{name: value for name, value in fits.items() if name != "precision"})

    def before() -> "ft.Network":
        if dry_run:
            return ft.load_network(network, untrained=True, seed=seed, device=device)
        options: dict[str, Any] = {"weights": weights, "progress": not quiet}
        return ft.load_network(network, untrained=untrained, seed=seed, device=device, **options)

    if dry_run:
        cost = ft.finetuning.estimate_finetuning(before(), pictures, settings, **shared)
        rows = [] if mapped is None else _mapping_rows(before(), mapped[1], precision)
        print_cost(f"Fine-tuning of {network} on {labelled}: nothing was written", cost, after=rows)
        return
    tuned = ft.finetune(before(), pictures, output, **shared, **settings.model_dump())
    facts = _facts(tuned)
    if task is not None:
        facts["original_task"] = ft.finetuning.probe_before_and_after(before(), tuned.network, task, settings, **shared)
        ft.storage.write_text(output / "original_task.json", json.dumps(facts["original_task"], indent=1) + "\n")
    change = None
    if mapped is not None:
        mappings = ft.map_before_and_after(
            before(), tuned.network, mapped[0], output, images=mapped[1], device=device, progress=not quiet, **fits
        )
        change = ft.reporting.write_change(*mappings, output / "change", palette)
        facts["change"] = change.to_dict()
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print_tuned(tuned, facts)
        if change is not None:
            print_change(change)
            typer.echo(f"Mappings, tables and figures: {output}/before, after, change")


def _open_mapped(
    data: Path, photographs: Path | None, number: int | None, progress: bool
) -> "tuple[ft.Subject, ft.ImageSet]":
    """The subject that the network is mapped onto, and the photographs that it saw."""
    subject = ft.load_subject(data, subject=number, progress=progress)
    images = subject.images if photographs is None else ft.open_images(photographs)
    if images is None:
        raise DataError(f"{data} does not hold the photographs that were shown; give --photographs FOLDER")
    return subject, images.subset(subject.distinct_image_ids)


def _mapping_rows(network: "ft.Network", images: "ft.ImageSet", precision: str | None) -> list[tuple[str, str]]:
    """What the tokens before and after take."""
    cost = 2 * ft.estimate_extraction(network, images, precision=precision)
    disk, seconds = readable_bytes(cost.disk), readable_seconds(cost.seconds)
    return [
        ("tokens, twice", f"{len(images):,} images: {disk} of disk, about {seconds}"),
        ("fits, twice", "as factortopy fit --dry-run says once there are tokens"),
    ]


def _facts(tuned: "ft.finetuning.Finetuned") -> dict[str, Any]:
    return {
        "network": tuned.network.name,
        "folder": str(tuned.folder),
        "accuracy": tuned.accuracy,
        "accuracy_untrained_head": tuned.history.accuracy[0],
        "best_accuracy": max(tuned.history.accuracy),
        "chance": 1 / tuned.classes,
        "seconds": round(tuned.history.seconds, 1),
    }


def _print_tuned(tuned: "ft.finetuning.Finetuned", facts: dict[str, Any]) -> None:
    rows = [
        ("validation accuracy", f"{tuned.accuracy:.3f} after {tuned.history.step[-1]:,} steps"),
        ("at most", f"{facts['best_accuracy']:.3f}; chance {facts['chance']:.3f}"),
        ("before any step", f"{facts['accuracy_untrained_head']:.3f}, the head being random"),
    ]
    if "original_task" in facts:
        task = facts["original_task"]
        rows.append(("original task", f"{task['before']:.3f} before, {task['after']:.3f} after"))
    print_table(tuned.network.name, rows)
    typer.echo(f"Fine-tuned network: {tuned.folder}")
