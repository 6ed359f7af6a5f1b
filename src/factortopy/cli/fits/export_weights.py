"""``factortopy export-weights``: a mapping's weights under the names of the paper's authors."""

from pathlib import Path
from typing import Annotated

import typer

from factortopy.cli.options import Quiet, check_place
from factortopy.errors import DataError

KINDS = (".pth", ".pt", ".safetensors")
WHOLE = (
    "Coordinates were scaled by the whole surface: import with --bounds surface. The authors' program scales "
    "by the voxels alone and would read other places with these weights."
)


def export_weights(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] --recipe paper wrote.")],
    file: Annotated[Path, typer.Argument(help="State dict to write: .pth, .pt or .safetensors.")],
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write the trained weights of a mapping of recipe "paper" under the authors' names."""
    if file.suffix not in KINDS:
        raise DataError(f"{file} must end in {', '.join(KINDS)}")
    if file.exists() and not overwrite:
        raise DataError(f"{file} exists; choose another name or give --overwrite")
    check_place(file)
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from factortopy.exchange import export_weights as weights_of
    from factortopy.mapping import Mapping
    from factortopy.storage import atomic_path

    loaded = Mapping.load(mapping)
    weights = {name: value.contiguous() for name, value in weights_of(loaded).items()}
    with atomic_path(file) as temporary:
        if file.suffix == ".safetensors":
            save_file(weights, temporary)
        else:
            torch.save(weights, temporary)
    if quiet:
        return
    typer.echo(f"Weights of {len(weights['bias']):,} voxels: {file}")
    own = loaded.dataset["coordinates"].values
    scaled = np.reshape(loaded.dataset.attrs["coordinate_bounds"], (2, 3))
    if not np.allclose([own.min(axis=0), own.max(axis=0)], scaled, atol=1e-3):
        typer.echo(WHOLE)
