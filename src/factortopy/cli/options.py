"""Options and checks that several commands share."""

import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from factortopy.errors import DataError

PaletteName = Literal["default", "colour-blind"]

MappingFolder = Annotated[Path, typer.Argument(metavar="MAPPING", help="Folder that [bold]fit[/bold] wrote.")]
MappingFolders = Annotated[
    list[Path], typer.Argument(metavar="MAPPING...", help="Folders that [bold]fit[/bold] wrote.")
]
TokenFolder = Annotated[Path, typer.Argument(metavar="TOKENS", help="Folder that [bold]extract[/bold] wrote.")]

SubjectNumber = Annotated[
    int | None, typer.Option("--subject", metavar="N", min=1, help="Which subject, where the folder holds several.")
]
Layers = Annotated[str | None, typer.Option(help="Names of layers, parted by commas. [dim]\\[default: all][/dim]")]
SplitFile = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Image ids of train, validation, test.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting other than the recipe's.")
]
WeightsFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Local file of the network's weights.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights, as a control.")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything random.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu. [dim]\\[default: the best there is][/dim]")]
Precision = Annotated[
    str | None, typer.Option(help="bf16 or fp32. [dim]\\[default: bf16 where computed natively][/dim]")
]

Palette = Annotated[PaletteName, typer.Option(help="Colours of the figures.")]
Fade = Annotated[bool, typer.Option("--fade", help="Maps of layers, space and scale are pale where R² is uncertain.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print the rows as CSV.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars and no closing table.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print time, memory and disk; write nothing.")]


def split_names(text: str | None) -> list[str] | None:
    """Names parted by commas; None where nothing was given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def parse_changes(changes: list[str] | None, options: Collection[str] = ("recipe", "seed")) -> dict[str, Any]:
    """Settings from ``name=value``: numbers, true, false and null as in JSON, else text; ``options`` have their own."""
    parsed: dict[str, Any] = {}
    for change in changes or []:
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise DataError(f"--set {change!r} is not NAME=VALUE; e.g. --set steps=300")
        if name in options:
            raise DataError(f"--set {change!r}: use --{name} {value}")
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value
    return parsed


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
