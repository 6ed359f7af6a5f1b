"""``factortopy extract``: images through a network into a token store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import (
    Device,
    DryRun,
    Layers,
    Precision,
    Quiet,
    Seed,
    Untrained,
    WeightsFile,
    check_place,
    split_names,
)
from factortopy.cli.tables import cost_rows, print_table

if TYPE_CHECKING:
    from factortopy.images import ImageSet
    from factortopy.networks import Network


def extract(
    network: Annotated[
        str, typer.Argument(help="A name of [bold]factortopy networks[/bold], timm/NAME, hf/REPOSITORY, ...")
    ],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="Folder of photographs (not its subfolders) or of a data set, text file that names an image "
            "a line, or HDF5 file.",
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder of the tokens; one left unfinished goes on.")],
    *,
    layers: Layers = None,
    grid: Annotated[int, typer.Option(min=1, help="Height and width of the local maps written.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Images at a time, 1 to 64.")] = 32,
    workers: Annotated[int | None, typer.Option(help="Threads that decode. [dim]\\[default: one a core][/dim]")] = None,
    device: Device = None,
    precision: Precision = None,
    weights: WeightsFile = None,
    untrained: Untrained = False,
    seed: Seed = 0,
    dataset: Annotated[str, typer.Option(help="Name of the array in an HDF5 file.")] = "imgBrick",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images that cannot be read, and name them.")
    ] = False,
    mask_outliers: Annotated[
        bool, typer.Option("--mask-outliers", help="Replace tokens of extreme norm by their neighbours.")
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Write a network's tokens of every image; ids are the file names, or the lines of the list.

    Time, memory and disk are measured on some of the images and printed first.
    """
    check_place(output)
    from factortopy.datasets import open_images

    photographs = open_images(images, array=dataset, check=not skip_broken)
    if skip_broken:
        photographs = _without_broken(photographs, quiet)
    from factortopy.networks import load_network
    from factortopy.tokens import extract as write_tokens

    # The time does not depend on what the weights are, so a dry run downloads none.
    loaded = load_network(
        network,
        split_names(layers),
        untrained=untrained or dry_run,
        seed=seed,
        device=device,
        weights=weights,
    )
    shape = (grid, grid)
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "precision": precision}
    settings |= {"mask_outliers": mask_outliers}
    if dry_run or not quiet:
        _announce(network, loaded, photographs, output, shape, settings, dry_run)
    if dry_run:
        return
    store = write_tokens(loaded, photographs, output, shape, **settings, progress=not quiet)
    if not quiet:
        typer.echo(f"{len(store)} images, {len(store.layers)} layers of {store.network}: {output}")


def _without_broken(photographs: "ImageSet", quiet: bool) -> "ImageSet":
    from factortopy.images import leave_out_broken

    whole = leave_out_broken(photographs, progress=not quiet)
    for image_id, reason in whole.left_out.items():
        typer.echo(f"left out: {image_id}: {reason}", err=True)
    return whole


def _announce(
    name: str,
    network: "Network",
    photographs: "ImageSet",
    output: Path,
    shape: tuple[int, int],
    settings: dict[str, Any],
    dry_run: bool,
) -> None:
    """Print what the images that are left will take, from running some of them."""
    from factortopy.tokens import estimate_extraction, images_done

    done = min(images_done(output), len(photographs))
    if done == len(photographs):
        typer.echo(f"{output} holds all {done} images already")
        return
    left = photographs.subset(photographs.ids[done:])
    cost = estimate_extraction(network, left, shape, **settings)
    grids = sorted(set(network.grids), reverse=True)
    rows = [
        ("images", f"{len(left):,}" + (f" left, {done:,} are done" if done else "")),
        ("layers", f"{len(network.layers)}, maps of {', '.join('{} x {}'.format(*grid) for grid in grids)}"),
        ("device", str(network.device)),
    ]
    title = f"Extraction with {name}{': nothing was written' if dry_run else ''}"
    print_table(title, ("", ""), [*rows, *cost_rows(cost)])
