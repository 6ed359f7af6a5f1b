"""``factortopy predict``: a mapping as a brain that is shown photographs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import print_cost

Photographs = Annotated[Path, Argument(help="Folder of photographs, list of them or HDF5 file.")]
BatchSize = Annotated[int, Option(help="Images at a time, 1 to 64.")]
UNITS = {
    "training responses": "in the units of the responses that were fitted to",
    "z-scored": "z-scored: standard deviations of the training responses, voxel by voxel",
}


def predict(
    mapping: opt.MappingFolder,
    photographs: Photographs,
    output: Annotated[
        Path,
        Argument(
            help="Responses: .zarr or .npy (image, voxel); .gii, .mgh or .mgz, a file a hemisphere of all vertices. "
            "One left unfinished goes on."
        ),
    ],
    *,
    z_scored: Annotated[
        bool, Option("--z-scored", help="Standard deviations of each voxel's training responses, not their units.")
    ] = False,
    weights: opt.WeightsFile = None,
    batch_size: BatchSize = 32,
    workers: Annotated[int | None, Option(help="Threads that decode. [dim]\\[default: one a core][/dim]")] = None,
    device: opt.Device = None,
    precision: Annotated[
        str | None, Option(help="bf16 or fp32. [dim]\\[default: as when the mapping was fitted][/dim]")
    ] = None,
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Predict the response of every voxel to any photographs; ROI means go to OUTPUT.rois.csv.

    The network is loaded by name and must have the very weights that were mapped.
    """
    opt.check_output(output)
    ending = ft.mapping.prediction_format(output)
    loaded, images = ft.Mapping.load(mapping), ft.open_images(photographs)
    options: dict[str, Any] = {"z_scored": z_scored, "weights": weights, "batch_size": batch_size, "workers": workers}
    predictor = ft.mapping.Predictor.of(loaded, device=device, precision=precision, progress=not quiet, **options)
    if dry_run:
        cost = ft.estimate_extraction(predictor.network, images, **predictor.options)
        rows = [("images", f"{len(images):,}"), ("device", str(predictor.network.device))]
        disk = 4 * len(images) * loaded.dataset.sizes["voxel"]
        title = f"Predictions of {predictor.network.name}: nothing was written"
        print_cost(title, replace(cost, disk=disk, temporary=0 if ending == ".zarr" else disk), rows)
        return
    # Other files than Zarr are written in one go, so that until all images are done they wait in a group of Zarr.
    unfinished = output if ending == ".zarr" else output.with_name(f"{output.name}.unfinished")
    responses = predictor.to_zarr(images, unfinished, progress=not quiet)
    files = [output] if ending == ".zarr" else responses.save(output)
    means = responses.roi_means()
    files.append(ft.storage.write_table(output.with_name(f"{output.name}.rois.csv"), means))
    if ending != ".zarr":
        ft.storage.remove(unfinished)
    facts = {
        "network": predictor.network.name,
        "subject": loaded.dataset.attrs.get("subject"),
        "simulated": loaded.simulated,
        "images": len(images),
        "voxels": loaded.dataset.sizes["voxel"],
        "units": responses.units,
        "files": [str(file) for file in files],
    }
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        typer.echo(f"{len(images):,} images, {facts['voxels']:,} voxels, {UNITS[responses.units]}")
        for file in files:
            typer.echo(file)
