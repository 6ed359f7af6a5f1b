"""``factortopy import-weights``: the weights that the paper's authors released, as a mapping."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from factortopy.cli.options import Quiet, check_place
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.cortex import Voxels
    from factortopy.exchange import LabelFiles
    from factortopy.networks import Network
    from factortopy.subjects import Subject

UNTRAINED = "-untrained-0"

StateDict = Annotated[Path, typer.Argument(help="State dict: .pth, .pt or .safetensors.")]
Output = Annotated[Path, typer.Argument(help="Folder of the mapping.")]
NetworkName = Annotated[str, typer.Option(help="Whose layers the weights read, e.g. clip-b16-datacomp-l.")]
Layers = Annotated[str | None, typer.Option(help="Names of layers, parted by commas. [dim]\\[default: all][/dim]")]
SubjectFolder = Annotated[
    Path | None, typer.Option(help="Folder of a subject, as for [bold]fit[/bold], of the same voxels.")
]
SubjectNumber = Annotated[
    int | None, typer.Option("--subject-number", min=1, help="Which one, where it holds several.")
]
LabelPair = Annotated[
    str | None,
    typer.Option(metavar="LEFT,RIGHT", help="Label files on fsaverage: the voxels are what they label."),
]
RoiPairs = Annotated[
    list[str] | None,
    typer.Option(metavar="LEFT,RIGHT", help="With --labels: label files of ROIs. May be repeated."),
]
CoordinatesFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Array (voxel, 3) in mm, on no surface.")]
BoundsOf = Annotated[
    Literal["voxels", "surface"],
    typer.Option(help="What coordinates are scaled by: voxels for the authors' weights, surface for own."),
]
Tokens = Annotated[
    Path | None,
    typer.Option(metavar="STORE", help="Tokens of SUBJECT's images: also shares, scores and limits."),
]
SplitFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="With --tokens: image ids of train, validation, test."),
]
Figures = Annotated[bool, typer.Option(help="Draw the figures into OUTPUT/figures.")]


def import_weights(
    file: StateDict,
    output: Output,
    *,
    network: NetworkName,
    layers: Layers = None,
    subject: SubjectFolder = None,
    number: SubjectNumber = None,
    labels: LabelPair = None,
    rois: RoiPairs = None,
    coordinates: CoordinatesFile = None,
    bounds: BoundsOf = "voxels",
    tokens: Tokens = None,
    split: SplitFile = None,
    figures: Figures = True,
    quiet: Quiet = False,
) -> None:
    """Make a mapping of released FactorTopy weights: selectors, maps, slope; with data, shares and scores.

    The weights do not say where their voxels lie: give --subject, --labels or --coordinates.
    """
    check_place(output)
    if output.exists():
        raise DataError(f"{output} exists; choose another folder")
    if (tokens is None) != (split is None) or (tokens is not None and subject is None):
        raise DataError("scores need --tokens, --subject and --split together: test images must be new ones")
    from factortopy.exchange import import_weights as import_named
    from factortopy.exchange import score_weights
    from factortopy.images import read_split
    from factortopy.networks import read_weights
    from factortopy.tokens import TokenStore

    weights = read_weights(file)
    person = _subject(subject, number, quiet)
    voxels = _voxels(person, labels, rois or [], coordinates)
    skeleton, name = _network(network, layers)
    store = None if tokens is None else TokenStore.open(tokens)
    if store is not None and store.network == skeleton.name:
        name = store.network
    mapping = import_named(weights, voxels, skeleton, name=name, bounds=bounds, source=file.name)
    if store is not None and person is not None and split is not None:
        mapping = score_weights(mapping, store, person, read_split(str(split)))
    mapping.save(output)
    if not quiet:
        from factortopy.cli.fits.fit import print_scores

        print_scores(mapping)
        typer.echo(f"Mapping: {output}")
    if figures:
        from factortopy.cli.results.plot import plot

        plot(output, figure=None, output=None, file_format="both", palette="default", quiet=quiet)


def _network(name: str, layers: str | None) -> "tuple[Network, str]":
    """The shapes of a network, and its name with trained weights."""
    from factortopy.networks import network_skeleton

    wanted = None if layers is None else [layer.strip() for layer in layers.split(",")]
    skeleton = network_skeleton(name, wanted)
    return skeleton, skeleton.name.removesuffix(UNTRAINED)


def _subject(folder: Path | None, number: int | None, quiet: bool) -> "Subject | None":
    if folder is None:
        return None
    from factortopy.datasets import open_subject

    return open_subject(folder, subject=number, progress=not quiet)


def _voxels(
    person: "Subject | None", labels: str | None, rois: list[str], coordinates: Path | None
) -> "Voxels | Subject":
    from factortopy.exchange import voxels_from_coordinates, voxels_from_labels

    if sum(given is not None for given in (person, labels, coordinates)) != 1 or (rois and labels is None):
        raise DataError("say where the voxels lie: give one of --subject, --labels (with --rois), --coordinates")
    if person is not None:
        return person
    if coordinates is not None:
        return voxels_from_coordinates(coordinates)
    return voxels_from_labels(_pair("--labels", str(labels)), [_pair("--rois", text) for text in rois])


def _pair(option: str, text: str) -> "LabelFiles":
    files = [part.strip() for part in text.split(",")]
    if len(files) != 2 or not all(files):
        raise DataError(f"{option} {text!r}: give two files, left,right, e.g. lh.nsdgeneral.mgz,rh.nsdgeneral.mgz")
    return files[0], files[1]
