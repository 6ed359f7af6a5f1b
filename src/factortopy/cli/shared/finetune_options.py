"""Arguments and options of ``factortopy finetune`` alone."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

Network = Annotated[str, Argument(help="As for [bold]extract[/bold], or the folder of a fine-tuned network.")]
Labelled = Annotated[
    str,
    Argument(
        help="Folder with a subfolder of images for each class, torchvision/NAME (such as "
        "torchvision/EuroSAT), or sklearn/digits."
    ),
]
Output = Annotated[Path, Argument(help="Folder of the fine-tuned network; [bold]extract[/bold] takes it as one.")]
Data = Annotated[
    Path | None, Option("--map", metavar="SUBJECT", help="Also map the network before and after onto it, as fit does.")
]
Photographs = Annotated[
    Path | None, Option(metavar="IMAGES", help="The subject's photographs, where its folder has none.")
]
Original = Annotated[
    str | None, Option(metavar="LABELLED", help="Images of the original task: how much of it is forgotten is measured.")
]
PerClass = Annotated[int, Option(min=1, help="Training images of each class.")]
Steps = Annotated[int, Option(min=1, help="Optimisation steps.")]
FitChanges = Annotated[
    list[str] | None, Option("--fit-set", metavar="NAME=VALUE", help="A setting of the fits, recipe among them.")
]
Root = Annotated[Path | None, Option(help="Folder that torchvision keeps its data sets in.")]
Download = Annotated[bool, Option("--download", help="Let torchvision fetch its data set to ROOT.")]
