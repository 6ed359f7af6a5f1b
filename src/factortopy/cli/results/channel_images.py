"""``factortopy channel-images``: what regions respond to in any photograph (figure 9)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.data.extract import open_photographs
from factortopy.cli.options import (
    Device,
    DryRun,
    Json,
    Palette,
    Precision,
    Quiet,
    check_place,
    readable_bytes,
    readable_seconds,
)
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    import numpy as np

    from factortopy.analysis import ChannelImages
    from factortopy.images import ImageSet
    from factortopy.mapping import Mapping
    from factortopy.networks import Network

BATCH = 16


def channel_images(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] wrote.")],
    images: Annotated[Path, typer.Argument(help="Folder of photographs, list of them or HDF5 file.")],
    output: Annotated[Path, typer.Argument(help="Folder of the maps and figures; one left unfinished goes on.")],
    *,
    rois: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Regions. [dim]\\[default: all ROIs][/dim]")
    ] = None,
    clusters: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="That [bold]clusters[/bold] wrote: its clusters instead of ROIs."),
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
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Weights of the network.")] = None,
    palette: Palette = "default",
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run photographs through the network that was mapped; show what each region responds to in them."""
    check_place(output)
    from factortopy.analysis import canonical_model
    from factortopy.analysis import channel_images as compute
    from factortopy.cli.results.gauge_tokens import gauge_tokens
    from factortopy.mapping import Mapping, load_mapped_network, load_model
    from factortopy.storage import remove
    from factortopy.tokens import extract

    loaded, photographs = Mapping.load(mapping), open_photographs(images)
    regions = _regions(loaded, rois, clusters)
    batches = None if tokens is None else gauge_tokens(tokens, loaded)
    network = load_mapped_network(loaded, weights=weights, device=device, progress=not quiet)
    shape = network.grid if grid is None else (grid, grid)
    if dry_run:
        _estimate(network, photographs, shape, precision)
        return
    model = load_model(loaded)
    if batches is not None:
        model = canonical_model(model, map(model.align, batches()))
    held = output / "tokens"
    store = extract(network, photographs, held, shape, precision=precision, progress=not quiet)
    read = (store.read(range(len(store))[first : first + BATCH]) for first in range(0, len(store), BATCH))
    found = compute(model, read, store.image_ids, regions)
    _save_maps(found, output / "channel_images.npz")
    files = _draw(loaded, found, network, photographs, output, batches is not None, palette)
    remove(held)
    facts = _facts(loaded, found, batches is not None, files)
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        typer.echo(f"{len(found.images)} images, {len(found.regions)} regions: {', '.join(files)}")


def _regions(mapping: "Mapping", names: str | None, clusters: Path | None) -> "dict[str, np.ndarray]":
    """Masks of the regions asked for, ROIs or clusters."""
    from factortopy.errors import DataError, UnknownNameError

    known = mapping.rois
    if clusters is not None:
        known = _read_clusters(clusters, mapping.dataset.sizes["voxel"])
    if not known:
        raise DataError("this mapping has no ROIs; give --clusters FOLDER, which `clusters` wrote")
    wanted = list(known) if names is None else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise UnknownNameError("region", name, known)
    return {name: known[name] for name in wanted}


def _read_clusters(folder: Path, voxels: int) -> "dict[str, np.ndarray]":
    import pandas

    from factortopy.errors import DataError

    try:
        labels = pandas.read_csv(folder / "voxels.csv")["cluster"].to_numpy()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder} holds no clusters ({error}); give a folder that `clusters` wrote") from error
    if len(labels) != voxels:
        raise DataError(f"{folder} has clusters of {len(labels)} voxels, the mapping {voxels}; cluster it again")
    return {f"cluster {number}": labels == number for number in range(1, labels.max() + 1)}


def _estimate(network: "Network", photographs: "ImageSet", shape: tuple[int, int], precision: str | None) -> None:
    from factortopy.tokens import estimate_extraction

    estimate = estimate_extraction(network, photographs, shape, precision=precision)
    rows = [
        ("images", f"{estimate.images:,}"),
        ("maps", f"{shape[0]} x {shape[1]}"),
        ("disk while it runs", readable_bytes(estimate.bytes)),
        ("memory", readable_bytes(estimate.memory)),
        ("time", f"{readable_seconds(estimate.seconds)} on {network.device}"),
    ]
    print_table(f"Channel images of {network.name}: nothing was written", ("", ""), rows)


def _save_maps(found: "ChannelImages", path: Path) -> None:
    import numpy as np

    from factortopy.storage import atomic_path

    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            images=found.images,
            regions=found.regions,
            response=found.response,
            components=found.components,
            explained=found.explained,
        )


def _draw(
    mapping: "Mapping",
    found: "ChannelImages",
    network: "Network",
    photographs: "ImageSet",
    output: Path,
    canonical: bool,
    palette: str,
) -> list[str]:
    """Figures of the first images, as many regions a page as fit; returns the files' names."""
    from factortopy.plot import MOST_IMAGES, MOST_REGIONS, save
    from factortopy.plot import channel_images as draw

    shown = range(min(MOST_IMAGES, len(photographs)))
    seen = [network.preprocessing.seen(photographs.image(index)) for index in shown]
    pages = [
        found.part(shown, range(first, min(first + MOST_REGIONS, len(found.regions))))
        for first in range(0, len(found.regions), MOST_REGIONS)
    ]
    files = ["channel_images.npz"]
    for kind in ("components", "response"):
        for number, page in enumerate(pages, start=1):
            stem = kind if len(pages) == 1 else f"{kind}-{number}"
            figure = draw(mapping, page, seen, kind, canonical=canonical, palette=palette)  # type: ignore[arg-type]
            files += [path.name for path in save(figure, output / stem)]
    return files


def _facts(mapping: "Mapping", found: "ChannelImages", canonical: bool, files: list[str]) -> dict[str, Any]:
    return {
        "network": mapping.dataset.attrs.get("network"),
        "subject": mapping.dataset.attrs.get("subject"),
        "simulated": mapping.simulated,
        "gauge": "canonical" if canonical else "as trained",
        "images": list(found.images),
        "regions": list(found.regions),
        "grid": list(found.response.shape[2:]),
        "explained": dict(zip(found.regions, found.explained.sum(axis=1).round(4).tolist(), strict=True)),
        "files": files,
    }
