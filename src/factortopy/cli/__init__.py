"""The command line: files by what the user does; a stage loads only once a command uses its names."""

import sys
from collections.abc import Callable

import typer

import factortopy as ft
from factortopy.cli import brain, channels, compare, data, figures, finetune, fit, plan, score, start, sweep, weights
from factortopy.cli.shared.failures import Commands, failure_line, print_readably

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    help="Map pre-trained vision networks onto the human brain.",
    epilog="Start with: factortopy demo",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Start": (start.demo, start.networks, plan.plan, start.doctor),
    "Data": (data.check, data.convert, data.extract),
    "Fit": (fit.fit, fit.baselines, finetune.finetune, sweep.sweep),
    "Use": (brain.predict, brain.rank, brain.card),
    "Results": (score.score, compare.compare, figures.plot, figures.report, figures.paper),
}
"""The commands by what the user is doing, as --help shows them."""
WEIGHTS = "Read the weights that the paper's authors released as a mapping; write a mapping's weights or maps."
GROUPS: dict[tuple[str, str, str], dict[str, Callable[..., None]]] = {
    ("weights", "Fit", WEIGHTS): {"import": weights.import_file, "export": weights.export_file},
    ("channels", "Results", "Show which channels voxels select."): {
        "cluster": channels.cluster,
        "images": channels.images,
    },
}
"""Commands that have commands of their own, by name, panel and what they are about."""

for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for (name, panel, about), members in GROUPS.items():
    group = typer.Typer(no_args_is_help=True)
    group.callback(help=about)(lambda: None)
    for word, member in members.items():
        group.command(word)(member)
    app.add_typer(group, name=name, rich_help_panel=panel)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(ft.provenance.package_versions(("factortopy",)).get("factortopy", "development"))
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Map pre-trained vision networks onto the human brain."""


def main() -> None:
    """Run the command line; the entry point of ``factortopy``.

    Bad input and Ctrl-C end in one line on standard error and exit code 2; a fault of the program
    keeps its traceback.
    """
    print_readably()
    try:
        app(prog_name="factortopy")
    except BaseException as error:
        # What comes before or after a command runs, such as Ctrl-C while it is looked up.
        line = failure_line(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        sys.exit(2)
