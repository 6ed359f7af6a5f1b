"""``factortopy compare``: several mappings beside each other, averaged over subjects, or before and after."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.options import (
    Json,
    MappingFolders,
    Palette,
    PaletteName,
    Quiet,
    SplitFile,
    SubjectNumber,
    check_place,
)
from factortopy.cli.tables import Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.analysis import Change, Comparison, HeldOut
    from factortopy.mapping import Mapping
    from factortopy.reporting import Results

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
    mappings: MappingFolders,
    output: Annotated[Path, typer.Argument(help="Folder of figures, tables and ranking.html.")],
    *,
    change: Annotated[
        bool,
        typer.Option(
            "--change",
            help="Two mappings of one network, before and after its weights changed: scores, layer map, hierarchy "
            "line and an index of forgetting, with limits over the same test images.",
        ),
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name of a mapping, once for each. [dim]\\[default: networks][/dim]"),
    ] = None,
    quantities: Annotated[
        list[str] | None,
        typer.Option(
            "--quantity",
            help="Whose difference from the first mapping is painted: r2, depth, scale, x, y or any "
            "variable. [dim]\\[default: r2, depth, scale][/dim]",
        ),
    ] = None,
    average: Annotated[
        bool,
        typer.Option(
            "--average-subjects",
            help="Average each network over subjects, vertex by vertex, and compare these.",
        ),
    ] = False,
    tokens: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="STORE",
            help="Tokens of each mapping, in the same order: adds paired limits of margins, and shared and "
            "unique variance of two or three. Needs --data.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The subject that the mappings were fitted to.")
    ] = None,
    subject: SubjectNumber = None,
    split: SplitFile = None,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
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
    _check_output(output, mappings)
    from factortopy.analysis import compare as put_beside
    from factortopy.mapping import Mapping
    from factortopy.reporting import DIFFERENCES, find_results, write_averages, write_comparison

    loaded = [Mapping.load(folder) for folder in mappings]
    if change:
        _change(loaded, output, palette, as_json, quiet)
        return
    if average:
        loaded, folders = write_averages(loaded, output, palette)
        if len(loaded) == 1:
            text = f"Average, a mapping like any other: {folders[0]}"
            typer.echo(json.dumps({"averages": folders}) if as_json else text)
            return
    comparison = put_beside(loaded, names)
    chosen = tuple(quantities or DIFFERENCES)
    for quantity in chosen:
        comparison.values(quantity)
    held_out = _predict(comparison, tokens or [], data, subject, split, not quiet)
    results = find_results(comparison, held_out, progress=not quiet)
    content = write_comparison(comparison, results, output, quantities=chosen, palette=palette, progress=not quiet)
    if as_json:
        typer.echo(json.dumps(content))
    elif not quiet:
        print_ranking(comparison, results)
        typer.echo(f"Figures, tables and page: {output / 'ranking.html'}")


def _change(mappings: "list[Mapping]", output: Path, palette: PaletteName, as_json: bool, quiet: bool) -> None:
    from factortopy.reporting import write_change

    if len(mappings) != 2:
        raise DataError(f"--change takes two mappings, before and after, got {len(mappings)}")
    result = write_change(mappings[0], mappings[1], output, palette)
    if as_json:
        typer.echo(json.dumps(result.to_dict()))
    elif not quiet:
        print_change(result)
        typer.echo(f"Tables and figures: {output}")


def print_ranking(comparison: "Comparison", results: "Results") -> None:
    """Print the ranking over all voxels."""
    from factortopy.analysis import ALL_VOXELS
    from factortopy.mapping import facts_line
    from factortopy.reporting import ranked

    rows = ranked(results.regions, ALL_VOXELS)
    limits = f"95 % limits over {rows[0]['limits']}; the first is {comparison.labels[0]}."
    Rows(
        "R² on test images" + (", SIMULATED responses" if comparison.simulated else ""),
        rows,
        RANKING,
        f"{limits}\n{facts_line(comparison.dataset)}",
        {"difference": "+.3f", "won": ".0%"},
    ).print()


def print_change(result: "Change") -> None:
    """Print what changed by ROI, and the hierarchy line."""
    lines = [
        f"{line['quantity']} {line['before']:.3f} -> {line['after']:.3f}"
        for line in result.lines.to_dict("records")
        if line["source"] == "share"
    ]
    notes = ["forgetting: 1 - R² after / R² before; depth: mean layer position by share", ", ".join(lines)]
    Rows(
        "Before and after" + (", SIMULATED responses" if result.comparison.simulated else ""),
        result.regions.to_dict("records"),
        CHANGE,
        "\n".join(note for note in notes if note),
        dict.fromkeys(("r2_change", "forgetting", "depth_change"), "+.3f"),
    ).print()


def _check_output(output: Path, mappings: list[Path]) -> None:
    check_place(output)
    if (output / "dataset.zarr").exists():
        raise DataError(f"{output} is a mapping; name the folder of the results last, after the mappings")
    if output.is_file():
        raise DataError(f"{output} is a file; give a folder")
    if not mappings:
        raise DataError("a comparison needs mappings; give their folders before OUTPUT")


def _predict(
    comparison: "Comparison",
    tokens: list[Path],
    data: Path | None,
    subject: int | None,
    split: Path | None,
    progress: bool,
) -> "HeldOut | None":
    if data is None:
        return None
    from factortopy.analysis import predict
    from factortopy.datasets import load_subject
    from factortopy.images import read_split
    from factortopy.tokens import TokenStore

    return predict(
        comparison,
        [TokenStore.open(store) for store in tokens],
        load_subject(data, subject=subject, progress=progress),
        None if split is None else read_split(split),
        progress,
    )
