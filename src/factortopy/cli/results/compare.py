"""``factortopy compare``: several mappings beside each other, or averaged over subjects."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.options import Json, Palette, PaletteName, Quiet, check_place
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.analysis import Comparison, HeldOut
    from factortopy.mapping import Mapping
    from factortopy.reporting import Results


def compare(
    mappings: Annotated[
        list[Path],
        typer.Argument(metavar="MAPPING MAPPING...", help="Folders that [bold]fit[/bold] wrote."),
    ],
    output: Annotated[Path, typer.Argument(help="Folder of figures, tables and ranking.html.")],
    *,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", help="Name of a mapping, once for each. [dim]\\[default: networks][/dim]"),
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
            "--tokens",
            metavar="STORE",
            help="Tokens of each mapping, in the same order: adds paired limits of margins, and shared and "
            "unique variance of two or three. Needs --subject.",
        ),
    ] = None,
    subject: Annotated[Path | None, typer.Option("--subject", help="The subject the mappings were fitted to.")] = None,
    number: Annotated[int | None, typer.Option(min=1, help="Which one, where it holds several.")] = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The split, where `fit` was given one.")
    ] = None,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare mappings: differences, winners, likeness, shared variance, and a ranking page.

    Mappings of other responses, split, noise ceiling or voxels are refused, and what differs is said.
    """
    if bool(tokens) != (subject is not None):
        raise DataError("--tokens and --subject go together: predictions need both; give both or none")
    if average and tokens:
        raise DataError("--tokens are of one subject; leave them out with --average-subjects")
    _check_output(output, mappings)
    from factortopy.analysis import compare as put_beside
    from factortopy.mapping import Mapping
    from factortopy.reporting import DIFFERENCES, find_results, write_comparison

    loaded = [Mapping.load(folder) for folder in mappings]
    if average:
        loaded, folders = _average(loaded, output, palette)
        if len(loaded) == 1:
            said = f"Average, a mapping like any other: {folders[0]}"
            typer.echo(json.dumps({"averages": folders}) if as_json else said)
            return
    comparison = put_beside(loaded, labels)
    chosen = tuple(quantities or DIFFERENCES)
    for quantity in chosen:
        comparison.values(quantity)
    held = _predict(comparison, tokens or [], subject, number, split, not quiet)
    results = find_results(comparison, held, progress=not quiet)
    content = write_comparison(comparison, results, output, quantities=chosen, palette=palette, progress=not quiet)
    if as_json:
        typer.echo(json.dumps(content))
    elif not quiet:
        print_ranking(comparison, results)
        typer.echo(f"Figures, tables and page: {output / 'ranking.html'}")


def print_ranking(comparison: "Comparison", results: "Results") -> None:
    """Print the ranking over all voxels."""
    from factortopy.analysis import ALL
    from factortopy.mapping import facts_line
    from factortopy.reporting import ranked, with_limits

    rows = ranked(results.regions, ALL)
    print_table(
        "R² on test images" + (", SIMULATED responses" if comparison.simulated else ""),
        ["mapping", "R²", "R² / ceiling", "less the first", "voxels won"],
        [
            [
                row.mapping,
                with_limits(row.r2, row.r2_low, row.r2_high),
                with_limits(row.normalised, row.normalised_low, row.normalised_high),
                with_limits(row.difference, row.difference_low, row.difference_high, sign=True),
                "–" if row.won is None else f"{row.won:.0%}",
            ]
            for row in rows
        ],
        note=f"95 % limits over {rows[0].limits}; the first is {comparison.labels[0]}.\n"
        f"{facts_line(comparison.dataset)}",
        names=True,
    )


def _check_output(output: Path, mappings: list[Path]) -> None:
    check_place(output)
    if (output / "dataset.zarr").exists():
        raise DataError(f"{output} is a mapping; name the folder of the results last, after the mappings")
    if output.is_file():
        raise DataError(f"{output} is a file; give a folder")
    if not mappings:
        raise DataError("a comparison needs mappings; give their folders before OUTPUT")


def _average(loaded: "list[Mapping]", output: Path, palette: PaletteName) -> "tuple[list[Mapping], list[str]]":
    """The average of each network, written with its map of counts; and the folders."""
    from factortopy.analysis import subject_average
    from factortopy.plot import save, subject_counts

    networks: dict[tuple[str, str], list[Mapping]] = {}
    for mapping in loaded:
        attributes = mapping.dataset.attrs
        networks.setdefault((str(attributes.get("network")), str(attributes.get("recipe"))), []).append(mapping)
    averages = [subject_average(own) for own in networks.values()]
    names = [re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(key)) for key in networks]
    folders = [average.save(output / "averages" / name) for average, name in zip(averages, names, strict=True)]
    for average, name in zip(averages, names, strict=True):
        save(subject_counts(average, palette=palette), output / f"subjects-{name}")
    return averages, [str(folder) for folder in folders]


def _predict(
    comparison: "Comparison",
    tokens: list[Path],
    subject: Path | None,
    number: int | None,
    split: Path | None,
    progress: bool,
) -> "HeldOut | None":
    if subject is None:
        return None
    from factortopy.analysis import predict
    from factortopy.datasets import open_subject
    from factortopy.images import read_split
    from factortopy.tokens import TokenStore

    return predict(
        comparison,
        [TokenStore.open(store) for store in tokens],
        open_subject(subject, subject=number, progress=progress),
        None if split is None else read_split(split),
        progress,
    )
