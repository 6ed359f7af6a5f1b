"""``factortopy weights``: the weights that the paper's authors released as a mapping, and a mapping's as theirs."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.figures import plot
from factortopy.cli.fit import print_scores
from factortopy.cli.shared import options as opt
from factortopy.errors import DataError

UNTRAINED = "-untrained-0"
MapKind = Literal["gifti", "mgh", "annot", "cifti", "npz", "pycortex", "niivue", "nifti"]
KINDS = (".pth", ".pt", ".safetensors")
WHOLE = (
    "Coordinates were scaled by the whole surface: import with --bounds surface. The authors' program scales "
    "by the voxels alone and would read other places with these weights."
)
SHOWN = (
    "The authors' weights were trained on photographs shown in their way (extract --preprocessing authors) and predict "
    "something else from these."
)


def import_file(
    file: Annotated[Path, Argument(help="State dict: .pth, .pt or .safetensors.")],
    output: Annotated[Path, Argument(help="Folder of the mapping.")],
    *,
    network: Annotated[str, Option(help="Whose layers the weights read, e.g. clip-b16-datacomp-l.")],
    layers: opt.Layers = None,
    data: Annotated[
        Path | None, Option(metavar="FOLDER", help="A subject, as for [bold]fit[/bold], of the same voxels.")
    ] = None,
    subject: opt.SubjectNumber = None,
    labels: Annotated[
        str | None, Option(metavar="LEFT,RIGHT", help="Label files on fsaverage: the voxels are what they label.")
    ] = None,
    roi_labels: Annotated[
        list[str] | None, Option(metavar="LEFT,RIGHT", help="With --labels: label files of ROIs. May be repeated.")
    ] = None,
    coordinates: Annotated[Path | None, Option(metavar="FILE", help="Array (voxel, 3) in mm, on no surface.")] = None,
    bounds: Annotated[
        Literal["voxels", "surface"],
        Option(help="What coordinates are scaled by: voxels for the authors' weights, surface for own."),
    ] = "voxels",
    tokens: Annotated[
        Path | None, Option(metavar="STORE", help="Tokens of the subject's images: also shares, scores and limits.")
    ] = None,
    split: opt.SplitFile = None,
    responses: Annotated[
        Literal["shipped", "z-scored"],
        Option(help="What the weights predict: responses as shipped for the authors', z-scored for own."),
    ] = "shipped",
    figures: Annotated[bool, Option(help="Draw the figures into OUTPUT/figures.")] = True,
    quiet: opt.Quiet = False,
) -> None:
    """Make a mapping of released FactorTopy weights: selectors, maps, slope; with data, shares and scores.

    Where the file has no coords, say where its voxels lie: --labels, --coordinates or --data, of which those of
    --labels or --coordinates are taken where these are given too.
    """
    opt.check_new(output)
    if (tokens is None) != (split is None) or (tokens is not None and data is None):
        raise DataError("scores need --tokens, --data and --split together: test images must be new ones")
    released = ft.networks.read_weights(file)
    measured = None if data is None else ft.load_subject(data, subject=subject, progress=not quiet)
    places = _places(labels, roi_labels or [], coordinates)
    if measured is not None and places is not None:
        measured = ft.exchange.subject_at(measured, places)
    skeleton = ft.networks.network_skeleton(network, opt.split_names(layers))
    store, sides = opt.open_store(tokens), opt.read_split(split)
    # The shapes come from random weights, so the name says untrained, as only tokens of such weights do rightly.
    untrained = store is not None and store.network == skeleton.name
    name = skeleton.name if untrained else skeleton.name.removesuffix(UNTRAINED)
    known: dict[str, Any] = {"name": name, "bounds": bounds, "source": file.name}
    mapping = ft.exchange.import_weights(released, places if measured is None else measured, skeleton, **known)
    if store is not None and measured is not None and sides is not None:
        mapping = ft.exchange.score_weights(mapping, store, measured, sides, responses=responses)
        if store.preprocessing != ft.networks.authors_preprocessing(store.preprocessing.size) and not quiet:
            typer.echo(f"Tokens of photographs shown as {store.preprocessing}. {SHOWN}")
    mapping.save(output)
    if not quiet:
        print_scores(mapping)
        typer.echo(f"Mapping: {output}")
    if figures:
        plot(output, quiet=quiet)


def export_file(
    mapping: opt.MappingFolder,
    output: Annotated[Path, Argument(help="State dict to write: .pth, .pt or .safetensors; with --maps a folder.")],
    *,
    maps: Annotated[
        MapKind | None, Option(help="Maps and regions for other programs in place of weights; annot: regions alone.")
    ] = None,
    like: Annotated[
        Path | None, Option(metavar="IMAGE", help="With --maps nifti: a NIfTI or MGH image on the voxels' grid.")
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace OUTPUT.")] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write the trained weights of a mapping that fit --recipe paper made under the authors' names, or any's maps."""
    if maps is None and output.suffix not in KINDS:
        raise DataError(f"{output} must end in {', '.join(KINDS)}; for maps say --maps")
    if maps is None and like is not None:
        raise DataError("--like is the grid of --maps nifti; weights have none")
    if output.exists() and not overwrite:
        raise DataError(f"{output} exists; choose another name or give --overwrite")
    opt.check_whole(output)
    loaded = ft.Mapping.load(mapping)
    if maps is None:
        _export_weights(loaded, output, quiet)
        return
    folder = ft.export_maps(loaded, output, maps, like=like)
    if not quiet:
        typer.echo(f"Maps of {loaded.dataset.sizes['voxel']:,} voxels: {folder}")


def _export_weights(mapping: "ft.Mapping", file: Path, quiet: bool) -> None:
    import numpy as np
    import torch

    state = {name: value.contiguous() for name, value in ft.exchange.export_weights(mapping).items()}
    with ft.storage.atomic_path(file) as temporary:
        if file.suffix == ".safetensors":
            ft.storage.write_tensors(temporary, state)
        else:
            # PyTorch says what hinders it only where Python writes.
            with temporary.open("wb") as opened:
                torch.save(state, opened)
    if quiet:
        return
    typer.echo(f"Weights of {len(state['bias']):,} voxels: {file}")
    own = mapping.dataset["coordinates"].values
    scaled = np.reshape(mapping.dataset.attrs["coordinate_bounds"], (2, 3))
    if not np.allclose([own.min(axis=0), own.max(axis=0)], scaled, atol=1e-3):
        typer.echo(WHOLE)


def _places(labels: str | None, rois: list[str], coordinates: Path | None) -> "ft.cortex.Voxels | None":
    """Where the voxels lie, by label files or coordinates; None where neither was given."""
    if (labels is not None and coordinates is not None) or (rois and labels is None):
        raise DataError("say once where the voxels lie: give --labels (with --roi-labels) or --coordinates")
    if coordinates is not None:
        return ft.exchange.voxels_from_coordinates(coordinates)
    if labels is None:
        return None
    pairs = [_pair("--roi-labels", text) for text in rois]
    return ft.exchange.voxels_from_labels(_pair("--labels", labels), pairs)


def _pair(option: str, text: str) -> "ft.exchange.LabelFiles":
    files = [part.strip() for part in text.split(",")]
    if len(files) != 2 or not all(files):
        raise DataError(f"{option} {text!r}: give two files, left,right, e.g. lh.nsdgeneral.mgz,rh.nsdgeneral.mgz")
    return files[0], files[1]
