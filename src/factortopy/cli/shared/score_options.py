"""Arguments and options of ``factortopy score`` alone."""

from functools import partial
from pathlib import Path
from typing import Annotated

from typer import Option

OrderOption = partial(Option, rich_help_panel="Orders of ROIs, instead of scores")

Normalised = Annotated[
    bool, Option("--normalised", help="Of one mapping: also R² divided by the noise ceiling, voxel by voxel.")
]
Threshold = Annotated[float, Option(help="Smallest noise ceiling of voxels that are normalised; others are masked.")]
On = Annotated[
    Path | None,
    Option(
        metavar="FOLDER",
        help="Of one mapping: also its scores on another recording of the same person, such as NSD-synthetic "
        "([bold]nsddata/experiments/nsdsynthetic[/bold]); give [bold]--tokens[/bold] of those images.",
    ),
]
Protocol = Annotated[
    bool,
    Option("--protocol", help="Of LAION-fMRI, fitted with its splits: r, r² / NC and Brain-Score's number by area."),
]
Output = Annotated[
    Path | None,
    Option(
        "--output",
        "-o",
        help="Write a mapping here: the average over seeds; with --on this one with those scores beside its own, "
        "which all tables then show.",
    ),
]
Orders = Annotated[
    list[str] | None,
    OrderOption(
        "--order",
        metavar="ROI,ROI,...",
        help="Does depth follow this order, evenly spaced, or with levels: V1=0,V2+V3=0.33,EBA=1? May be "
        "repeated; all takes the paper's, V1 to V4, and the three streams.",
    ),
]
Permutations = Annotated[int, OrderOption(min=1, help="Orders of the layers that the null tries.")]
Tokens = Annotated[
    list[Path] | None,
    OrderOption(metavar="STORE", help="Tokens of a mapping's network: also depth by distance from pixels."),
]
Photographs = Annotated[
    Path | None, OrderOption(metavar="IMAGES", help="The photographs of these tokens, as for [bold]extract[/bold].")
]
Split = Annotated[
    Path | None,
    OrderOption(metavar="FILE.json", help="Distances on the test images of this split, not on random ones."),
]
Draw = Annotated[
    Path | None,
    OrderOption(metavar="FILE", help="Draw them here (PNG and SVG); of several mappings, FILE-1, FILE-2, ..."),
]
Nulls = Annotated[
    int | None,
    Option(
        metavar="N",
        min=19,
        help="Instead of scores: compare the hierarchy slope, or the likeness of two mappings' maps, with N random "
        "maps just as smooth.",
    ),
]
