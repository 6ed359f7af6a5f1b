"""``factortopy channels``: voxels by the channels they select (figure 8); what regions respond to (figure 9)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Rows, print_cost
from factortopy.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import numpy as np

STARTS = 3
"""Starts of k-means whose clusters are compared."""
COLUMNS = {
    "cluster": "cluster",
    "voxels": "voxels",
    "similarity": "cosine within",
    "depth": "depth",
    "r2": "R²",
    "rois": "mostly in",
}
BATCH = 16


def cluster(
    mapping: opt.MappingFolder,
    output: Annotated[Path, Argument(help="Folder of the clusters, their table and figure.")],
    *,
    count: Annotated[int, Option(min=2, help="Clusters.")] = 20,
    way: Annotated[
        Literal["paper", "gauge-free"],
        Option(help="Channels as trained, or by what they predict, which no gauge changes."),
    ] = "paper",
    tokens: Annotated[
        Path | None,
        Option(
            metavar="STORE",
            help="Tokens of images over which predictions are compared, for gauge-free. "
            "[dim]\\[default: the mapping's test images][/dim]",
        ),
    ] = None,
    seed: opt.Seed = 0,
    palette: opt.Palette = "default",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Cluster voxels by their channels; write each voxel's cluster, a table of the clusters and a figure."""
    opt.check_output(output)
    if tokens is not None and way == "paper":
        raise DataError("--tokens is for --way gauge-free: the paper's way compares no images")
    loaded = ft.Mapping.load(mapping)
    channels = ft.analysis.channels_of(loaded, way, _gauge_tokens(loaded, tokens))
    starts = []
    with ft.progress.progress_bar("Clusters", STARTS, show=not quiet) as advance:
        for start in range(seed, seed + STARTS):
            starts.append(ft.analysis.cluster_channels(channels, count, way, seed=start))
            advance()
    agreement = ft.analysis.cluster_agreement(starts)
    facts = ft.analysis.cluster_facts(loaded, starts[0]) | {"seed": seed, "agreement_of_starts": agreement}
    if not ft.reporting.write_clusters(loaded, starts[0], facts, output, palette):
        typer.echo("no figure: the voxels lie on no standard surface", err=True)
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print_clusters(facts, loaded)
        typer.echo(f"Clusters: {output}")


def _gauge_tokens(mapping: "ft.Mapping", tokens: Path | None) -> Any:
    """Tokens of a store in the layers of a mapping, batch by batch; None where no store was given."""
    return None if tokens is None else ft.analysis.gauge_tokens(ft.TokenStore.open(tokens), mapping)


def _print_clusters(facts: dict[str, Any], mapping: "ft.Mapping") -> None:
    rows = []
    for row in facts["clusters"]:
        rois = {name.removeprefix("in_"): share for name, share in row.items() if name.startswith("in_")}
        largest = sorted(rois.items(), key=lambda item: -item[1])[:3]
        rows.append(row | {"rois": ", ".join(f"{name} {share:.0%}" for name, share in largest if share >= 0.005)})
    spread = ", ".join(f"{name} {value:.1f}" for name, value in facts["effective_clusters"].items())
    note = (
        f"way: {facts['way']}; {STARTS} starts agree by {facts['agreement_of_starts']:.2f} (adjusted "
        f"Rand index, 1 at best); effective clusters by ROI: {spread or 'no ROIs'}\n"
        f"{ft.mapping.facts_line(mapping.dataset, 'channel selectors; depth by layer share')}"
    )
    formats = dict.fromkeys(("similarity", "depth", "r2"), ".2f")
    Rows(f"{facts['count']} clusters of channels", rows, COLUMNS, note, formats, facts["simulated"]).print()


def images(
    mapping: opt.MappingFolder,
    photographs: Annotated[Path, Argument(help="Folder of photographs, list of them or HDF5 file.")],
    output: Annotated[Path, Argument(help="Folder of the maps and figures; one left unfinished goes on.")],
    *,
    rois: Annotated[
        str | None, Option(metavar="NAME,NAME", help="Regions. [dim]\\[default: all ROIs of 4 voxels or more][/dim]")
    ] = None,
    clusters: Annotated[
        Path | None, Option(metavar="FOLDER", help="That [bold]cluster[/bold] wrote: its clusters instead of ROIs.")
    ] = None,
    tokens: Annotated[
        Path | None,
        Option(
            metavar="STORE",
            help="Tokens of images on which the canonical gauge is fixed. [dim]\\[default: as trained][/dim]",
        ),
    ] = None,
    grid: Annotated[
        int | None, Option(min=1, help="Height and width of the maps. [dim]\\[default: the network's][/dim]")
    ] = None,
    weights: opt.WeightsFile = None,
    palette: opt.Palette = "default",
    device: opt.Device = None,
    precision: opt.Precision = None,
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Run photographs through the network that was mapped; show what each region responds to in them."""
    opt.check_output(output)
    loaded, pictures = ft.Mapping.load(mapping), ft.open_images(photographs)
    regions = _regions(loaded, opt.split_names(rois), clusters)
    batches = _gauge_tokens(loaded, tokens)
    network = ft.mapping.load_mapped_network(loaded, weights=weights, device=device, progress=not quiet)
    shape = network.grid if grid is None else (grid, grid)
    if dry_run:
        cost = ft.estimate_extraction(network, pictures, shape, precision=precision)
        rows = [("images", f"{len(pictures):,}"), ("maps", f"{shape[0]} x {shape[1]}"), ("device", str(network.device))]
        title = f"Channel images of {network.name}: nothing was written"
        print_cost(title, replace(cost, disk=0, temporary=cost.disk), rows)
        return
    model = ft.mapping.load_model(loaded)
    canonical, unfinished = batches is not None, output / "tokens.unfinished"
    if canonical:
        model = ft.analysis.canonical_model(model, map(model.align, batches))
    store = ft.extract(network, pictures, unfinished, shape, precision=precision, progress=not quiet)
    read = (store.read(range(len(store))[first : first + BATCH]) for first in range(0, len(store), BATCH))
    maps = ft.analysis.channel_images(model, read, store.image_ids, regions)

    def seen(index: int) -> Any:
        return network.preprocessing.seen(pictures.image(index))

    files = ft.reporting.write_channel_images(loaded, maps, seen, output, canonical=canonical, palette=palette)
    ft.storage.remove(unfinished)
    if as_json:
        typer.echo(json.dumps(_image_facts(loaded, maps, canonical, files)))
    elif not quiet:
        typer.echo(f"{len(maps.images)} images, {len(maps.regions)} regions: {', '.join(files)}")


def _regions(mapping: "ft.Mapping", names: list[str] | None, clusters: Path | None) -> "dict[str, np.ndarray]":
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
    return _large_enough({name: regions[name] for name in wanted}, asked=names is not None)


def _large_enough(regions: "dict[str, np.ndarray]", asked: bool) -> "dict[str, np.ndarray]":
    """The regions with more voxels than components; others are left out, and refused where they were asked for."""
    fewest = ft.analysis.COMPONENTS + 1
    small = ", ".join(name for name, inside in regions.items() if inside.sum() < fewest)
    large = {name: inside for name, inside in regions.items() if inside.sum() >= fewest}
    if small and (asked or not large):
        raise DataError(f"channel images need regions of {fewest} voxels or more; leave out {small}")
    if small:
        typer.echo(f"left out, of fewer than {fewest} voxels: {small}", err=True)
    return large


def _read_clusters(folder: Path, voxels: int) -> "dict[str, np.ndarray]":
    import pandas

    try:
        labels = pandas.read_csv(folder / "voxels.csv")["cluster"].to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no clusters ({error}); give a folder that `channels cluster` wrote") from error
    if len(labels) != voxels:
        raise DataError(f"{folder} has clusters of {len(labels)} voxels, the mapping {voxels}; cluster it again")
    return {f"cluster {number}": labels == number for number in range(1, labels.max() + 1)}


def _image_facts(
    mapping: "ft.Mapping", maps: "ft.analysis.ChannelImages", canonical: bool, files: list[str]
) -> dict[str, Any]:
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
