"""``factortopy weights``: the weights that the paper's authors released as a mapping, and a mapping's as theirs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from factortopy.cli.options import Layers, MappingFolder, Quiet, SplitFile, SubjectNumber, check_place, split_names
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.cortex import Voxels
    from factortopy.exchange import LabelFiles
    from factortopy.subjects import Subject

UNTRAINED = "-untrained-0"

StateDict = Annotated[Path, typer.Argument(help="State dict: .pth, .pt or .safetensors.")]
Output = Annotated[Path, typer.Argument(help="Folder of the mapping.")]
NetworkName = Annotated[str, typer.Option(help="Whose layers the weights read, e.g. clip-b16-datacomp-l.")]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="A subject, as for [bold]fit[/bold], of the same voxels."),
]
LabelPair = Annotated[
    str | None,
    typer.Option(metavar="LEFT,RIGHT", help="Label files on fsaverage: the voxels are what they label."),
]
RoiPairs = Annotated[
    list[str] | None,
    typer.Option("--roi-labels", metavar="LEFT,RIGHT", help="With --labels: label files of ROIs. May be repeated."),
]
CoordinatesFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Array (voxel, 3) in mm, on no surface.")]
BoundsOf = Annotated[
    Literal["voxels", "surface"],
    typer.Option(help="What coordinates are scaled by: voxels for the authors' weights, surface for own."),
]
Tokens = Annotated[
    Path | None,
    typer.Option(metavar="STORE", help="Tokens of the subject's images: also shares, scores and limits."),
]
Figures = Annotated[bool, typer.Option(help="Draw the figures into OUTPUT/figures.")]

KINDS = (".pth", ".pt", ".safetensors")
WHOLE = (
    "Coordinates were scaled by the whole surface: import with --bounds surface. The authors' program scales "
    "by the voxels alone and would read other places with these weights."
)


def import_file(
    file: StateDict,
    output: Output,
    *,
    network: NetworkName,
    layers: Layers = None,
    data: Data = None,
    subject: SubjectNumber = None,
    labels: LabelPair = None,
    roi_labels: RoiPairs = None,
    coordinates: CoordinatesFile = None,
    bounds: BoundsOf = "voxels",
    tokens: Tokens = None,
    split: SplitFile = None,
    figures: Figures = True,
    quiet: Quiet = False,
) -> None:
    """Make a mapping of released FactorTopy weights: selectors, maps, slope; with data, shares and scores.

    The weights do not say where their voxels lie: give --data, --labels or --coordinates.
    """
    check_place(output)
    if output.exists():
        raise DataError(f"{output} exists; choose another folder")
    if (tokens is None) != (split is None) or (tokens is not None and data is None):
        raise DataError("scores need --tokens, --data and --split together: test images must be new ones")
    from factortopy.datasets import load_subject
    from factortopy.exchange import import_weights, score_weights
    from factortopy.images import read_split
    from factortopy.networks import network_skeleton, read_weights
    from factortopy.tokens import TokenStore

    released = read_weights(file)
    measured = None if data is None else load_subject(data, subject=subject, progress=not quiet)
    voxels = _voxels(measured, labels, roi_labels or [], coordinates)
    skeleton = network_skeleton(network, split_names(layers))
    store = None if tokens is None else TokenStore.open(tokens)
    # The shapes come from random weights, so the name says untrained, as only tokens of such weights do rightly.
    untrained = store is not None and store.network == skeleton.name
    name = skeleton.name if untrained else skeleton.name.removesuffix(UNTRAINED)
    mapping = import_weights(released, voxels, skeleton, name=name, bounds=bounds, source=file.name)
    if store is not None and measured is not None and split is not None:
        mapping = score_weights(mapping, store, measured, read_split(str(split)))
    mapping.save(output)
    if not quiet:
        from factortopy.cli.fits.fit import print_scores

        print_scores(mapping)
        typer.echo(f"Mapping: {output}")
    if figures:
        from factortopy.cli.results.plot import plot

        plot(output, figure=None, output=None, file_format="both", palette="default", quiet=quiet)


def export_file(
    mapping: MappingFolder,
    file: Annotated[Path, typer.Argument(help="State dict to write: .pth, .pt or .safetensors.")],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the trained weights of a mapping that fit --recipe paper made under the authors' names."""
    if file.suffix not in KINDS:
        raise DataError(f"{file} must end in {', '.join(KINDS)}")
    if file.exists() and not overwrite:
        raise DataError(f"{file} exists; choose another name or give --overwrite")
    check_place(file)
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from factortopy.exchange import export_weights
    from factortopy.mapping import Mapping
    from factortopy.storage import atomic_path

    loaded = Mapping.load(mapping)
    named = {name: value.contiguous() for name, value in export_weights(loaded).items()}
    with atomic_path(file) as temporary:
        if file.suffix == ".safetensors":
            save_file(named, temporary)
        else:
            torch.save(named, temporary)
    if quiet:
        return
    typer.echo(f"Weights of {len(named['bias']):,} voxels: {file}")
    own = loaded.dataset["coordinates"].values
    scaled = np.reshape(loaded.dataset.attrs["coordinate_bounds"], (2, 3))
    if not np.allclose([own.min(axis=0), own.max(axis=0)], scaled, atol=1e-3):
        typer.echo(WHOLE)


def _voxels(
    subject: "Subject | None", labels: str | None, rois: list[str], coordinates: Path | None
) -> "Voxels | Subject":
    from factortopy.exchange import voxels_from_coordinates, voxels_from_labels

    if sum(given is not None for given in (subject, labels, coordinates)) != 1 or (rois and labels is None):
        raise DataError("say where the voxels lie: give one of --data, --labels (with --roi-labels), --coordinates")
    if subject is not None:
        return subject
    if coordinates is not None:
        return voxels_from_coordinates(coordinates)
    return voxels_from_labels(_pair("--labels", str(labels)), [_pair("--roi-labels", text) for text in rois])


def _pair(option: str, text: str) -> "LabelFiles":
    files = [part.strip() for part in text.split(",")]
    if len(files) != 2 or not all(files):
        raise DataError(f"{option} {text!r}: give two files, left,right, e.g. lh.nsdgeneral.mgz,rh.nsdgeneral.mgz")
    return files[0], files[1]
