"""Arguments and options of ``factortopy extract`` alone."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from factortopy.cli.shared import options as opt

Network = Annotated[str, Argument(help="A name of [bold]factortopy networks[/bold], timm/NAME, hf/REPOSITORY, ...")]
Images = Annotated[
    Path,
    Argument(
        metavar="IMAGES",
        help="Folder of photographs (not its subfolders) or of a data set, text file that names an image "
        "a line, or HDF5 file.",
    ),
]
Output = Annotated[Path, Argument(help="Folder of the tokens; one left unfinished goes on.")]
Grid = Annotated[int, Option(min=1, help="Height and width of the local maps written.")]
BatchSize = Annotated[int, Option(help="Images at a time, 1 to 64.")]
Workers = Annotated[int | None, Option(help="Threads that decode. [dim]\\[default: one a core][/dim]")]
Preprocessing = Annotated[
    opt.Preprocessing | None,
    Option(
        help="How photographs are shown: as the network was trained, or as the paper's authors did to all. "
        "[dim]\\[default: own][/dim]"
    ),
]
Dataset = Annotated[str, Option(help="Name of the array in an HDF5 file.")]
SkipBroken = Annotated[bool, Option("--skip-broken", help="Leave out images that cannot be read, and name them.")]
MaskOutliers = Annotated[bool, Option("--mask-outliers", help="Replace tokens of extreme norm by their neighbours.")]
Components = Annotated[
    int | None,
    Option(
        metavar="K",
        help="Principal components of every layer written in place of its channels; 128 take a sixth of the room. "
        "[dim]\\[default: all channels][/dim]",
    ),
]
Basis = Annotated[
    Path | None, Option(metavar="TOKENS", help="Take the components of these tokens of the same network.")
]
