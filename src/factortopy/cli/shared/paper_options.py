"""Arguments and options of ``factortopy paper`` alone."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from factortopy.cli.shared import options as opt

Item = Annotated[str, Argument(metavar="ITEM", help="list, all, or the name of a figure or table.")]
Data = Annotated[
    list[Path] | None,
    Option(
        metavar="FOLDER", help="NSD, Algonauts 2023 or another data set with photographs; may be given once a subject."
    ),
]
Simulated = Annotated[bool, Option("--simulated", help="SIMULATED subjects and networks that need no model hub.")]
Sweep = Annotated[
    Path | None, Option(metavar="FOLDER", help="Draw the fits of a sweep that are done by now, in place of new ones.")
]
Work = Annotated[Path, Option("--work", "-w", help="Folder of tokens, fits and results, shared by all items.")]
Subjects = Annotated[
    str | None, Option(metavar="N,N", help="Numbers of subjects in FOLDER. [dim]\\[default: 1,2,3][/dim]")
]
Networks = Annotated[str | None, Option(metavar="NAME,NAME", help="Networks instead of the paper's.")]
Weights = Annotated[
    list[str] | None, Option(metavar="NAME=FILE", help="Local file of a network's weights, such as MoCo v3's.")
]
Labelled = Annotated[
    list[str] | None,
    Option(metavar="IMAGES", help="Fine-tuning: folder of one folder a class, or torchvision/EuroSAT."),
]
Root = Annotated[Path | None, Option(metavar="FOLDER", help="Where torchvision keeps its data sets.")]
Recipe = Annotated[opt.Recipe | None, Option(help="[dim]\\[default: paper; with --simulated default][/dim]")]
Preprocessing = Annotated[
    opt.Preprocessing | None,
    Option(help="How networks see photographs. [dim]\\[default: authors with the paper's recipe, else own][/dim]"),
]
Images = Annotated[int, Option(help="Photographs of a simulated subject.")]
