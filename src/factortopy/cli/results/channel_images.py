"""``factortopy channels images``: what regions respond to in any photograph (figure 9)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import (
    Device,
    DryRun,
    Json,
    MappingFolder,
    Palette,
    Precision,
    Quiet,
    WeightsFile,
    check_place,
    split_names,
)
from factortopy.cli.tables import print_cost
from factortopy.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np

    from factortopy.analysis import ChannelImages
    from factortopy.images import ImageSet
    from factortopy.mapping import Mapping
    from factortopy.networks import Network

BATCH = 16


def images(
    mapping: MappingFolder,
    photographs: Annotated[Path, typer.Argument(help="Folder of photographs, list of them or HDF5 file.")],
    output: Annotated[Path, typer.Argument(help="Folder of the maps and figures; one left unfinished goes on.")],
    *,
    rois: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Regions. [dim]\\[default: all ROIs][/dim]")
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="That [bold]cluster[/bold] wrote: its clusters instead of ROIs."),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="Tokens of images on which the canonical gauge is fixed. [dim]\\[default: as trained][/dim]",
        ),
    ] = None,
    grid: Annotated[
        int | None,
        typer.Option(min=1, help="Height and width of the maps. [dim]\\[default: the network's][/dim]"),
    ] = None,
    weights: WeightsFile = None,
    palette: Palette = "default",
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run photographs through the network that was mapped; show what each region responds to in them."""
    check_place(output)
    from factortopy.analysis import canonical_model, channel_images, gauge_tokens
    from factortopy.datasets import open_images
    from factortopy.mapping import Mapping, load_mapped_network, load_model
    from factortopy.reporting import write_channel_images
    from factortopy.storage import remove
    from factortopy.tokens import TokenStore, extract

    loaded, pictures = Mapping.load(mapping), open_images(photographs)
    regions = _regions(loaded, split_names(rois), clusters)
    batches = None if tokens is None else gauge_tokens(TokenStore.open(tokens), loaded)
    network = load_mapped_network(loaded, weights=weights, device=device, progress=not quiet)
    shape = network.grid if grid is None else (grid, grid)
    if dry_run:
        _estimate(network, pictures, shape, precision)
        return
    model = load_model(loaded)
    if batches is not None:
        model = canonical_model(model, map(model.align, batches))
    canonical, unfinished = batches is not None, output / "tokens"
    store = extract(network, pictures, unfinished, shape, precision=precision, progress=not quiet)
    read = (store.read(range(len(store))[first : first + BATCH]) for first in range(0, len(store), BATCH))
    maps = channel_images(model, read, store.image_ids, regions)
    files = write_channel_images(
        loaded,
        maps,
        lambda index: network.preprocessing.seen(pictures.image(index)),
        output,
        canonical=canonical,
        palette=palette,
    )
    remove(unfinished)
    if as_json:
        typer.echo(json.dumps(_facts(loaded, maps, canonical, files)))
    elif not quiet:
        typer.echo(f"{len(maps.images)} images, {len(maps.regions)} regions: {', '.join(files)}")


def _regions(mapping: "Mapping", names: list[str] | None, clusters: Path | None) -> "dict[str, np.ndarray]":
    """Masks of the regions asked for, ROIs or clusters."""
    regions = mapping.rois
    if clusters is not None:
        regions = _read_clusters(clusters, mapping.dataset.sizes["voxel"])
    if not regions:
        raise DataError("this mapping has no ROIs; give --clusters FOLDER, which `channels cluster` wrote")
    wanted = list(regions) if names is None else names
    for name in wanted:
        if name not in regions:
            raise UnknownNameError("region", name, regions)
    return {name: regions[name] for name in wanted}


def _read_clusters(folder: Path, voxels: int) -> "dict[str, np.ndarray]":
    import pandas

    try:
        labels = pandas.read_csv(folder / "voxels.csv")["cluster"].to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no clusters ({error}); give a folder that `channels cluster` wrote") from error
    if len(labels) != voxels:
        raise DataError(f"{folder} has clusters of {len(labels)} voxels, the mapping {voxels}; cluster it again")
    return {f"cluster {number}": labels == number for number in range(1, labels.max() + 1)}


def _estimate(network: "Network", photographs: "ImageSet", shape: tuple[int, int], precision: str | None) -> None:
    from factortopy.tokens import estimate_extraction

    cost = estimate_extraction(network, photographs, shape, precision=precision)
    rows = [("images", f"{len(photographs):,}"), ("maps", f"{shape[0]} x {shape[1]}"), ("device", str(network.device))]
    print_cost(f"Channel images of {network.name}", replace(cost, disk=0, temporary=cost.disk), rows)


def _facts(mapping: "Mapping", maps: "ChannelImages", canonical: bool, files: list[str]) -> dict[str, Any]:
    return {
        "network": mapping.dataset.attrs.get("network"),
        "subject": mapping.dataset.attrs.get("subject"),
        "simulated": mapping.simulated,
        "gauge": "canonical" if canonical else "as trained",
        "images": list(maps.images),
        "regions": list(maps.regions),
        "grid": list(maps.response.shape[2:]),
        "explained": dict(zip(maps.regions, maps.explained.sum(axis=1).round(4).tolist(), strict=True)),
        "files": files,
    }
