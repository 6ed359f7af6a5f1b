"""``factortopy clusters``: voxels clustered by the channels they select (figure 8)."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from factortopy.cli.options import Json, Palette, PaletteName, Quiet, check_place
from factortopy.cli.tables import print_table

if TYPE_CHECKING:
    from factortopy.analysis import ChannelClusters
    from factortopy.mapping import Mapping

STARTS = 3
"""Starts of k-means whose clusters are compared."""


def clusters(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] wrote.")],
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
    seed: Annotated[int, typer.Option(min=0, help="Of the start of k-means.")] = 0,
    palette: Palette = "default",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cluster voxels by their channels; write each voxel's cluster, a table of the clusters and a figure."""
    check_place(output)
    from factortopy.analysis import channels_of, cluster_channels, cluster_facts
    from factortopy.cli.results.gauge_tokens import gauge_tokens
    from factortopy.errors import DataError
    from factortopy.mapping import Mapping
    from factortopy.progress import progress_bar

    if tokens is not None and way == "paper":
        raise DataError("--tokens is for --way gauge-free: the paper's way compares no images")
    loaded = Mapping.load(mapping)
    channels = channels_of(loaded, way, None if tokens is None else gauge_tokens(tokens, loaded)())
    found: list[ChannelClusters] = []
    with progress_bar("Clusters", STARTS, show=not quiet) as advance:
        for start in range(seed, seed + STARTS):
            found.append(cluster_channels(channels, count, way, seed=start))
            advance()
    facts = cluster_facts(loaded, found[0]) | {"seed": seed, "agreement_of_starts": _agreement(found)}
    _write(loaded, found[0], facts, output, palette)
    if as_json:
        typer.echo(json.dumps(facts))
    elif not quiet:
        _print(facts, loaded)
        typer.echo(f"Clusters: {output}")


def _agreement(found: "list[ChannelClusters]") -> float:
    """Mean adjusted Rand index of the clusters kept with those of other starts: 1 the same, 0 by chance."""
    from sklearn.metrics import adjusted_rand_score

    others = [adjusted_rand_score(found[0].labels, other.labels) for other in found[1:]]
    return float(sum(others) / len(others))


def _write(
    mapping: "Mapping", found: "ChannelClusters", facts: dict[str, Any], output: Path, palette: PaletteName
) -> None:
    """Facts, table, voxels, and the figure where the voxels lie on a surface that can be painted."""
    from factortopy.cortex import VERTICES
    from factortopy.plot import clusters as draw
    from factortopy.plot import save
    from factortopy.storage import write_text

    write_text(output / "clusters.json", json.dumps(facts, indent=2))
    write_text(output / "table.csv", _table(facts))
    write_text(output / "voxels.csv", _voxels(mapping, found))
    if mapping.dataset.attrs.get("surface") in VERTICES:
        save(draw(mapping, found, palette=palette), output / "clusters")
    else:
        typer.echo("no figure: the voxels lie on no standard surface", err=True)


def _table(facts: dict[str, Any]) -> str:
    import pandas

    rows = [{**row, **{f"in_{name}": share for name, share in row["rois"].items()}} for row in facts["clusters"]]
    return pandas.DataFrame(rows).drop(columns="rois").to_csv(index=False)


def _voxels(mapping: "Mapping", found: "ChannelClusters") -> str:
    import pandas

    data = mapping.dataset
    places = {name: data[name].values for name in ("hemisphere", "vertex") if name in data}
    return pandas.DataFrame({**places, "cluster": found.labels}).to_csv(index=False)


def _print(facts: dict[str, Any], mapping: "Mapping") -> None:
    from factortopy.mapping import facts_line

    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    rows = []
    for row in facts["clusters"]:
        largest = sorted(row["rois"].items(), key=lambda item: -item[1])[:3]
        inside = ", ".join(f"{name} {share:.0%}" for name, share in largest if share >= 0.005)
        rows.append(
            [str(row["cluster"]), f"{row['voxels']:,}", text(row["similarity"]), text(row["depth"]),
             text(row["r2"]), inside]
        )  # fmt: skip
    spread = ", ".join(f"{name} {value:.1f}" for name, value in facts["effective_clusters"].items())
    title = f"{facts['count']} clusters of channels" + (", SIMULATED responses" if facts["simulated"] else "")
    print_table(
        title,
        ["cluster", "voxels", "cosine within", "depth", "R²", "mostly in"],
        rows,
        note=f"way: {facts['way']}; {STARTS} starts agree by {facts['agreement_of_starts']:.2f} (adjusted "
        f"Rand index, 1 at best); effective clusters by ROI: {spread or 'no ROIs'}\n"
        f"{facts_line(mapping.dataset, 'channel selectors; depth by layer share')}",
    )
