"""``factortopy plot``: the figures of a mapping as files."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from factortopy.cli.options import Fade, Palette, Quiet, check_place
from factortopy.errors import FactortopyError


def plot(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] wrote.")],
    *,
    figure: Annotated[
        list[str] | None,
        typer.Option("--figure", "-f", metavar="NAME", help="May be repeated. Default: all."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the figures. Default: MAPPING/figures.")
    ] = None,
    file_format: Annotated[Literal["png", "svg", "both"], typer.Option("--format", help="Kind of file.")] = "both",
    palette: Palette = "default",
    fade: Fade = False,
    quiet: Quiet = False,
) -> None:
    """Draw layers, space, scale, scores, ROIs and hierarchy on the cortex."""
    folder = mapping / "figures" if output is None else output
    check_place(folder / "figure")
    from factortopy.errors import UnknownNameError
    from factortopy.mapping import Mapping
    from factortopy.plot import ALL_FIGURES, draw
    from factortopy.progress import progress_bar

    loaded = Mapping.load(mapping)
    wanted_all = figure is None or "all" in figure
    names = list(ALL_FIGURES) if wanted_all else list(dict.fromkeys(figure or ()))
    for name in names:
        if name not in ALL_FIGURES:
            raise UnknownNameError("figure", name, [*ALL_FIGURES, "all"])
    written: list[Path] = []
    left_out: dict[str, list[str]] = {}
    with progress_bar("Figures", len(names), show=not quiet) as advance:
        for name in names:
            try:
                drawn = draw(name, loaded, palette=palette, fade=fade)
            except FactortopyError as error:
                if not wanted_all:
                    raise
                left_out.setdefault(str(error), []).append(name)
            else:
                written += _write(drawn, folder / name, file_format)
            advance()
    if not quiet:
        for path in written:
            typer.echo(path)
        for reason, which in left_out.items():
            typer.echo(f"left out {', '.join(which)}: {reason}")


def _write(figure: object, stem: Path, file_format: str) -> list[Path]:
    """Write a figure in the formats wanted, each file whole or not at all."""
    from factortopy.plot import save
    from factortopy.storage import atomic_path

    written = []
    with tempfile.TemporaryDirectory() as folder:
        for path in save(figure, Path(folder) / stem.name):  # type: ignore[arg-type]
            if file_format in ("both", path.suffix.removeprefix(".")):
                written.append(stem.with_name(path.name))
                with atomic_path(written[-1]) as temporary:
                    shutil.copyfile(path, temporary)
    return written
