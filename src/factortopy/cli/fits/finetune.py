"""``factortopy finetune``: the paper's fine-tuning, and, if asked, the mapping before and after."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import (
    Changes,
    Device,
    DryRun,
    Json,
    Palette,
    Precision,
    Quiet,
    Seed,
    SubjectNumber,
    Untrained,
    WeightsFile,
    check_place,
    parse_changes,
    readable_bytes,
    readable_seconds,
)
from factortopy.cli.tables import cost_rows, print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.finetuning import Finetuned
    from factortopy.images import ImageSet
    from factortopy.networks import Network
    from factortopy.subjects import Subject


def finetune(
    network: Annotated[str, typer.Argument(help="As for [bold]extract[/bold], or the folder of a fine-tuned network.")],
    labelled: Annotated[
        str,
        typer.Argument(
            help="Folder with a subfolder of images for each class, torchvision/NAME (such as "
            "torchvision/EuroSAT), or sklearn/digits."
        ),
    ],
    output: Annotated[
        Path, typer.Argument(help="Folder of the fine-tuned network; [bold]extract[/bold] takes it as one.")
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option("--map", metavar="SUBJECT", help="Also map the network before and after onto it, as fit does."),
    ] = None,
    photographs: Annotated[
        Path | None, typer.Option(metavar="IMAGES", help="The subject's photographs, where its folder has none.")
    ] = None,
    subject: SubjectNumber = None,
    original: Annotated[
        str | None,
        typer.Option(metavar="LABELLED", help="Images of the original task: how much of it is forgotten is measured."),
    ] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Training images of each class.")] = 50,
    steps: Annotated[int, typer.Option(min=1, help="Optimisation steps.")] = 3_000,
    changes: Changes = None,
    fit_changes: Annotated[
        list[str] | None,
        typer.Option("--fit-set", metavar="NAME=VALUE", help="A setting of the fits, recipe among them."),
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Folder that torchvision keeps its data sets in.")] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="Let torchvision fetch its data set to ROOT."),
    ] = False,
    weights: WeightsFile = None,
    untrained: Untrained = False,
    seed: Seed = 0,
    device: Device = None,
    precision: Precision = None,
    palette: Palette = "default",
    as_json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train all layers of a network to classify images, 50 a class, as the paper does; see what it forgot.

    A run that was stopped goes on when the same command is given again. With --map the network is mapped
    before and after, and OUTPUT/change says what changed.
    """
    check_place(output)
    if data is None and (photographs is not None or fit_changes or subject is not None):
        raise DataError("--photographs, --subject and --fit-set are for mappings; give --map SUBJECT as well")
    from factortopy.finetuning import estimate_finetuning, finetune_settings, open_labelled, probe_before_and_after
    from factortopy.finetuning import finetune as train
    from factortopy.fitting import fit_settings
    from factortopy.networks import load_network
    from factortopy.reporting import write_change
    from factortopy.storage import write_text
    from factortopy.workflow import map_before_and_after

    named = {"per_class": per_class, "steps": steps, "seed": seed, **parse_changes(changes)}
    settings = finetune_settings(**named)
    pictures = open_labelled(labelled, root=root, download=download and not dry_run)
    task = None if original is None else open_labelled(original, root=root, download=download and not dry_run)
    fits = {"seed": seed, "precision": precision, **parse_changes(fit_changes, ("seed",))}
    mapped = None if data is None else _open_mapped(data, photographs, subject, not quiet)
    fit_settings(**{name: value for name, value in fits.items() if name != "precision"})
    shared: dict[str, Any] = {"precision": precision, "progress": not quiet}

    def before(untrained: bool = untrained) -> "Network":
        chosen: dict[str, Any] = {} if dry_run else {"weights": weights, "progress": not quiet}
        return load_network(network, untrained=untrained, seed=seed, device=device, **chosen)

    if dry_run:
        cost = estimate_finetuning(before(untrained=True), pictures, settings, **shared)
        rows = [] if mapped is None else _mapping_rows(before(untrained=True), mapped[1], precision)
        print_table(f"Fine-tuning of {network} on {labelled}: nothing was written", ("", ""), [*cost_rows(cost), *rows])
        return
    tuned = train(before(), pictures, output, **shared, **settings.model_dump())
    facts = _facts(tuned)
    if task is not None:
        facts["original_task"] = probe_before_and_after(before(), tuned.network, task, settings, **shared)
        write_text(output / "original_task.json", json.dumps(facts["original_task"], indent=1) + "\n")
    changed = None
    if mapped is not None:
        person, seen = mapped
        mappings = map_before_and_after(
            before(), tuned.network, person, output, images=seen, device=device, progress=not quiet, **fits
        )
        changed = write_change(*mappings, output / "change", palette)
        facts["change"] = changed.to_dict()
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print(tuned, facts)
        if changed is not None:
            from factortopy.cli.results.compare import print_change

            print_change(changed)
            typer.echo(f"Mappings, tables and figures: {output}/before, after, change")


def _open_mapped(
    data: Path, photographs: Path | None, number: int | None, progress: bool
) -> "tuple[Subject, ImageSet]":
    """The subject that the network is mapped onto, and the photographs that it saw."""
    from factortopy.datasets import load_subject, open_images

    subject = load_subject(data, subject=number, progress=progress)
    images = subject.images if photographs is None else open_images(photographs)
    if images is None:
        raise DataError(f"{data} does not hold the photographs that were shown; give --photographs FOLDER")
    return subject, images.subset(subject.distinct_image_ids)


def _mapping_rows(network: "Network", images: "ImageSet", precision: str | None) -> list[tuple[str, str]]:
    """What the tokens before and after take."""
    from factortopy.tokens import estimate_extraction

    cost = 2 * estimate_extraction(network, images, precision=precision)
    disk, seconds = readable_bytes(cost.disk), readable_seconds(cost.seconds)
    return [
        ("tokens, twice", f"{len(images):,} images: {disk} of disk, about {seconds}"),
        ("fits, twice", "as factortopy fit --dry-run says once there are tokens"),
    ]


def _facts(tuned: "Finetuned") -> dict[str, Any]:
    return {
        "network": tuned.network.name,
        "folder": str(tuned.folder),
        "accuracy": tuned.accuracy,
        "accuracy_untrained_head": tuned.history.accuracy[0],
        "best_accuracy": max(tuned.history.accuracy),
        "chance": 1 / tuned.classes,
        "seconds": round(tuned.history.seconds, 1),
    }


def _print(tuned: "Finetuned", facts: dict[str, Any]) -> None:
    history = tuned.history
    rows = [
        ("validation accuracy", f"{tuned.accuracy:.3f} after {history.step[-1]:,} steps"),
        ("at most", f"{max(history.accuracy):.3f}; chance {1 / tuned.classes:.3f}"),
        ("before any step", f"{history.accuracy[0]:.3f}, the head being random"),
    ]
    if "original_task" in facts:
        task = facts["original_task"]
        rows.append(("original task", f"{task['before']:.3f} before, {task['after']:.3f} after"))
    print_table(tuned.network.name, ("", ""), rows)
    typer.echo(f"Fine-tuned network: {tuned.folder}")
