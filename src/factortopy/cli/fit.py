"""``factortopy fit`` and ``baselines``: tokens and a subject in; a mapping, or simpler models beside it, out."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import print_cost, print_table
from factortopy.errors import DataError

CLUSTER, AUTHORS = "cluster", "authors"
"""What ``--split`` says for whole clusters of images, and for the split of the paper's authors."""
FOLD = re.compile(r"(\d+)/(\d+)")
"""What it says for a fold of several."""

SplitName = Annotated[
    str | None,
    Option(
        metavar="FILE.json|cluster|authors|NAME|K/N",
        help="Image ids of train, validation, test; 8:1:1 by whole clusters of similar images; the paper's "
        "authors': 9,000 of 9,841 train, the rest validate and test; a published split of the data set "
        "(LAION-fMRI: tau, ood, cluster_k5_0); or fold K of N, for few images: fit all folds and score them "
        "together. Default: 8:1:1 by image.",
    ),
]


def _split_of_file(split: str | None) -> "ft.Split | None":
    """The split of a file; None where none is given, or one by name."""
    by_name = split in (CLUSTER, AUTHORS) or FOLD.fullmatch(split or "") or opt.is_split_name(split)
    return None if by_name else opt.read_split(split)


def _split_by_name(
    split: str | None, store: "ft.TokenStore", measured: "ft.Subject", data: Path, seed: int, *, progress: bool
) -> "ft.Split | None":
    """The split that a name, or a fold, stands for; None where none is given."""
    if split is None:
        return None
    if split == CLUSTER:
        return ft.tokens.split_clusters(store, measured.distinct_image_ids, seed=seed, progress=progress)
    if split == AUTHORS:
        return ft.images.split_as_authors(measured.distinct_image_ids, seed)
    fold = FOLD.fullmatch(split)
    if fold is not None:
        return ft.fitting.default_split(store, measured, seed, (int(fold[1]), int(fold[2])))
    return ft.datasets.named_split(data, measured, split, seed=seed)


def fit(
    tokens: opt.TokenFolder,
    data: Annotated[
        Path,
        Argument(
            metavar="SUBJECT",
            help="Folder of own arrays (responses.npy, image_ids.txt, coordinates.npy where known, or subject.toml), "
            "Algonauts 2023, NSD, LAION-fMRI, THINGS-fMRI or BOLD5000.",
        ),
    ],
    output: Annotated[Path, Argument(help="Folder of the mapping.")],
    *,
    subject: opt.SubjectNumber = None,
    recipe: Annotated[opt.Recipe, Option(help="Well-conditioned, or exactly the authors'.")] = "default",
    seed: opt.Seed = 0,
    split: SplitName = None,
    start: Annotated[
        list[Path] | None,
        Option(
            metavar="MAPPING",
            help="Another subject's mapping on the same surface, or one of another network, to start from and to trust "
            "as far as validation images tell; give it again for the mean of several.",
        ),
    ] = None,
    starts: Annotated[
        int, Option(min=1, metavar="N", help="Times that it is trained, from other random numbers, and averaged.")
    ] = 1,
    changes: opt.Changes = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    memory: Annotated[
        float | None,
        Option(
            min=0,
            metavar="GB",
            help="That tokens may take; beyond, they are read from disk. [dim]\\[default: half of what is free][/dim]",
        ),
    ] = None,
    bootstrap: Annotated[int, Option(min=0, metavar="N", help="Draws of test images for limits; 0 for none.")] = 1_000,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the mapping at OUTPUT.")] = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Train FactorTopy on a subject, score it on held-out images, write the mapping.

    A fit that was stopped goes on where it was, from OUTPUT.checkpoint, when the same command is given again.
    """
    _check_mapping(output, overwrite or dry_run)
    sides = _split_of_file(split)
    settings = ft.fitting.fit_settings(recipe, seed=seed, **{"starts": starts, **opt.parse_changes(changes)})
    machine = ft.machine.Machine.choose(device, precision, memory)
    store, measured = ft.TokenStore.open(tokens), ft.load_subject(data, subject=subject, progress=not quiet)
    donors = [ft.Mapping.load(folder) for folder in start or []]
    sides = sides or _split_by_name(split, store, measured, data, seed, progress=not quiet)
    if measured.voxels.assumption is not None and not quiet:
        typer.echo(f"Assumed: {measured.voxels.assumption}")
    if dry_run:
        cost = ft.workflow.settings_cost(store, measured, settings, sides, machine, bootstrap=bootstrap)
        print_cost(f"Fit of {store.network} to {measured.name}: nothing was written", cost)
        return
    options: dict[str, Any] = {"split": sides, "machine": machine, "bootstrap": bootstrap, "progress": not quiet}
    options |= {"start": donors, "overwrite": True}
    mapping = ft.workflow.fit_to_folder(store, measured, output, settings, **options)
    if not quiet:
        if donors:
            took = mapping.provenance["start"]["voxels"].items()
            typer.echo(f"Voxels by how they select: {', '.join(f'{count:,} {name}' for name, count in took)}.")
        print_scores(mapping)
        typer.echo(f"Mapping: {output}")


def print_scores(mapping: "ft.Mapping") -> None:
    """Print the key numbers of a mapping with limits, the fit beside a ridge by ROI, and what follows in words."""
    note = f"R² is raw. {ft.reporting.limits_note(mapping)} {ft.reporting.selectors_note(mapping)}"
    rows = ft.reporting.headline(mapping).items()
    print_table("Held-out scores", rows, note=note, simulated=mapping.simulated)
    beside = ft.reporting.yardstick_rows(mapping)
    if len(beside) > 1:
        texts = [list(row.values()) for row in beside]
        print_table("Beside a plain ridge", texts, list(beside[0]), names=True, simulated=mapping.simulated)
    for line in ft.analysis.findings(mapping):
        typer.echo(line)


def _check_mapping(output: Path, overwrite: bool) -> None:
    opt.check_whole(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / "provenance.json").is_file() or not (output / "dataset.zarr").is_dir():
        raise DataError(f"{output} exists and is no mapping; choose another folder")
    if not overwrite:
        raise DataError(f"{output} holds a mapping already; choose another folder or give --overwrite")


def baselines(
    tokens: opt.TokenFolder,
    data: Annotated[Path, Argument(metavar="SUBJECT", help="Folder of a subject, as for [bold]fit[/bold].")],
    output: Annotated[Path, Argument(help="Folder of the table, the figure and what was fitted.")],
    *,
    which: Annotated[
        str | None, Option(metavar="NAME,NAME", help="Methods, parted by commas. [dim]\\[default: all][/dim]")
    ] = None,
    untrained: Annotated[
        Path | None,
        Option(
            "--untrained-tokens",
            metavar="STORE",
            help="Tokens that extract --untrained wrote; without them, they are made if the subject's "
            "photographs are known, else the untrained network is left out.",
        ),
    ] = None,
    features: Annotated[
        int, Option(min=1, help="Components of each layer and kind of token that linear baselines start from.")
    ] = 64,
    subject: opt.SubjectNumber = None,
    seed: opt.Seed = 0,
    split: SplitName = None,
    changes: opt.Changes = None,
    device: opt.Device = None,
    precision: opt.Precision = None,
    as_json: opt.Json = False,
    dry_run: opt.DryRun = False,
    quiet: opt.Quiet = False,
) -> None:
    """Fit baselines, ablations and controls with the same tokens, split and scoring; write table and figure.

    A run that was stopped goes on after the last method that was done.
    """
    opt.check_output(output)
    names, sides = opt.split_names(which), _split_of_file(split)
    arguments: dict[str, Any] = {
        "which": names,
        "features": features,
        "seed": seed,
        "device": device,
        "precision": precision,
        **opt.parse_changes(changes),
    }
    store, measured = ft.TokenStore.open(tokens), ft.load_subject(data, subject=subject, progress=not quiet)
    random = opt.open_store(untrained)
    arguments["split"] = sides or _split_by_name(split, store, measured, data, seed, progress=not quiet)
    if dry_run:
        cost = ft.estimate_baselines(store, measured, untrained=random, **arguments)
        print_cost(f"Baselines of {store.network} on {measured.name}: nothing was written", cost)
        return
    if random is None and (names is None or "untrained-network" in names):
        folder = output / "untrained-tokens"
        random = ft.baselines.extract_untrained(store, measured.images, folder, progress=not quiet)
    scores = ft.run_baselines(store, measured, output, untrained=random, progress=not quiet, **arguments)
    ft.plot.save(ft.plot.baselines(scores), output / "baselines")
    if as_json:
        typer.echo(json.dumps(scores.to_dict()))
    elif not quiet:
        _print_baselines(scores)
        typer.echo(f"Table and figure: {output / 'baselines'}.csv, .json, .png, .svg")


def _print_baselines(scores: "ft.baselines.BaselineScores") -> None:
    """Print the mean R^2 of each method by ROI, and its difference from FactorTopy over all voxels."""
    table, rois, estimate = scores.table(), scores.rois, ft.analysis.Estimate
    rows = []
    for method in scores.methods:
        own = {row["roi"]: row for row in table[table["method"] == method].to_dict("records")}
        difference = estimate.in_row(own[rois[-1]], "difference").text(sign=True)
        rows.append([own[rois[-1]]["label"], *(estimate(own[roi]["r2"]).text() for roi in rois), difference])
    ceilings = table.drop_duplicates("roi")["ceiling"]
    if ceilings.notna().any():
        rows.append(["noise ceiling", *(estimate(ceiling).text() for ceiling in ceilings), ""])
    columns = ["method", *rois, "all voxels, less FactorTopy"]
    note = ft.mapping.facts_line(scores.dataset, scores.dataset.attrs["score"])
    print_table("R² on test images", rows, columns, note=note, names=True, simulated=scores.simulated)
    for name, told in scores.dataset.attrs["penalties_at_edge"].items():
        if told:
            typer.echo(f"{name}: {told}")
    worse = scores.worse_than_the_mean()
    if worse:
        typer.echo(f"Worse than predicting the training mean: {', '.join(worse)}.")
