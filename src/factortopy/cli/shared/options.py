"""Options and checks that several commands share."""

import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

import factortopy as ft
from factortopy.errors import DataError

PaletteName = Literal["default", "colour-blind"]

MappingFolder = Annotated[Path, Argument(metavar="MAPPING", help="Folder that [bold]fit[/bold] wrote.")]
MappingFolders = Annotated[list[Path], Argument(metavar="MAPPING...", help="Folders that [bold]fit[/bold] wrote.")]
TokenFolder = Annotated[Path, Argument(metavar="TOKENS", help="Folder that [bold]extract[/bold] wrote.")]

SubjectNumber = Annotated[int | None, Option(metavar="N", min=1, help="Which subject, where the folder holds several.")]
Layers = Annotated[str | None, Option(help="Names of layers, parted by commas. [dim]\\[default: all][/dim]")]
SplitFile = Annotated[Path | None, Option(metavar="FILE.json", help="Image ids of train, validation, test.")]
Recipe = Literal["default", "paper"]
Changes = Annotated[list[str] | None, Option("--set", metavar="NAME=VALUE", help="A setting other than the recipe's.")]
WeightsFile = Annotated[Path | None, Option(metavar="FILE", help="Local file of the network's weights.")]
Preprocessing = Literal["own", "authors"]
Untrained = Annotated[bool, Option("--untrained", help="Random weights, as a control.")]
Seed = Annotated[int, Option(min=0, help="Of everything random.")]
Device = Annotated[str | None, Option(help="cuda, mps or cpu. [dim]\\[default: the best there is][/dim]")]
Precision = Annotated[str | None, Option(help="bf16 or fp32. [dim]\\[default: bf16 where computed natively][/dim]")]

Palette = Annotated[PaletteName, Option(help="Colours of the figures.")]
Fade = Annotated[
    bool | None,
    Option(
        "--fade/--no-fade",
        help="Maps of layers, space and scale are pale where R² is uncertain. Default: where nothing was found.",
    ),
]
Csv = Annotated[bool, Option("--csv", help="Print the rows as CSV.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, Option("--quiet", "-q", help="No progress bars and no closing table.")]
DryRun = Annotated[bool, Option("--dry-run", help="Print time, memory and disk; write nothing.")]


def split_names(text: str | None) -> list[str] | None:
    """Names parted by commas; None where nothing was given."""
    return None if text is None else [name.strip() for name in text.split(",")]


def read_split(path: str | Path | None) -> "ft.Split | None":
    """The split that a file holds; None where none was given."""
    return None if path is None else ft.images.read_split(path)


def is_split_name(text: str | None) -> bool:
    """Whether a split is given by name, as some data sets publish theirs, and not as a file."""
    return text is not None and not text.endswith(".json") and not Path(text).exists()


def open_store(path: Path | None) -> "ft.TokenStore | None":
    """The tokens in a folder; None where none was given."""
    return None if path is None else ft.TokenStore.open(path)


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


def check_weights(untrained: bool, weights: Path | None) -> None:
    """Refuse a file of weights where random ones are asked for, as it would not be looked at."""
    if untrained and weights is not None:
        raise DataError(f"--untrained draws random weights, --weights gives those of {weights}; leave one of them out")


def check_output(path: Path) -> None:
    """Prove before long work that ``path`` can be made, without making it.

    Raises:
        DataError: if the nearest folder that exists above it cannot be written.
    """
    above = next(parent for parent in Path(os.path.realpath(path)).parents if parent.exists())
    if not above.is_dir():
        raise DataError(f"cannot write {path}: {above} is a file and no folder; choose another place")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        reason = f"{error.strerror} in {above}; choose another place or allow writing"
        raise DataError(f"cannot write {path}: {reason}") from error


def check_whole(path: Path) -> None:
    """Prove before long work that a folder can be made at ``path``, or the one there replaced.

    Raises:
        DataError: if not.
    """
    check_output(path)
    ft.storage.replaceable(path)


def check_new(path: Path) -> None:
    """Prove before long work that ``path`` can be made and is not there yet.

    Raises:
        DataError: if not.
    """
    check_output(path)
    if path.exists():
        raise DataError(f"{path} exists; choose another folder")
