"""Options and checks that several commands share."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from factortopy.errors import DataError

PaletteName = Literal["default", "colour-blind"]

Palette = Annotated[PaletteName, typer.Option(help="Colours of the figures.")]
Fade = Annotated[bool, typer.Option("--fade", help="Maps of layers, space and scale are pale where R² is uncertain.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no closing table.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu. [dim]\\[default: the best there is][/dim]")]
Precision = Annotated[
    str | None, typer.Option(help="bf16 or fp32. [dim]\\[default: bf16 where computed natively][/dim]")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print time, memory and disk; write nothing.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights, as a control.")]


def check_place(path: Path) -> None:
    """Prove before long work that ``path`` can be made, without making it.

    Raises:
        DataError: if the nearest folder that exists above it cannot be written.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise DataError(f"cannot write {path}: {above} is a file and no folder; choose another place")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror} in {above}; choose another place or allow writing"
        ) from error


def readable_bytes(count: float) -> str:
    """A number of bytes as people read it, e.g. ``1.3 GB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def readable_seconds(seconds: float) -> str:
    """A time as people read it, e.g. ``4 min 10 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
