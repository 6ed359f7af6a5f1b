"""``factortopy baselines``: FactorTopy beside simpler models, ablations and controls, at equal budget."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import (
    Changes,
    Device,
    DryRun,
    Json,
    Precision,
    Quiet,
    Seed,
    SplitFile,
    SubjectNumber,
    TokenFolder,
    check_place,
    parse_changes,
    split_names,
)
from factortopy.cli.tables import print_cost, print_table

if TYPE_CHECKING:
    from factortopy.baselines import BaselineScores

Data = Annotated[Path, typer.Argument(metavar="SUBJECT", help="Folder of a subject, as for [bold]fit[/bold].")]
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


def baselines(
    tokens: TokenFolder,
    data: Data,
    output: Output,
    *,
    which: Which = None,
    untrained: UntrainedTokens = None,
    features: Count = 768,
    subject: SubjectNumber = None,
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
    from factortopy.baselines import estimate_baselines, extract_untrained, run_baselines
    from factortopy.datasets import load_subject
    from factortopy.images import read_split
    from factortopy.tokens import TokenStore

    names = split_names(which)
    arguments: dict[str, Any] = {
        "which": names,
        "split": None if split is None else read_split(str(split)),
        "features": features,
        "seed": seed,
        "device": device,
        "precision": precision,
        **parse_changes(changes),
    }
    store, person = TokenStore.open(tokens), load_subject(data, subject=subject, progress=not quiet)
    random = None if untrained is None else TokenStore.open(untrained)
    if dry_run:
        cost = estimate_baselines(store, person, untrained=random, **arguments)
        print_cost(f"Baselines of {store.network} on {person.name}", cost)
        return
    if random is None and (names is None or "untrained-network" in names):
        random = extract_untrained(store, person.images, output / "untrained-tokens", progress=not quiet)
    comparison = run_baselines(store, person, output, untrained=random, progress=not quiet, **arguments)
    _show(comparison, output, as_json, quiet)


def _show(comparison: "BaselineScores", output: Path, as_json: bool, quiet: bool) -> None:
    """Draw the figure; print JSON, or the table."""
    from factortopy.plot import baselines as draw
    from factortopy.plot import save

    save(draw(comparison), output / "baselines")
    if as_json:
        typer.echo(json.dumps(comparison.to_dict()))
    elif not quiet:
        print_comparison(comparison)
        typer.echo(f"Table and figure: {output / 'baselines'}.csv, .json, .png, .svg")


def print_comparison(comparison: "BaselineScores") -> None:
    """Print the mean R^2 of each method by ROI, and its difference from FactorTopy over all voxels."""
    from factortopy.analysis import Estimate
    from factortopy.mapping import facts_line

    rows, rois = comparison.table(), comparison.rois
    table = []
    for method in comparison.methods:
        own = {row["roi"]: row for row in rows[rows["method"] == method].to_dict("records")}
        difference = Estimate.in_row(own[rois[-1]], "difference").text(sign=True)
        table.append([own[rois[-1]]["label"], *(Estimate(own[roi]["r2"]).text() for roi in rois), difference])
    ceilings = rows.drop_duplicates("roi")["ceiling"]
    if ceilings.notna().any():
        table.append(["noise ceiling", *(Estimate(ceiling).text() for ceiling in ceilings), ""])
    title = "R² on test images" + (", SIMULATED responses" if comparison.simulated else "")
    print_table(
        title,
        ["method", *rois, "all voxels, less FactorTopy"],
        table,
        note=facts_line(comparison.dataset, comparison.dataset.attrs["score"]),
        names=True,
    )
