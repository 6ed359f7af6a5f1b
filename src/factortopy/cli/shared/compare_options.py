"""Arguments and options of ``factortopy compare`` alone."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Output = Annotated[Path, Argument(help="Folder of figures, tables and ranking.html.")]
Change = Annotated[
    bool,
    Option(
        "--change",
        help="Two mappings of one network, before and after its weights changed: scores, layer map, hierarchy "
        "line and an index of forgetting, with limits over the same test images.",
    ),
]
Names = Annotated[
    list[str] | None, Option("--name", help="Name of a mapping, once for each. [dim]\\[default: networks][/dim]")
]
Quantities = Annotated[
    list[str] | None,
    Option(
        "--quantity",
        help="Whose difference from the first mapping is painted: r2, depth, scale, x, y or any "
        "variable. [dim]\\[default: r2, depth, scale][/dim]",
    ),
]
Average = Annotated[
    bool, Option("--average-subjects", help="Average each network over subjects, vertex by vertex, and compare these.")
]
Tokens = Annotated[
    list[Path] | None,
    Option(
        metavar="STORE",
        help="Tokens of each mapping, in the same order: adds paired limits of margins, and shared and "
        "unique variance of two or three. Needs --data.",
    ),
]
Data = Annotated[Path | None, Option(metavar="FOLDER", help="The subject that the mappings were fitted to.")]
