"""``factortopy report``: one HTML page of one mapping or several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.options import Fade, Palette, Quiet, check_place
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.fitting import History
    from factortopy.mapping import Mapping


def report(
    mappings: Annotated[list[Path], typer.Argument(metavar="MAPPING...", help="Folders that [bold]fit[/bold] wrote.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT.html", help="The page; it needs no other file.")],
    palette: Palette = "default",
    fade: Fade = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained page with numbers, figures, tables, settings and provenance."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise DataError(f"{output} does not end in .html; name the page last, after the mappings")
    check_place(output)
    from factortopy.mapping import Mapping
    from factortopy.reporting import report as write_report

    loaded = [Mapping.load(folder) for folder in mappings]
    histories = [_history(mapping) for mapping in loaded]
    page = write_report(loaded, output, histories=histories, palette=palette, fade=fade)
    if not quiet:
        typer.echo(f"Report: {page}")


def _history(mapping: "Mapping") -> "History | None":
    """What was seen while training, if the mapping has kept it."""
    from factortopy.fitting import History

    kept = mapping.provenance.get("training")
    return History(**kept) if kept else None
