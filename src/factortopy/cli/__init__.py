"""The command line: one file a command; stages load only in the command that needs them."""

import sys
from collections.abc import Callable

import typer

from factortopy.cli.data.check import check
from factortopy.cli.data.convert import convert
from factortopy.cli.data.extract import extract
from factortopy.cli.failures import Commands, failure_line
from factortopy.cli.fits.baselines import baselines
from factortopy.cli.fits.finetune import finetune
from factortopy.cli.fits.fit import fit
from factortopy.cli.fits.weights import export_file, import_file
from factortopy.cli.results.channel_clusters import cluster
from factortopy.cli.results.channel_images import images
from factortopy.cli.results.compare import compare
from factortopy.cli.results.paper import paper
from factortopy.cli.results.plot import plot
from factortopy.cli.results.report import report
from factortopy.cli.results.score import score
from factortopy.cli.start.demo import demo
from factortopy.cli.start.doctor import doctor
from factortopy.cli.start.networks import networks
from factortopy.cli.start.plan import plan

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
    "Start": (demo, networks, plan, doctor),
    "Data": (check, convert, extract),
    "Fit": (fit, baselines, finetune),
    "Results": (score, compare, plot, report, paper),
}
"""The commands by what the user is doing, as --help shows them."""


def _add_group(name: str, about: str, panel: str, commands: dict[str, Callable[..., None]]) -> None:
    """Add a command that has commands of its own."""
    group = typer.Typer(no_args_is_help=True)
    group.callback(help=about)(lambda: None)
    for word, command in commands.items():
        group.command(word)(command)
    app.add_typer(group, name=name, rich_help_panel=panel)


for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
_add_group(
    "weights",
    "Read the weights that the paper's authors released as a mapping, or write a mapping's under their names.",
    "Fit",
    {"import": import_file, "export": export_file},
)
_add_group("channels", "Show which channels voxels select.", "Results", {"cluster": cluster, "images": images})


def _print_version(asked: bool) -> None:
    if asked:
        from factortopy.provenance import package_versions

        typer.echo(package_versions(("factortopy",)).get("factortopy", "development"))
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Map pre-trained vision networks onto the human brain."""


def main() -> None:
    """Run the command line; the entry point of ``factortopy``.

    Bad input and Ctrl-C end in one line on standard error and exit code 2; a fault of the program
    keeps its traceback.
    """
    try:
        app(prog_name="factortopy")
    except BaseException as error:
        # What comes before or after a command runs, such as Ctrl-C while it is looked up.
        line = failure_line(error)
        if line is None:
            raise
        print(line, file=sys.stderr)
        sys.exit(2)
