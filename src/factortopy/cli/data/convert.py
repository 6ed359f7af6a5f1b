"""``factortopy convert``: a data set's betas into one Zarr that is quick to read."""

from pathlib import Path
from shutil import disk_usage
from typing import Annotated

import typer

from factortopy.cli.options import DryRun, Quiet, check_place, readable_bytes
from factortopy.cli.tables import print_cost


def convert(
    path: Annotated[Path, typer.Argument(help="NSD's folder, with nsddata and nsddata_betas in it.")],
    output: Annotated[Path, typer.Argument(help="Folder of the betas; one left unfinished goes on.")],
    *,
    subject: Annotated[int, typer.Option(min=1, max=8, help="Number of the subject.")],
    space: Annotated[str, typer.Option(help="fsaverage, nativesurface, func1pt8mm or func1mm.")] = "fsaverage",
    preparation: Annotated[
        str, typer.Option(help="betas_fithrf_GLMdenoise_RR, betas_fithrf or betas_assumehrf.")
    ] = "betas_fithrf_GLMdenoise_RR",
    mask: Annotated[str, typer.Option(help="Voxels kept: all, nsdgeneral, another kind of labels or a ROI.")] = "all",
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Read the betas of an NSD subject once and rewrite them, bit by bit, as one Zarr."""
    check_place(output)
    from factortopy.datasets import convert as write_betas
    from factortopy.datasets import estimate_conversion, open_nsd
    from factortopy.storage import standing_folder

    recording = open_nsd(path, subject, space=space, preparation=preparation, voxels=mask)
    if dry_run:
        cost = estimate_conversion(recording, output)
        rows = [
            ("sessions", f"{len(recording.sessions)} of {recording.facts['sessions_published']} published"),
            ("free disk", readable_bytes(disk_usage(standing_folder(output)).free)),
        ]
        print_cost(f"Conversion of {recording.name}", cost, rows)
        return
    store = write_betas(recording, output, progress=not quiet)
    if not quiet:
        typer.echo(f"Betas: {store.path}")
