"""``factortopy check``: what a folder of data holds and what is wrong with it, without reading it whole."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factortopy.cli.options import Json
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    from factortopy.datasets import Count, Report

TITLES = {
    "algonauts": "Algonauts 2023",
    "nsd": "Natural Scenes Dataset",
    "things": "THINGS-fMRI",
    "bold5000": "BOLD5000",
    "arrays": "Own arrays",
    "betas": "Converted betas",
    "tokens": "Tokens of a network",
}
STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def check(
    path: Annotated[Path, typer.Argument(help="Folder of a data set, of a subject, or of tokens.")],
    as_json: Json = False,
) -> None:
    """Recognise a data set, count what is there, and name each fault with its remedy.

    Heads, sizes and a few sampled blocks are read, so that it takes seconds.
    A problem ends it with exit code 2.
    """
    from factortopy.datasets import check_path

    report = check_path(path)
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
    else:
        _print(report)
    if report.problems:
        raise typer.Exit(2)


def _print(report: "Report") -> None:
    title = f"{TITLES.get(report.kind, report.kind)}: {report.root}"
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
        place = str(file.relative_to(report.root)) if file.is_relative_to(report.root) else str(file)
        lines = [(f"{place}\n", "bold")] if place != "." else []
        lines.append((finding.message, ""))
        if finding.fix:
            lines.append((f"; {finding.fix}", "cyan"))
        findings.add_row(Text(finding.level, style=STYLES[finding.level]), Text.assemble(*lines, overflow="fold"))
    console = Console()
    console.print(findings)
    console.print(_summary(report))


def _cell(count: "Count") -> str:
    found = "?" if count.found is None else f"{count.found:,}"
    return found if count.published in (None, count.found) else f"{found} of {count.published:,}"


def _summary(report: "Report") -> Text:
    notes = sum(finding.level == "note" for finding in report.findings)
    if not report.problems:
        return Text(f"No problem, {notes} note{'s' * (notes != 1)}.", style="bold green")
    word = "problem" if report.problems == 1 else "problems"
    return Text(f"{report.problems} {word}; data with a problem cannot be fitted.", style="bold red")
