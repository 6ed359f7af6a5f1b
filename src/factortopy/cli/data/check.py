"""``factortopy check``: what a folder of data or tokens holds, and what is wrong with it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factortopy.cli.options import Json, Quiet
from factortopy.cli.tables import Rows, print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.datasets import Count, Report
    from factortopy.tokens import TokenNorms

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def check(
    path: Annotated[Path, typer.Argument(help="Folder of a data set, of a subject, or of tokens.")],
    norms: Annotated[
        bool, typer.Option("--norms", help="Of tokens: also read them all, for their norms and outliers by layer.")
    ] = False,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --norms: maps of them are drawn here (PNG and SVG).")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recognise a data set, count what is there, and name each fault with its remedy.

    Heads, sizes and a few sampled blocks are read, so that it takes seconds.
    A problem ends it with exit code 2. Some networks keep something of the whole image in a few tokens of
    extreme norm, which --norms shows; extract --mask-outliers replaces them.
    """
    if draw is not None and not norms:
        raise DataError("--draw is for maps of norms; give --norms as well")
    from factortopy.datasets import check_path
    from factortopy.tokens import TokenStore, token_norms

    report = check_path(path)
    facts, measured = report.as_dict(), None
    if norms and not report.problems:
        measured = token_norms(TokenStore.open(path), progress=not quiet)
        facts["norms"] = _norm_facts(measured)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print(report)
        if measured is not None:
            _print_norms(facts["norms"])
    if measured is not None and draw is not None:
        from factortopy import plot

        plot.save(plot.token_norms(measured), draw)
    if report.problems:
        raise typer.Exit(2)


def _norm_facts(norms: "TokenNorms") -> dict[str, Any]:
    layers = [
        {
            "layer": layer,
            "median_norm": float(norms.median[index]),
            "largest_norm": float(norms.largest[index].max()),
            "outlier_share": float(norms.outliers[index].mean()),
        }
        for index, layer in enumerate(norms.layers)
    ]
    return {"network": norms.network, "images": norms.images, "layers": layers}


def _print_norms(facts: dict[str, Any]) -> None:
    from factortopy.tokens import OUTLIER_RATIO

    Rows(
        f"Tokens of {facts['images']:,} images in {facts['network']}",
        facts["layers"],
        {"layer": "layer", "median_norm": "median norm", "largest_norm": "largest norm", "outlier_share": "outliers"},
        f"Outliers have more than {OUTLIER_RATIO:g} times the median norm of their map.",
        {"median_norm": ".4g", "largest_norm": ".4g", "outlier_share": ".2%"},
    ).print()


def _print(report: "Report") -> None:
    title = f"{report.title}: {report.root}"
    if report.counts:
        subjects = list(dict.fromkeys(count.subject for count in report.counts))
        columns = list(dict.fromkeys(count.what for count in report.counts))
        cells = {(count.subject, count.what): _cell(count) for count in report.counts}
        rows = [(subject, *(cells.get((subject, what), "") for what in columns)) for subject in subjects]
        print_table(title, ("subject", *columns), rows)
    else:
        Console().print(Text(title, style="bold"))
    findings = Table.grid(padding=(0, 2))
    for finding in report.findings:
        file = finding.file
        name = str(file.relative_to(report.root)) if file.is_relative_to(report.root) else str(file)
        lines = [(f"{name}\n", "bold")] if name != "." else []
        lines.append((finding.message, ""))
        if finding.fix:
            lines.append((f"; {finding.fix}", "cyan"))
        findings.add_row(Text(finding.level, style=STYLES[finding.level]), Text.assemble(*lines, overflow="fold"))
    console = Console()
    console.print(findings)
    console.print(_summary(report))


def _cell(count: "Count") -> str:
    number = "?" if count.found is None else f"{count.found:,}"
    return number if count.published in (None, count.found) else f"{number} of {count.published:,}"


def _summary(report: "Report") -> Text:
    notes = sum(finding.level == "note" for finding in report.findings)
    if not report.problems:
        return Text(f"No problem, {notes} note{'s' * (notes != 1)}.", style="bold green")
    word = "problem" if report.problems == 1 else "problems"
    return Text(f"{report.problems} {word}; data with a problem cannot be fitted.", style="bold red")
