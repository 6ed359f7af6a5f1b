"""``factortopy predict``, ``rank`` and ``card``: a mapping as a brain that is shown photographs and given away."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Rows, print_cost
from factortopy.errors import DataError

MappingSource = Annotated[
    str,
    Argument(
        metavar="MAPPING",
        help="Folder that [bold]fit[/bold] or [bold]card[/bold] wrote, a zip of it, or hf://OWNER/NAME@COMMIT.",
    ),
]
Photographs = Annotated[Path, Argument(help="Folder of photographs, list of them or HDF5 file.")]
BatchSize = Annotated[int, Option(help="Images at a time, 1 to 64.")]
UNITS = {
    "training responses": "in the units of the responses that were fitted to",
    "z-scored": "z-scored: standard deviations of the training responses, voxel by voxel",
}


def predict(
    mapping: MappingSource,
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
    loaded, images = ft.load_mapping(mapping), ft.open_images(photographs)
    options: dict[str, Any] = {"z_scored": z_scored, "weights": weights, "batch_size": batch_size, "workers": workers}
    predictor = ft.mapping.Predictor.of(loaded, device=device, precision=precision, progress=not quiet, **options)
    if dry_run:
        voxels = loaded.dataset.sizes["voxel"]
        _print_needs(predictor, images, 4 * len(images) * voxels, into_zarr=ending == ".zarr")
        return
    # Other files than Zarr are written in one go, so that until all images are done they wait in a group of Zarr.
    unfinished = output if ending == ".zarr" else output.with_name(f"{output.name}.unfinished")
    responses = predictor.to_zarr(images, unfinished, progress=not quiet)
    files = [output] if ending == ".zarr" else responses.save(output)
    files.append(ft.storage.write_table(output.with_name(f"{output.name}.rois.csv"), responses.roi_means()))
    if ending != ".zarr":
        ft.storage.remove(unfinished)
    facts = {
        "network": predictor.network.name,
        "subject": loaded.dataset.attrs.get("subject"),
        "simulated": loaded.simulated,
        "images": len(images),
        "voxels": loaded.dataset.sizes["voxel"],
        "units": responses.units,
        "assumption": predictor.assumption,
        "files": [str(file) for file in files],
    }
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        typer.echo(f"{len(images):,} images, {facts['voxels']:,} voxels, {UNITS[responses.units]}")
        if predictor.assumption is not None:
            typer.echo(f"Assumed: {predictor.assumption}")
        for file in files:
            typer.echo(file)


def _print_needs(predictor: "ft.mapping.Predictor", images: "ft.ImageSet", disk: int, *, into_zarr: bool) -> None:
    cost = ft.estimate_extraction(predictor.network, images, **predictor.options)
    rows = [("images", f"{len(images):,}"), ("device", str(predictor.network.device))]
    title = f"Predictions of {predictor.network.name}: nothing was written"
    print_cost(title, replace(cost, disk=disk, temporary=0 if into_zarr else disk), rows)


def rank(
    mapping: MappingSource,
    photographs: Photographs,
    output: Annotated[Path, Argument(help="Folder of the table and the figure.")],
    *,
    roi: Annotated[
        str | None, Option(metavar="NAME", help="Which photographs drive this region most and least?")
    ] = None,
    against: Annotated[
        Path | None,
        Option(
            metavar="PHOTOGRAPHS",
            help="Instead: which voxels do PHOTOGRAPHS drive more than these? A t-map, false discoveries at most 5 %.",
        ),
    ] = None,
    count: Annotated[int, Option(min=1, help="Photographs shown at either end.")] = 12,
    weights: opt.WeightsFile = None,
    batch_size: BatchSize = 32,
    device: opt.Device = None,
    precision: opt.Precision = None,
    palette: opt.Palette = "default",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Rank photographs by how much they drive a region, or contrast two sets of them: a localiser in silico.

    Voxels whose held-out R² is not above chance are left out.
    """
    if (roi is None) == (against is None):
        raise DataError("say what to ask: give --roi NAME, or --against PHOTOGRAPHS")
    opt.check_output(output / "table.csv")
    loaded, images = ft.load_mapping(mapping), ft.open_images(photographs)
    options: dict[str, Any] = {"weights": weights, "batch_size": batch_size, "device": device, "precision": precision}
    options["progress"] = not quiet
    facts: dict[str, Any]
    if against is None:
        ranking = ft.rank_images(loaded, images, str(roi), **options)
        files = ft.reporting.write_ranking(ranking, images, output, count)
        shown = _ends_shown(ranking, count)
        facts = {"roi": roi, "images": len(images), "voxels": ranking.voxels, "left_out": ranking.left_out}
    else:
        other = ft.open_images(against)
        found = ft.contrast(loaded, images, other, **options)
        files = ft.reporting.write_contrast(found, (images.name, other.name), output, palette)
        shown = _contrast_shown(found, images, other)
        facts = {"images": list(found.images), "left_out": found.left_out, "significant": int(found.significant.sum())}
    if as_json:
        facts = {"network": loaded.dataset.attrs.get("network"), "simulated": loaded.simulated, **facts}
        typer.echo(json.dumps(facts | {"files": [str(file) for file in files], "rows": shown.rows}))
    elif not quiet:
        left_out = f"{facts['left_out']:,} voxels left out: their held-out R² is not above chance"
        note = f"{left_out}\nstandard deviations of the training responses; {shown.note}"
        replace(shown, note=note, simulated=loaded.simulated).print()
        for file in files:
            typer.echo(file)


def _ends_shown(ranking: "ft.analysis.Ranking", count: int) -> Rows:
    table, title = ranking.table, f"Photographs that drive {ranking.region} most and least"
    if len(table) > 2 * count:
        table = table.iloc[[*range(count), *range(len(table) - count, len(table))]]
    columns = {"rank": "", "image": "photograph", "response": "response"}
    return Rows(title, ft.analysis.records_of(table), columns, ranking.limits, {"response": "+.2f"})


def _contrast_shown(found: "ft.analysis.Contrast", images: "ft.ImageSet", other: "ft.ImageSet") -> Rows:
    title = f"Voxels that {images.name} drive more or less than {other.name}"
    columns = {"roi": "ROI", "voxels": "voxels", "more": "more", "less": "less", "difference": "difference"}
    note = f"voxels with q <= 0.05; {images.name} ({len(images):,}) against {other.name} ({len(other):,})"
    return Rows(title, ft.analysis.records_of(found.regions()), columns, note, {"difference": "+.2f"})


def card(
    mapping: MappingSource,
    output: Annotated[Path, Argument(help="Folder: the mapping with digests, card.yaml, README.md, card.html.")],
    *,
    berg: Annotated[bool, Option("--berg", help="Also as a model of BERG.")] = False,
    brain_score: Annotated[bool, Option("--brain-score", help="Also as a plugin of Brain-Score.")] = False,
    zipped: Annotated[
        bool, Option("--zip", help="Also OUTPUT.zip, which can be given in the mapping's place.")
    ] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write a mapping to be shared: with its data, split, network, licences, scores by ROI, limits and use."""
    opt.check_new(output)
    archive = output.with_name(f"{output.name}.zip")
    if zipped:
        opt.check_new(archive)
    loaded = ft.load_mapping(mapping)
    with ft.storage.atomic_path(output) as folder:
        written = ft.reporting.write_card(loaded, folder, berg=berg, brain_score=brain_score)
        files = [output / file.relative_to(folder) for file in written]
    if zipped:
        files.append(ft.exchange.zip_folder(output, archive))
    if not quiet:
        for file in files:
            typer.echo(file)
