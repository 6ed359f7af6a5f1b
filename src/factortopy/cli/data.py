"""``factortopy check``, ``convert`` and ``extract``: what a folder holds, betas as Zarr, images as tokens."""

import json
from pathlib import Path
from shutil import disk_usage
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import extract_options as own
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Rows, print_cost, print_table, readable_bytes
from factortopy.errors import DataError

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}
NORMS = {"layer": "layer", "median_norm": "median norm", "largest_norm": "largest norm", "outlier_share": "outliers"}


def check(
    path: Annotated[Path, Argument(help="Folder of a data set, of a subject, or of tokens.")],
    norms: Annotated[
        bool, Option("--norms", help="Of tokens: also read them all, for their norms and outliers by layer.")
    ] = False,
    draw: Annotated[
        Path | None, Option(metavar="FILE", help="With --norms: maps of them are drawn here (PNG and SVG).")
    ] = None,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Recognise a data set, count what is there, and name each fault with its remedy.

    Heads, sizes and a few sampled blocks are read, so that it takes seconds.
    A problem ends it with exit code 2. Some networks keep something of the whole image in a few tokens of
    extreme norm, which --norms shows; extract --mask-outliers replaces them.
    """
    if draw is not None and not norms:
        raise DataError("--draw is for maps of norms; give --norms as well")
    report = ft.datasets.check_path(path, progress=not quiet)
    facts, measured = report.as_dict(), None
    if norms and not report.problems:
        measured = ft.token_norms(ft.TokenStore.open(path), progress=not quiet)
        facts["norms"] = _norm_facts(measured)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print_report(report)
        if measured is not None:
            title = f"Tokens of {measured.images:,} images in {measured.network}"
            note = f"Outliers have more than {ft.tokens.OUTLIER_RATIO:g} times the median norm of their map."
            formats = {"median_norm": ".4g", "largest_norm": ".4g", "outlier_share": ".2%"}
            Rows(title, facts["norms"]["layers"], NORMS, note, formats).print()
    if measured is not None and draw is not None:
        ft.plot.save(ft.plot.token_norms(measured), draw)
    if report.problems:
        raise typer.Exit(2)


def _norm_facts(norms: "ft.tokens.TokenNorms") -> dict[str, Any]:
    layers = [
        {
            "layer": layer,
            "median_norm": float(norms.median[index]),
            "largest_norm": float(norms.largest[index].max()),
            "outlier_share": float(norms.outliers[index].mean()),
        }
        for index, layer in enumerate(norms.layers)
    ]
    return {"network": norms.network, "images": norms.images, "layers": layers}


def _print_report(report: "ft.datasets.Report") -> None:
    title, console = f"{report.title}: {report.root}", Console()
    if report.counts:
        subjects = list(dict.fromkeys(count.subject for count in report.counts))
        columns = list(dict.fromkeys(count.what for count in report.counts))
        cells = {(count.subject, count.what): _cell(count) for count in report.counts}
        rows = [(subject, *(cells.get((subject, what), "") for what in columns)) for subject in subjects]
        print_table(title, rows, ("subject", *columns))
    else:
        console.print(Text(title, style="bold"))
    findings = Table.grid(padding=(0, 2))
    for finding in report.findings:
        file = finding.file
        name = str(file.relative_to(report.root)) if file.is_relative_to(report.root) else str(file)
        lines = [(f"{report.root.name if name == '.' else name}\n", "bold")]
        lines.append((finding.message, ""))
        if finding.fix:
            lines.append((f"; {finding.fix}", "cyan"))
        findings.add_row(Text(finding.level, style=STYLES[finding.level]), Text.assemble(*lines, overflow="fold"))
    console.print(findings)
    notes = sum(finding.level == "note" for finding in report.findings)
    if report.problems:
        problems = f"{report.problems} problem{'s' * (report.problems != 1)}"
        console.print(Text(f"{problems}; data with a problem cannot be fitted.", style="bold red"))
    else:
        console.print(Text(f"No problem, {notes} note{'s' * (notes != 1)}.", style="bold green"))


def _cell(count: "ft.datasets.Count") -> str:
    number = "?" if count.found is None else f"{count.found:,}"
    return number if count.published in (None, count.found) else f"{number} of {count.published:,}"


def convert(
    path: Annotated[Path, Argument(help="NSD's folder, with nsddata and nsddata_betas in it.")],
    output: Annotated[Path, Argument(help="Folder of the betas; one left unfinished goes on.")],
    *,
    subject: Annotated[int, Option(min=1, max=8, help="Number of the subject.")],
    space: Annotated[str, Option(help="fsaverage, nativesurface, func1pt8mm or func1mm.")] = "fsaverage",
    preparation: Annotated[
        str, Option(help="betas_fithrf_GLMdenoise_RR, betas_fithrf or betas_assumehrf.")
    ] = "betas_fithrf_GLMdenoise_RR",
    mask: Annotated[str, Option(help="Voxels kept: all, nsdgeneral, another kind of labels or a ROI.")] = "all",
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Read the betas of an NSD subject once and rewrite them, bit by bit, as one Zarr."""
    opt.check_output(output)
    recording = ft.datasets.open_nsd(path, subject, space=space, preparation=preparation, voxels=mask)
    if dry_run:
        free = disk_usage(ft.storage.standing_folder(output)).free
        rows = [
            ("sessions", f"{len(recording.sessions)} of {recording.facts['sessions_published']} published"),
            ("free disk", readable_bytes(free)),
        ]
        cost = ft.datasets.estimate_conversion(recording, output)
        print_cost(f"Conversion of {recording.name}: nothing was written", cost, rows)
        return
    store = ft.datasets.convert(recording, output, progress=not quiet)
    if not quiet:
        typer.echo(f"Betas: {store.path}")


def extract(
    network: own.Network,
    images: own.Images,
    output: own.Output,
    *,
    layers: opt.Layers = None,
    grid: own.Grid = 8,
    batch_size: own.BatchSize = 32,
    workers: own.Workers = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    weights: opt.WeightsFile = None,
    untrained: opt.Untrained = False,
    preprocessing: own.Preprocessing = None,
    seed: opt.Seed = 0,
    dataset: own.Dataset = "imgBrick",
    skip_broken: own.SkipBroken = False,
    mask_outliers: own.MaskOutliers = False,
    components: own.Components = None,
    basis: own.Basis = None,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a network's tokens of every image; ids are the file names, or the lines of the list.

    Time, memory and disk are measured on some of the images and printed first.
    """
    opt.check_output(output)
    opt.check_weights(untrained, weights)
    photographs = ft.open_images(images, array=dataset, check=not skip_broken)
    if skip_broken:
        photographs = ft.leave_out_broken(photographs, progress=not quiet)
        for image_id, reason in photographs.left_out.items():
            typer.echo(f"left out: {image_id}: {reason}", err=True)
    if photographs.assumption is not None:
        typer.echo(f"note: {photographs.assumption}", err=True)
    # The time does not depend on what the weights are, so a dry run downloads none.
    random = untrained or dry_run
    options: dict[str, Any] = {"untrained": random, "seed": seed, "device": device, "weights": weights}
    options["preprocessing"] = "authors" if preprocessing == "authors" else None
    loaded = ft.load_network(network, opt.split_names(layers), **options)
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "precision": precision}
    settings |= {"grid": (grid, grid), "mask_outliers": mask_outliers}
    settings |= {"components": components, "basis": opt.open_store(basis)}
    if dry_run or not quiet:
        title = f"Extraction with {network}{': nothing was written' if dry_run else ''}"
        _announce(title, loaded, photographs, output, settings)
    if dry_run:
        return
    store = ft.extract(loaded, photographs, output, **settings, progress=not quiet)
    if not quiet:
        typer.echo(f"{len(store)} images, {len(store.layers)} layers of {store.network}: {output}")


def _announce(
    title: str, network: "ft.Network", photographs: "ft.ImageSet", output: Path, settings: dict[str, Any]
) -> None:
    """Print what the images that are left will take, from running some of them."""
    done = min(ft.tokens.images_done(output), len(photographs))
    if done == len(photographs):
        typer.echo(f"{output} holds all {done} images already")
        return
    left = photographs.subset(photographs.ids[done:])
    grids = sorted(set(network.grids), reverse=True)
    rows = [
        ("images", f"{len(left):,}" + (f" left, {done:,} are done" if done else "")),
        ("layers", f"{len(network.layers)}, maps of {', '.join('{} x {}'.format(*grid) for grid in grids)}"),
        ("preprocessing", str(network.preprocessing)),
        ("device", str(network.device)),
    ]
    print_cost(title, ft.estimate_extraction(network, left, **settings), rows)
