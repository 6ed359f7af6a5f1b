"""``factortopy plot``, ``report`` and ``paper``: figures, a page, and the paper's figures and tables."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared import paper_options as own
from factortopy.cli.shared.tables import print_cost, print_table, readable_seconds
from factortopy.errors import DataError, FactortopyError, UnknownNameError


def plot(
    mapping: opt.MappingFolder,
    *,
    figure: Annotated[
        list[str] | None, Option("--figure", "-f", metavar="NAME", help="May be repeated. Default: all.")
    ] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", help="Folder of the figures. Default: MAPPING/figures.")
    ] = None,
    file_format: Annotated[
        Literal["png", "svg", "pdf", "both"], Option("--format", help="Kind of file; both is PNG and SVG.")
    ] = "both",
    views: Annotated[
        str,
        Option(
            metavar="VIEW,VIEW",
            help="How maps show the cortex: flat, and inflated lateral, medial, ventral, posterior; or all.",
        ),
    ] = "flat",
    transparent: Annotated[bool, Option("--transparent", help="No white behind the figures.")] = False,
    palette: opt.Palette = "default",
    fade: opt.Fade = None,
    quiet: opt.Quiet = False,
) -> None:
    """Draw layers, space, scale, scores, ROIs and hierarchy on the cortex."""
    folder = mapping / "figures" if output is None else output
    opt.check_output(folder / "figure")
    loaded = ft.Mapping.load(mapping)
    wanted_all = figure is None or "all" in figure
    names = ft.plot.figure_names(loaded) if wanted_all else list(dict.fromkeys(figure or ()))
    for name in names:
        if name not in ft.plot.ALL_FIGURES:
            raise UnknownNameError("figure", name, [*ft.plot.ALL_FIGURES, "all"])
    shown = _views(views)
    formats: tuple[ft.plot.Format, ...] = ("png", "svg") if file_format == "both" else (file_format,)
    written: list[Path] = []
    left_out: dict[str, list[str]] = {}
    with ft.progress.progress_bar("Figures", len(names), show=not quiet) as advance:
        for name in names:
            try:
                drawn = ft.plot.draw(name, loaded, palette=palette, fade=fade, views=shown)
            except FactortopyError as error:
                if not wanted_all:
                    raise
                left_out.setdefault(str(error), []).append(name)
            else:
                written += ft.plot.save(drawn, folder / name, formats, transparent=transparent)
            advance()
    if not quiet:
        for path in written:
            typer.echo(path)
        for reason, which in left_out.items():
            typer.echo(f"left out {', '.join(which)}: {reason}")


def _views(text: str) -> "list[ft.plot.View]":
    """Views by name, each once; an UnknownNameError if there is no such view."""
    names = opt.split_names(text) or []
    for name in names:
        if name not in (*ft.plot.ALL_VIEWS, "all"):
            raise UnknownNameError("view", name, [*ft.plot.ALL_VIEWS, "all"])
    return [view for view in ft.plot.ALL_VIEWS if view in names or "all" in names]


def report(
    mappings: opt.MappingFolders,
    output: Annotated[Path, Argument(metavar="OUTPUT.html", help="The page; it needs no other file.")],
    palette: opt.Palette = "default",
    fade: opt.Fade = None,
    cluster_count: Annotated[
        int | None,
        Option(
            "--cluster-count",
            metavar="N",
            min=2,
            help="Also show vertices in N clusters by channels, free of the gauge.",
        ),
    ] = None,
    only_picture: Annotated[
        bool, Option("--only-picture", help="Only the cortex that unfolds, filling the window: for talks.")
    ] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write one self-contained page with numbers, figures, tables, settings and provenance."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{output} does not end in .html; name the page last, after the mappings")
    opt.check_output(output)
    loaded = [ft.Mapping.load(folder) for folder in mappings]
    labels = [ft.channel_clusters(one, cluster_count, "gauge-free").labels for one in loaded] if cluster_count else None
    if only_picture:
        page = ft.write_page(loaded, output, clusters=labels, palette=palette, fade=fade)
        if not quiet:
            typer.echo(f"Page: {page}")
        return
    training = [mapping.provenance.get("training") for mapping in loaded]
    histories = [ft.fitting.History(**values) if values else None for values in training]
    page = ft.reporting.report(loaded, output, histories=histories, clusters=labels, palette=palette, fade=fade)
    if not quiet:
        typer.echo(f"Report: {page}")


def paper(
    item: own.Item,
    *,
    data: own.Data = None,
    simulated: own.Simulated = False,
    sweep: own.Sweep = None,
    work: own.Work = Path("paper-run"),
    subjects: own.Subjects = None,
    networks: own.Networks = None,
    weights: own.Weights = None,
    labelled: own.Labelled = None,
    root: own.Root = None,
    recipe: own.Recipe = None,
    preprocessing: own.Preprocessing = None,
    changes: opt.Changes = None,
    images: own.Images = 160,
    seed: opt.Seed = 0,
    palette: opt.Palette = "default",
    device: opt.Device = None,
    precision: opt.Precision = None,
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Make a figure or table of the paper, the paper's own numbers beside yours, as PNG, SVG, CSV and JSON.

    Tokens and fits are kept in the work folder: what was stopped goes on, and what another item made is used.
    """
    items = ft.paper.ITEMS
    if item == "list":
        print_table("Figures and tables", [(one.name, one.title) for one in items.values()], ("name", "shows"))
        return
    chosen = list(items.values()) if item == "all" else [ft.paper.find_item(item)]
    kept = _fits_of(sweep)
    if bool(kept) + simulated + bool(data) != 1 and (simulated or kept or not dry_run):
        raise DataError("give --data FOLDER of measured responses, --sweep FOLDER of fits, or --simulated; one of them")
    if kept and dry_run:
        raise DataError("--sweep makes no fits, so that it takes nothing; leave --dry-run")
    opt.check_output(work / "fits")
    study = ft.paper.Study(
        ft.paper.StudyPlan(
            work=work,
            simulated=simulated,
            data=tuple(data or ()),
            subjects=_numbers(subjects),
            kept=tuple(ft.paper.KeptFit(**fit) for fit in kept),
            networks=tuple(opt.split_names(networks) or ft.paper.networks_of([fit["network"] for fit in kept])),
            weights={name: Path(file) for name, file in map(_pair, weights or [])},
            labelled=tuple(labelled or ()),
            root=root,
            recipe=recipe,
            preprocessing=preprocessing,
            changes=opt.parse_changes(changes),
            views=images,
            seed=seed,
            device=device,
            precision=precision,
            palette=palette,
            progress=not quiet,
        )
    )
    if dry_run:
        _print_needs(*ft.paper.estimate_items(chosen, study))
        return
    outcome = ft.paper.run_items(chosen, study, lambda line: None if quiet else typer.echo(line, err=True))
    if not quiet:
        _print_outcome(outcome, study)
    for name, reason in outcome.failed.items():
        typer.echo(f"error: {name}: {reason}", err=True)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict()))
    if outcome.failed:
        raise typer.Exit(2)


def _fits_of(sweep: Path | None) -> "list[dict[str, Any]]":
    """The fits of a sweep that are done by now, at least one; none where no sweep is given."""
    if sweep is None:
        return []
    done = ft.sweep.finished_fits(ft.sweep.Record(sweep))
    if not done:
        raise DataError(f"no fit of the sweep in {sweep} is done yet; wait for the first", path=sweep)
    return done


def _print_needs(extraction: "ft.machine.Cost", fitting: "ft.machine.Cost") -> None:
    parts = {"extraction": extraction, "fitting": fitting}
    rows = [(part, f"about {readable_seconds(cost.seconds)}") for part, cost in parts.items()]
    print_cost("Needs of a first run: nothing was written", extraction + fitting, after=rows)


def _print_outcome(outcome: "ft.paper.Outcome", study: "ft.paper.Study") -> None:
    """What became of each item, and its time."""
    states = {name: f"done: {study.plan.work / name}" for name in outcome.done}
    states |= {name: f"skipped: {reason}" for name, reason in outcome.skipped.items()}
    states |= dict.fromkeys(outcome.failed, "failed")
    times = [(name, readable_seconds(seconds), states[name]) for name, seconds in outcome.times.items()]
    title = "Figures and tables" + (", SIMULATED subjects" if study.simulated else "")
    print_table(title, times, ("", "time", ""), names=True)


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
