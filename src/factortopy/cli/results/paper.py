"""``factortopy paper``: the figures and tables of the paper, each by one command."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    check_place,
    parse_changes,
    readable_seconds,
    split_names,
)
from factortopy.cli.tables import cost_rows, print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.paper import Outcome


def paper(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="list, all, or the name of a figure or table.")],
    *,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="NSD, Algonauts 2023 or another data set with photographs; may be given once a subject.",
        ),
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="SIMULATED subjects and networks that need no model hub.")
    ] = False,
    work: Annotated[
        Path, typer.Option("--work", "-w", help="Folder of tokens, fits and results, shared by all items.")
    ] = Path("paper-run"),
    subjects: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="Numbers of subjects in FOLDER. [dim]\\[default: 1,2,3][/dim]"),
    ] = None,
    networks: Annotated[str | None, typer.Option(metavar="NAME,NAME", help="Networks instead of the paper's.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="Local file of a network's weights, such as MoCo v3's."),
    ] = None,
    labelled: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGES", help="Fine-tuning: folder of one folder a class, or torchvision/EuroSAT."),
    ] = None,
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where torchvision keeps its data sets.")] = None,
    recipe: Annotated[
        Literal["default", "paper"] | None,
        typer.Option(help="[dim]\\[default: paper; with --simulated default][/dim]"),
    ] = None,
    changes: Changes = None,
    images: Annotated[int, typer.Option(help="Photographs of a simulated subject.")] = 160,
    seed: Seed = 0,
    palette: Palette = "default",
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Make a figure or table of the paper, the paper's own numbers beside yours, as PNG, SVG, CSV and JSON.

    Tokens and fits are kept in the work folder: what was stopped goes on, and what another item made is used.
    """
    from factortopy.paper import ITEMS, Study, StudyPlan, estimate_items, find_item, run_items

    if item == "list":
        print_table("Figures and tables", ("name", "shows"), [(one.name, one.title) for one in ITEMS.values()])
        return
    chosen = list(ITEMS.values()) if item == "all" else [find_item(item)]
    if simulated == bool(data) and (simulated or not dry_run):
        raise DataError("give --data FOLDER of measured responses, or --simulated; one of them")
    check_place(work / "fits")
    study = Study(
        StudyPlan(
            work=work,
            simulated=simulated,
            data=tuple(data or ()),
            subjects=_numbers(subjects),
            networks=tuple(split_names(networks) or ()),
            weights={name: Path(file) for name, file in map(_pair, weights or [])},
            labelled=tuple(labelled or ()),
            root=root,
            recipe=recipe,
            changes=parse_changes(changes),
            views=images,
            seed=seed,
            device=device,
            precision=precision,
            palette=palette,
            progress=not quiet,
        )
    )
    if dry_run:
        extraction, fitting = estimate_items(chosen, study)
        rows = [*cost_rows(extraction + fitting), ("extraction", f"about {readable_seconds(extraction.seconds)}")]
        rows.append(("fitting", f"about {readable_seconds(fitting.seconds)}"))
        print_table("Needs of a first run: nothing was written", ("", ""), rows)
        return
    outcome = run_items(chosen, study, lambda line: None if quiet else typer.echo(line, err=True))
    if not quiet:
        _print(outcome, work, study.plan.simulated)
    for name, reason in outcome.failed.items():
        typer.echo(f"error: {name}: {reason}", err=True)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict()))
    if outcome.failed:
        raise typer.Exit(2)


def _print(outcome: "Outcome", work: Path, simulated: bool) -> None:
    states = {name: f"done: {work / name}" for name in outcome.done}
    states |= {name: f"skipped: {reason}" for name, reason in outcome.skipped.items()}
    states |= dict.fromkeys(outcome.failed, "failed")
    title = "Figures and tables" + (", SIMULATED subjects" if simulated else "")
    rows = [(name, readable_seconds(seconds), states[name]) for name, seconds in outcome.times.items()]
    print_table(title, ("", "time", ""), rows, names=True)


def _numbers(text: str | None) -> tuple[int, ...]:
    try:
        return () if text is None else tuple(int(number) for number in text.split(","))
    except ValueError:
        raise DataError(f"--subjects {text!r} is no list of numbers; e.g. --subjects 1,2,3") from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not equals or not name or not file:
        raise DataError(f"--weights {text!r} is not NAME=FILE; e.g. --weights mocov3-b=vit-b-300ep.pth.tar")
    return name, file
