"""``factortopy channels cluster``: voxels clustered by the channels they select (figure 8)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from factortopy.cli.options import Json, MappingFolder, Palette, Quiet, Seed, check_place
from factortopy.cli.tables import Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping

STARTS = 3
"""Starts of k-means whose clusters are compared."""
COLUMNS = {
    "cluster": "cluster",
    "voxels": "voxels",
    "similarity": "cosine within",
    "depth": "depth",
    "r2": "R²",
    "rois": "mostly in",
}


def cluster(
    mapping: MappingFolder,
    output: Annotated[Path, typer.Argument(help="Folder of the clusters, their table and figure.")],
    *,
    count: Annotated[int, typer.Option(min=2, help="Clusters.")] = 20,
    way: Annotated[
        Literal["paper", "gauge-free"],
        typer.Option(help="Channels as trained, or by what they predict, which no gauge changes."),
    ] = "paper",
    tokens: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="Tokens of images over which predictions are compared, for gauge-free. "
            "[dim]\\[default: the mapping's test images][/dim]",
        ),
    ] = None,
    seed: Seed = 0,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cluster voxels by their channels; write each voxel's cluster, a table of the clusters and a figure."""
    check_place(output)
    from factortopy.analysis import channels_of, cluster_agreement, cluster_channels, cluster_facts, gauge_tokens
    from factortopy.mapping import Mapping
    from factortopy.progress import progress_bar
    from factortopy.reporting import write_clusters
    from factortopy.tokens import TokenStore

    if tokens is not None and way == "paper":
        raise DataError("--tokens is for --way gauge-free: the paper's way compares no images")
    loaded = Mapping.load(mapping)
    images = None if tokens is None else gauge_tokens(TokenStore.open(tokens), loaded)
    channels = channels_of(loaded, way, images)
    starts = []
    with progress_bar("Clusters", STARTS, show=not quiet) as advance:
        for start in range(seed, seed + STARTS):
            starts.append(cluster_channels(channels, count, way, seed=start))
            advance()
    facts = cluster_facts(loaded, starts[0]) | {"seed": seed, "agreement_of_starts": cluster_agreement(starts)}
    if not write_clusters(loaded, starts[0], facts, output, palette):
        typer.echo("no figure: the voxels lie on no standard surface", err=True)
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print(facts, loaded)
        typer.echo(f"Clusters: {output}")


def _print(facts: dict[str, Any], mapping: "Mapping") -> None:
    from factortopy.mapping import facts_line

    rows = []
    for row in facts["clusters"]:
        rois = {name.removeprefix("in_"): share for name, share in row.items() if name.startswith("in_")}
        largest = sorted(rois.items(), key=lambda item: -item[1])[:3]
        rows.append(row | {"rois": ", ".join(f"{name} {share:.0%}" for name, share in largest if share >= 0.005)})
    spread = ", ".join(f"{name} {value:.1f}" for name, value in facts["effective_clusters"].items())
    Rows(
        f"{facts['count']} clusters of channels" + (", SIMULATED responses" if facts["simulated"] else ""),
        rows,
        COLUMNS,
        f"way: {facts['way']}; {STARTS} starts agree by {facts['agreement_of_starts']:.2f} (adjusted "
        f"Rand index, 1 at best); effective clusters by ROI: {spread or 'no ROIs'}\n"
        f"{facts_line(mapping.dataset, 'channel selectors; depth by layer share')}",
        dict.fromkeys(("similarity", "depth", "r2"), ".2f"),
    ).print()
