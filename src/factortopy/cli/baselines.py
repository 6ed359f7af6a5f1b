"""``factortopy baselines``: FactorTopy beside simpler models, ablations and controls, at equal budget."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factortopy.cli.fit import parse_changes
from factortopy.cli.options import Device, DryRun, Json, Precision, Quiet, check_place
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    from factortopy.baselines import Comparison


def baselines(
    tokens: Annotated[Path, typer.Argument(help="Folder that [bold]extract[/bold] wrote.")],
    subject: Annotated[Path, typer.Argument(help="Folder of a subject, as for [bold]fit[/bold].")],
    output: Annotated[Path, typer.Argument(help="Folder of the table, the figure and what was fitted.")],
    *,
    which: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="Methods, parted by commas. [dim]\\[default: all][/dim]"),
    ] = None,
    untrained: Annotated[
        Path | None,
        typer.Option(
            "--untrained-tokens",
            metavar="STORE",
            help="Tokens that extract --untrained wrote; without them, they are made if the subject's "
            "photographs are known, else the untrained network is left out.",
        ),
    ] = None,
    features: Annotated[
        int, typer.Option(min=2, help="Numbers an image that each linear baseline uses.")
    ] = 768,
    number: Annotated[
        int | None, typer.Option("--subject", min=1, help="Which one, where SUBJECT holds several.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split, the start and the order of images.")] = 0,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Image ids of train, validation, test.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of FactorTopy other than the recipe's."),
    ] = None,
    device: Device = None,
    precision: Precision = None,
    as_json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Fit baselines, ablations and controls with the same tokens, split and scoring; write table and figure.

    A run that was stopped goes on after the last method that was done.
    """
    check_place(output)
    from factortopy.baselines import run_baselines
    from factortopy.baselines.run import check_methods
    from factortopy.baselines.variants import extract_untrained
    from factortopy.brain import read_split
    from factortopy.brain.datasets.recognise import open_subject
    from factortopy.fitting import Machine, fit_settings
    from factortopy.plot import baselines as draw
    from factortopy.plot import save
    from factortopy.tokens import TokenStore

    settings = fit_settings(seed=seed, **parse_changes(changes or []))
    machine = Machine.choose(device, precision)
    names = None if which is None else [name.strip() for name in which.split(",")]
    sides = None if split is None else read_split(str(split))
    store, person = TokenStore.open(tokens), open_subject(subject, subject=number, progress=not quiet)
    random = None if untrained is None else TokenStore.open(untrained)
    if dry_run:
        from factortopy.cli.estimate_baselines import estimate_baselines

        rows = estimate_baselines(
            store, person, check_methods(names, store, random), settings, sides, features, machine
        )
        print_table(f"Baselines of {store.network} on {person.name}: nothing was written", ("", ""), rows)
        return
    if random is None and (names is None or "untrained-network" in names):
        random = extract_untrained(store, person.images, output / "untrained-tokens", progress=not quiet)
    comparison = run_baselines(
        store,
        person,
        output,
        which=names,
        settings=settings,
        split=sides,
        features=features,
        untrained=random,
        machine=machine,
        progress=not quiet,
    )
    save(draw(comparison), output / "baselines")
    if as_json:
        typer.echo(json.dumps(comparison.to_dict()))
    elif not quiet:
        print_comparison(comparison)
        typer.echo(f"Table and figure: {output / 'baselines'}.csv, .json, .png, .svg")


def print_comparison(comparison: "Comparison") -> None:
    """Print the mean R^2 of each method in each ROI, and its difference from FactorTopy over all voxels."""
    rows, rois = comparison.rows(), comparison.rois
    table = []
    for method in comparison.methods:
        own = {row.roi: row for row in rows if row.method == method}
        last = own[rois[-1]]
        difference = "–"
        if last.difference is not None:
            difference = f"{last.difference:+.3f} [{last.difference_low:+.3f}, {last.difference_high:+.3f}]"
        table.append([last.label, *(_text(own[roi].r2) for roi in rois), difference])
    ceilings = [next(row.ceiling for row in rows if row.roi == roi) for roi in rois]
    if any(ceiling is not None for ceiling in ceilings):
        table.append(["noise ceiling", *(_text(ceiling) for ceiling in ceilings), ""])
    title = "R² on test images" + (", SIMULATED responses" if comparison.simulated else "")
    facts = comparison.dataset.attrs
    print_table(
        title,
        ["method", *rois, "all voxels, less FactorTopy"],
        table,
        note=f"{facts['score']}; {facts['images_train']} training, {facts['images_validation']} validation, "
        f"{facts['images_test']} test images; recipe {facts['recipe']}, seed {facts['seed']}.",
        names=True,
    )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
