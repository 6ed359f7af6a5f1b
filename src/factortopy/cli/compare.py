"""``factortopy compare``: several mappings beside each other, averaged over subjects, or before and after."""

import json
from pathlib import Path

import typer

import factortopy as ft
from factortopy.cli.shared import compare_options as own
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Rows
from factortopy.errors import DataError

RANKING = {
    "mapping": "mapping",
    "r2": "R²",
    "normalised": "R² / ceiling",
    "difference": "less the first",
    "won": "voxels won",
}
CHANGE = {
    "roi": "",
    "r2_before": "R² before",
    "r2_after": "after",
    "r2_change": "change",
    "forgetting": "forgetting",
    "depth_change": "change of depth",
}


def compare(
    mappings: opt.MappingFolders,
    output: own.Output,
    *,
    change: own.Change = False,
    names: own.Names = None,
    quantities: own.Quantities = None,
    average: own.Average = False,
    tokens: own.Tokens = None,
    data: own.Data = None,
    subject: opt.SubjectNumber = None,
    split: opt.SplitFile = None,
    palette: opt.Palette = "default",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Compare mappings: differences, winners, likeness, shared variance, and a ranking page.

    Mappings of other responses, split, noise ceiling or voxels are refused, and what differs is said.
    """
    if bool(tokens) != (data is not None):
        raise DataError("--tokens and --data go together: predictions need both; give both or none")
    if average and tokens:
        raise DataError("--tokens are of one subject; leave them out with --average-subjects")
    if change and (average or tokens or names or quantities):
        raise DataError("--change takes no --name, --quantity, --average-subjects or --tokens; leave them out")
    _check_results(output, mappings)
    loaded = [ft.Mapping.load(folder) for folder in mappings]
    if change:
        _change(loaded, output, palette, as_json, quiet)
        return
    if average:
        loaded, folders = ft.reporting.write_averages(loaded, output, palette)
        if len(loaded) == 1:
            text = f"Average, a mapping like any other: {folders[0]}"
            typer.echo(json.dumps({"averages": folders}) if as_json else text)
            return
    comparison = ft.compare(loaded, names)
    chosen = tuple(quantities or ft.reporting.DIFFERENCES)
    for quantity in chosen:
        comparison.values(quantity)
    held_out = None
    if data is not None:
        stores = [ft.TokenStore.open(store) for store in tokens or []]
        measured = ft.load_subject(data, subject=subject, progress=not quiet)
        held_out = ft.predict_held_out(comparison, stores, measured, opt.read_split(split), not quiet)
    results = ft.reporting.find_results(comparison, held_out, progress=not quiet)
    content = ft.reporting.write_comparison(
        comparison, results, output, quantities=chosen, palette=palette, progress=not quiet
    )
    if as_json:
        typer.echo(json.dumps(content))
    elif not quiet:
        _print_ranking(comparison, results)
        typer.echo(f"Figures, tables and page: {output / 'ranking.html'}")


def _change(mappings: "list[ft.Mapping]", output: Path, palette: opt.PaletteName, as_json: bool, quiet: bool) -> None:
    if len(mappings) != 2:
        raise DataError(f"--change takes two mappings, before and after, got {len(mappings)}")
    result = ft.reporting.write_change(mappings[0], mappings[1], output, palette)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    elif not quiet:
        print_change(result)
        typer.echo(f"Tables and figures: {output}")


def _print_ranking(comparison: "ft.analysis.Comparison", results: "ft.reporting.Results") -> None:
    """Print the ranking over all voxels."""
    rows = ft.reporting.ranked(results.regions, ft.cortex.ALL_VOXELS)
    limits = ft.reporting.limits_of(comparison)
    limits = limits[:1].upper() + limits[1:]
    note = f"{limits}; the first is {comparison.labels[0]}.\n{ft.mapping.facts_line(comparison.dataset)}"
    formats = {"difference": "+.3f", "won": ".0%"}
    Rows("R² on test images", rows, RANKING, note, formats, comparison.simulated).print()


def print_change(result: "ft.analysis.Change") -> None:
    """Print what changed by ROI, and the hierarchy line."""
    lines = [
        f"{line['quantity']} {line['before']:.3f} -> {line['after']:.3f}"
        for line in result.lines.to_dict("records")
        if line["source"] == "share"
    ]
    notes = ["forgetting: 1 - R² after / R² before; depth: mean layer position by share", ", ".join(lines)]
    rows, note = result.regions.to_dict("records"), "\n".join(note for note in notes if note)
    formats = dict.fromkeys(("r2_change", "forgetting", "depth_change"), "+.3f")
    Rows("Before and after", rows, CHANGE, note, formats, result.comparison.simulated).print()


def _check_results(output: Path, mappings: list[Path]) -> None:
    opt.check_output(output)
    if (output / "dataset.zarr").exists():
        raise DataError(f"{output} is a mapping; name the folder of the results last, after the mappings")
    if output.is_file():
        raise DataError(f"{output} is a file; give a folder")
    if not mappings:
        raise DataError("a comparison needs mappings; give their folders before OUTPUT")
