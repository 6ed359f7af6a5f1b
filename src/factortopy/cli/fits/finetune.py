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
)
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.finetuning import Finetuned


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
    from factortopy.cli.fits.finetune_map import Request, map_before_and_after, original_task
    from factortopy.finetuning import finetune as train
    from factortopy.finetuning import finetune_settings, open_labelled
    from factortopy.networks import load_network

    named = {"per_class": per_class, "steps": steps, "seed": seed, **parse_changes(changes)}
    settings = finetune_settings(**named)
    pictures = open_labelled(labelled, root=root, download=download and not dry_run)
    task = None if original is None else open_labelled(original, root=root, download=download and not dry_run)
    chosen: dict[str, Any] = {"seed": seed, "weights": weights, "device": device}
    request = None
    if data is not None:
        request = Request.open(
            data, photographs, subject, parse_changes(fit_changes), seed, device, precision, not quiet
        )
    if dry_run:
        from factortopy.cli.estimate_finetune import estimate_rows

        loaded = load_network(network, untrained=True, seed=seed, device=device)
        rows = estimate_rows(loaded, pictures, settings, request, precision, not quiet)
        print_table(f"Fine-tuning of {network} on {labelled}: nothing was written", ("", ""), rows)
        return

    def before() -> Any:
        return load_network(network, untrained=untrained, progress=not quiet, **chosen)

    tuned = train(before(), pictures, output, precision=precision, progress=not quiet, **settings.model_dump())
    facts = _facts(tuned)
    if task is not None:
        both = before(), tuned.network
        facts["original_task"] = original_task(*both, task, output, settings, precision, not quiet)
    changed = None
    if request is not None:
        changed = map_before_and_after(before(), tuned.network, request, output, palette)
        facts["change"] = changed.to_dict()
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print(tuned, facts)
        if changed is not None:
            from factortopy.cli.results.compare import print_change

            print_change(changed)
            typer.echo(f"Mappings, tables and figures: {output}/before, after, change")


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
