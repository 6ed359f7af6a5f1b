"""``factortopy demo``: the whole way once, on a simulated subject."""

import json
from pathlib import Path
from typing import Annotated

import typer

from factortopy.cli.options import Json, Palette, Quiet, Seed, check_place, readable_seconds
from factortopy.cli.tables import print_table


def demo(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")] = Path("demo-run"),
    network: Annotated[
        str, typer.Option(help="Any network that [bold]networks[/bold] lists, or timm/NAME.")
    ] = "clip-b16-openai",
    seed: Seed = 0,
    images: Annotated[int, typer.Option(help="Views cut from the sample photographs.")] = 720,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Photographs, a real network and the real cortex; the responses are SIMULATED."""
    check_place(output / "report.html")
    from factortopy.demo import run_demo

    result = run_demo(output, network=network, seed=seed, images=images, palette=palette, progress=not quiet)
    if not quiet:
        print_table(f"{network} mapped onto a SIMULATED subject", ("", "found", "planted or limit"), result.rows())
        stages = [(stage, readable_seconds(seconds)) for stage, seconds in result.times.items()]
        total = ("in all", readable_seconds(sum(result.times.values())))
        print_table("Where the time went", ("stage", "time"), [*stages, total])
        typer.echo(f"Report (SIMULATED responses): {result.report}")
    if as_json:
        typer.echo(json.dumps(result.as_dict()))
