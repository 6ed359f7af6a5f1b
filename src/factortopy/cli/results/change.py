"""``factortopy change``: what fine-tuning, or any change of weights, did to a network's mapping."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.options import Json, Palette, PaletteName, Quiet, check_place
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    from factortopy.analysis import Change
    from factortopy.mapping import Mapping


def change(
    before: Annotated[Path, typer.Argument(help="Mapping of the network as it was.")],
    after: Annotated[Path, typer.Argument(help="Mapping of the network with other weights.")],
    output: Annotated[Path, typer.Argument(help="Folder of tables and figures.")],
    *,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare a network's mappings before and after its weights changed, voxel by voxel and by ROI.

    Score, layer map, hierarchy line and an index of forgetting, with limits over the same test images.
    """
    check_place(output)
    from factortopy.mapping import Mapping

    found = write_change(Mapping.load(before), Mapping.load(after), output, palette)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
    elif not quiet:
        print_change(found)
        typer.echo(f"Tables and figures: {output}")


def write_change(before: "Mapping", after: "Mapping", output: Path, palette: PaletteName) -> "Change":
    """Compare two mappings and write tables; figures too, where they lie on a surface that can be painted.

    Raises:
        DataError: if they cannot be compared, or the folder cannot be written.
    """
    from factortopy.analysis import change as compare
    from factortopy.cortex import VERTICES
    from factortopy.plot import change_bars, change_maps, save

    found = compare(before, after)
    found.save(output)
    save(change_bars(found, palette=palette), output / "change_bars")
    if before.dataset.attrs.get("surface") in VERTICES:
        save(change_maps(found, palette=palette), output / "change_maps")
        save(change_maps(found, "selector", palette=palette), output / "change_maps_selector")
    return found


def print_change(found: "Change") -> None:
    """Print what changed by ROI, and the hierarchy line."""
    rows = [
        (
            row.roi,
            _text(row.r2_before),
            _text(row.r2_after),
            _limited(row.r2_change, row.r2_change_low, row.r2_change_high),
            _limited(row.forgetting, row.forgetting_low, row.forgetting_high),
            _limited(row.depth_change, row.depth_change_low, row.depth_change_high),
        )
        for row in found.rows
    ]
    title = "Before and after" + (", SIMULATED responses" if found.comparison.simulated else "")
    heads = ("", "R² before", "after", "change", "forgetting", "change of depth")
    lines = [f"{line.quantity} {line.before:.3f} -> {line.after:.3f}" for line in found.lines if line.source == "share"]
    notes = ["forgetting: 1 - R² after / R² before; depth: mean layer position by share", ", ".join(lines)]
    print_table(title, heads, rows, note="\n".join(note for note in notes if note), names=True)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _limited(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.3f}" + ("" if low is None else f" [{low:+.3f}, {high:+.3f}]")
