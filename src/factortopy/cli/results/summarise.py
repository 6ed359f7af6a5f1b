"""``factortopy summarise``: one network's scores, shares and hierarchy line over seeds or subjects."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import Json, check_place
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    import pandas

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
    from factortopy.analysis import across, records_of, seed_average
    from factortopy.mapping import Mapping

    loaded = [Mapping.load(folder) for folder in mappings]
    found = across(loaded)
    average = None if output is None else seed_average(loaded)
    facts = _facts(loaded, over := found["limits"][0])
    if average is not None and output is not None:
        if output.exists():
            raise DataError(f"{output} exists; choose another folder")
        average.save(output)
    if as_json:
        typer.echo(json.dumps(facts | {"rows": records_of(found)}))
        return
    title = f"Means over {over}" + (", SIMULATED responses" if facts["simulated"] else "")
    lines = [f"{name}: {value}" for name, value in facts.items()]
    print_table(title, ["ROI", *COLUMNS.values()], _rows(found), note="\n".join(lines))
    if output is not None:
        typer.echo(f"Average over seeds: {output}")


def _rows(found: "pandas.DataFrame") -> list[list[str]]:
    """A row a region; the line's numbers in rows of their own."""
    from factortopy.analysis import Estimate

    rows = found.to_dict("records")
    texts = {(row["region"], row["quantity"]): Estimate.in_row(row, "mean").text() for row in rows}
    regions = [[region, *(texts.get((region, name), "–") for name in COLUMNS)] for region in found["region"].unique()]
    line = {row["quantity"]: Estimate.in_row(row, "mean").text() for row in rows if row["quantity"] in LINE}
    return regions + [[f"hierarchy line, {name}", "", "", text, ""] for name, text in line.items()]


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
