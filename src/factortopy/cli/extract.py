"""``factortopy extract``: images through a network into a token store."""

from pathlib import Path
from typing import Annotated

import typer

from factortopy.cli.options import (
    Device,
    DryRun,
    Quiet,
    Untrained,
    check_place,
    readable_bytes,
    readable_seconds,
)
from factortopy.cli.tables import print_table


def extract(
    network: Annotated[str, typer.Argument(help="A name of [bold]factortopy networks[/bold], or timm/NAME.")],
    images: Annotated[Path, typer.Argument(metavar="IMAGES_FOLDER", help="Folder of photographs.")],
    output: Annotated[Path, typer.Argument(help="Folder of the tokens; one left unfinished goes on.")],
    *,
    layers: Annotated[
        str | None, typer.Option(help="Names of layers, parted by commas. [dim]\\[default: all][/dim]")
    ] = None,
    grid: Annotated[int, typer.Option(min=1, help="Height and width of the local maps written.")] = 8,
    batch_size: Annotated[int, typer.Option(help="Images at a time, 1 to 64.")] = 32,
    device: Device = None,
    precision: Annotated[
        str | None, typer.Option(help="bf16 or fp32. [dim]\\[default: bf16 where computed natively][/dim]")
    ] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Local file of weights.")] = None,
    untrained: Untrained = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Write a network's tokens of every image of a folder; image ids are the file names."""
    check_place(output)
    from factortopy.images import images_from_folder

    photographs = images_from_folder(images)
    from factortopy.networks import load_network
    from factortopy.tokens import estimate_extraction
    from factortopy.tokens import extract as write_tokens

    # The time does not depend on what the weights are, so a dry run downloads none.
    loaded = load_network(
        network,
        None if layers is None else [layer.strip() for layer in layers.split(",")],
        untrained=untrained or dry_run,
        device=device,
        weights=weights,
    )
    shape = (grid, grid)
    if dry_run:
        estimate = estimate_extraction(loaded, photographs, shape, batch_size=batch_size, precision=precision)
        rows = [
            ("images", f"{estimate.images:,}"),
            ("layers", str(len(loaded.layers))),
            ("disk", readable_bytes(estimate.bytes)),
            ("time", f"{readable_seconds(estimate.seconds)} on {loaded.device}, from one batch"),
        ]
        print_table(f"Extraction with {network}: nothing was written", ("", ""), rows)
        return
    store = write_tokens(
        loaded, photographs, output, shape, batch_size=batch_size, precision=precision, progress=not quiet
    )
    if not quiet:
        typer.echo(f"{len(store)} images, {len(store.layers)} layers of {store.network}: {output}")
