"""``factortopy fit``: tokens and a subject in, a mapping out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from factortopy.cli.options import (
    Changes,
    Device,
    DryRun,
    Precision,
    Quiet,
    Seed,
    SubjectNumber,
    TokenFolder,
    check_place,
    parse_changes,
)
from factortopy.cli.tables import print_cost, print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping

CLUSTER = "cluster"
"""What ``--split`` says for whole clusters of images."""


def fit(
    tokens: TokenFolder,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="SUBJECT",
            help="Folder of own arrays (responses.npy, coordinates.npy, image_ids.txt, or subject.toml), "
            "Algonauts 2023, NSD, THINGS-fMRI or BOLD5000.",
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Folder of the mapping.")],
    *,
    subject: SubjectNumber = None,
    recipe: Annotated[
        Literal["default", "paper"], typer.Option(help="Well-conditioned, or exactly the authors'.")
    ] = "default",
    seed: Seed = 0,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.json|cluster",
            help="Image ids of train, validation, test; or 8:1:1 by whole clusters of similar images. "
            "Default: 8:1:1 by image.",
        ),
    ] = None,
    changes: Changes = None,
    device: Device = None,
    precision: Precision = None,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="GB",
            help="That tokens may take; beyond, they are read from disk. [dim]\\[default: half of what is free][/dim]",
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, metavar="N", help="Draws of test images for limits; 0 for none.")
    ] = 1_000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the mapping at OUTPUT.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train FactorTopy on a subject, score it on held-out images, write the mapping.

    A fit that was stopped goes on where it was, from OUTPUT.checkpoint, when the same command is given again.
    """
    _check_output(output, overwrite or dry_run)
    named = parse_changes(changes)
    from factortopy.datasets import load_subject
    from factortopy.fitting import fit_settings
    from factortopy.images import read_split
    from factortopy.machine import Machine
    from factortopy.tokens import TokenStore, split_clusters
    from factortopy.workflow import fit_to_folder, settings_cost

    sides = None if split in (None, CLUSTER) else read_split(str(split))
    settings = fit_settings(recipe, seed=seed, **named)
    machine = Machine.choose(device, precision, memory)
    store, person = TokenStore.open(tokens), load_subject(data, subject=subject, progress=not quiet)
    if split == CLUSTER:
        sides = split_clusters(store, person.distinct_image_ids, seed=seed, progress=not quiet)
    if dry_run:
        cost = settings_cost(store, person, settings, sides, machine)
        print_cost(f"Fit of {store.network} to {person.name}", cost)
        return
    mapping = fit_to_folder(
        store,
        person,
        output,
        settings,
        split=sides,
        machine=machine,
        bootstrap=bootstrap,
        overwrite=True,
        progress=not quiet,
    )
    if not quiet:
        print_scores(mapping)
        typer.echo(f"Mapping: {output}")


def print_scores(mapping: "Mapping") -> None:
    """Print the key numbers of a mapping with limits: score, ceiling, slopes where its ROIs allow them."""
    from factortopy.reporting import headline

    title = "Held-out scores, SIMULATED responses" if mapping.simulated else "Held-out scores"
    print_table(
        title,
        ("", ""),
        list(headline(mapping).items()),
        note="R² is raw. In brackets: 95 % limits over test images. Trust the slope by share: it does not "
        "depend on how features are scaled.",
    )


def _check_output(output: Path, overwrite: bool) -> None:
    check_place(output)
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / "provenance.json").is_file() or not (output / "dataset.zarr").is_dir():
        raise DataError(f"{output} exists and is no mapping; choose another folder")
    if not overwrite:
        raise DataError(f"{output} holds a mapping already; choose another folder or give --overwrite")
