"""``factortopy baselines``: FactorTopy beside simpler models, ablations and controls, at equal budget."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.fits.fit import parse_changes
from factortopy.cli.options import Device, DryRun, Json, Precision, Quiet, check_place
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    from factortopy.baselines import Comparison
    from factortopy.subjects import Subject
    from factortopy.tokens import TokenStore

Tokens = Annotated[Path, typer.Argument(help="Folder that [bold]extract[/bold] wrote.")]
Person = Annotated[Path, typer.Argument(help="Folder of a subject, as for [bold]fit[/bold].")]
Output = Annotated[Path, typer.Argument(help="Folder of the table, the figure and what was fitted.")]
Which = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME", help="Methods, parted by commas. [dim]\\[default: all][/dim]"),
]
UntrainedTokens = Annotated[
    Path | None,
    typer.Option(
        "--untrained-tokens",
        metavar="STORE",
        help="Tokens that extract --untrained wrote; without them, they are made if the subject's "
        "photographs are known, else the untrained network is left out.",
    ),
]
Count = Annotated[int, typer.Option(min=2, help="Numbers an image that each linear baseline uses.")]
Number = Annotated[int | None, typer.Option("--subject", min=1, help="Which one, where SUBJECT holds several.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the split, the start and the order of images.")]
SplitFile = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Image ids of train, validation, test.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of FactorTopy other than the recipe's."),
]


def baselines(
    tokens: Tokens,
    subject: Person,
    output: Output,
    *,
    which: Which = None,
    untrained: UntrainedTokens = None,
    features: Count = 768,
    number: Number = None,
    seed: Seed = 0,
    split: SplitFile = None,
    changes: Changes = None,
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
    from factortopy.baselines import extract_untrained, run_baselines
    from factortopy.datasets import open_subject
    from factortopy.fitting import fit_settings
    from factortopy.images import read_split
    from factortopy.machine import Machine
    from factortopy.tokens import TokenStore

    settings = fit_settings(seed=seed, **parse_changes(changes or []))
    names = None if which is None else [name.strip() for name in which.split(",")]
    shared: dict[str, Any] = {
        "settings": settings,
        "split": None if split is None else read_split(str(split)),
        "features": features,
        "machine": Machine.choose(device, precision),
    }
    store, person = TokenStore.open(tokens), open_subject(subject, subject=number, progress=not quiet)
    random = None if untrained is None else TokenStore.open(untrained)
    if dry_run:
        _print_estimate(store, person, names, random, shared)
        return
    if random is None and (names is None or "untrained-network" in names):
        random = extract_untrained(store, person.images, output / "untrained-tokens", progress=not quiet)
    comparison = run_baselines(store, person, output, which=names, untrained=random, progress=not quiet, **shared)
    _show(comparison, output, as_json, quiet)


def _print_estimate(
    store: "TokenStore",
    person: "Subject",
    names: list[str] | None,
    random: "TokenStore | None",
    shared: dict[str, Any],
) -> None:
    from factortopy.baselines import check_methods
    from factortopy.cli.estimate_baselines import estimate_baselines

    rows = estimate_baselines(store, person, check_methods(names, store, random), **shared)
    print_table(f"Baselines of {store.network} on {person.name}: nothing was written", ("", ""), rows)


def _show(comparison: "Comparison", output: Path, as_json: bool, quiet: bool) -> None:
    """Draw the figure; print JSON, or the table."""
    from factortopy.plot import baselines as draw
    from factortopy.plot import save

    save(draw(comparison), output / "baselines")
    if as_json:
        typer.echo(json.dumps(comparison.to_dict()))
    elif not quiet:
        print_comparison(comparison)
        typer.echo(f"Table and figure: {output / 'baselines'}.csv, .json, .png, .svg")


def print_comparison(comparison: "Comparison") -> None:
    """Print the mean R^2 of each method by ROI, and its difference from FactorTopy over all voxels."""
    from factortopy.mapping import facts_line

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
    print_table(
        title,
        ["method", *rois, "all voxels, less FactorTopy"],
        table,
        note=facts_line(comparison.dataset, comparison.dataset.attrs["score"]),
        names=True,
    )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
