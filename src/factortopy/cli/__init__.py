"""The command line: one file a command; stages load only in the command that needs them."""

import sys

import typer

from factortopy.cli.data.check import check
from factortopy.cli.data.convert import convert
from factortopy.cli.data.extract import extract
from factortopy.cli.data.tokens import tokens
from factortopy.cli.failures import Commands, failure_line
from factortopy.cli.fits.baselines import baselines
from factortopy.cli.fits.export_weights import export_weights
from factortopy.cli.fits.finetune import finetune
from factortopy.cli.fits.fit import fit
from factortopy.cli.fits.import_weights import import_weights
from factortopy.cli.results.change import change
from factortopy.cli.results.channel_images import channel_images
from factortopy.cli.results.clusters import clusters
from factortopy.cli.results.compare import compare
from factortopy.cli.results.hierarchy import hierarchy
from factortopy.cli.results.nulls import nulls
from factortopy.cli.results.paper import paper
from factortopy.cli.results.plot import plot
from factortopy.cli.results.report import report
from factortopy.cli.results.score import score
from factortopy.cli.results.summarise import summarise
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
for command in (
    demo,
    networks,
    plan,
    check,
    convert,
    extract,
    tokens,
    fit,
    baselines,
    paper,
    plot,
    score,
    summarise,
    nulls,
    clusters,
    channel_images,
    hierarchy,
    finetune,
    change,
    compare,
    report,
    import_weights,
    export_weights,
    doctor,
):
    app.command()(command)


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
