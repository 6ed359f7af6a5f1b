"""``factortopy summarise``: one network's scores, shares and hierarchy line over seeds or subjects."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import Json, check_place
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.analysis import Spread
    from factortopy.mapping import Mapping

COLUMNS = {"r2": "R²", "normalised": "R² / ceiling", "depth": "depth (share)", "scale": "scale (share)"}
LINE = ("slope", "b0", "b1")


def summarise(
    mappings: Annotated[
        list[Path],
        typer.Argument(
            metavar="MAPPING...",
            help="Folders that [bold]fit[/bold] wrote, of one network: seeds or subjects.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the average over seeds here, a mapping like any other."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print means and 95 % limits over several fits: over subjects where there are several, else over seeds.

    A subject counts once however many seeds it has. Limits are Student's; none is over voxels. The average
    over seeds can be painted; for the average over subjects see compare --average-subjects.
    """
    if output is not None:
        check_place(output)
    from factortopy.analysis import across, seed_average
    from factortopy.mapping import Mapping

    loaded = [Mapping.load(folder) for folder in mappings]
    over, found = across(loaded)
    average = None if output is None else seed_average(loaded)
    facts = _facts(loaded, over)
    if average is not None and output is not None:
        if output.exists():
            raise DataError(f"{output} exists; choose another folder")
        average.save(output)
    if as_json:
        typer.echo(json.dumps(facts | {"rows": [asdict(row) for row in found]}))
        return
    title = f"Means over {over}" + (", SIMULATED responses" if facts["simulated"] else "")
    lines = [f"{name}: {value}" for name, value in facts.items()]
    print_table(title, ["ROI", *COLUMNS.values()], _rows(found), note="\n".join(lines))
    if output is not None:
        typer.echo(f"Average over seeds: {output}")


def _rows(found: "list[Spread]") -> list[list[str]]:
    """A row a region; the line's numbers in rows of their own."""
    from factortopy.reporting import with_limits

    said = {(row.region, row.quantity): with_limits(row.mean, row.low, row.high) for row in found}
    regions = dict.fromkeys(row.region for row in found)
    rows = [[region, *(said.get((region, name), "–") for name in COLUMNS)] for region in regions]
    line = {row.quantity: with_limits(row.mean, row.low, row.high) for row in found if row.quantity in LINE}
    return rows + [[f"hierarchy line, {name}", "", "", text, ""] for name, text in line.items()]


def _facts(mappings: "list[Mapping]", over: str) -> dict[str, Any]:
    """What the mappings are; what differs between them stands in a row."""
    from factortopy.mapping import facts

    said = [facts(mapping.dataset) for mapping in mappings]
    names = ("network", "subject", "recipe", "split", "seed", "images", "repeats")
    shared = {name: ", ".join(dict.fromkeys(one[name] for one in said)) for name in names}
    return shared | {
        "score": "R^2 on held-out images, raw; R^2 / ceiling: ratio of the two means",
        "limits": f"95 %, Student's, of the mean over {over}",
        "simulated": any(mapping.simulated for mapping in mappings),
    }
