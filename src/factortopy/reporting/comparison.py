"""A comparison as a folder: figures as PNG and SVG, tables as CSV and JSON, and the ranking page."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas

from factortopy.analysis import (
    SIMILARITIES,
    Comparison,
    HeldOut,
    difference,
    image_set_table,
    line_table,
    paired_winners,
    part_name,
    partition_variance,
    records_of,
    region_table,
    similarity,
    table_of,
    winners,
)
from factortopy.errors import DataError, FactortopyError
from factortopy.plot import (
    Palette,
    difference_map,
    lines,
    partition,
    save,
    similarity_matrices,
    unique_maps,
    winner_map,
)
from factortopy.plot import ranking as ranking_chart
from factortopy.progress import progress_bar
from factortopy.reporting.ranking import Results, ranking
from factortopy.storage import write_table, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIFFERENCES = ("r2", "depth", "scale")
Drawings = dict[str, tuple[str, "Callable[[], Figure]"]]


def find_results(comparison: Comparison, held_out: HeldOut | None = None, *, progress: bool = True) -> Results:
    """All tables of a comparison.

    Args:
        comparison: what is compared.
        held_out: predictions, where tokens are at hand: limits of margins are then paired, and the variance of
            two or three mappings is partitioned.
        progress: whether to show progress bars.
    """
    won = winners(comparison) if held_out is None else paired_winners(comparison, held_out)
    parts = None
    if held_out is not None and len(comparison.labels) <= 3:
        parts = partition_variance(held_out, comparison.labels, comparison.regions, progress=progress)
    likeness = []
    for name in SIMILARITIES:
        try:
            likeness.append(similarity(comparison.mappings, name, comparison.labels))
        except FactortopyError:
            continue
    return Results(region_table(comparison, won), line_table(comparison), won, likeness, parts)


def write_comparison(
    comparison: Comparison,
    results: Results,
    folder: str | os.PathLike[str],
    *,
    quantities: Sequence[str] = DIFFERENCES,
    palette: Palette = "default",
    progress: bool = True,
) -> dict[str, Any]:
    """Write figures, tables and ``ranking.html`` to a folder.

    Args:
        comparison: what is compared.
        results: from :func:`find_results`.
        folder: where to write; made if it is not there.
        quantities: whose differences from the first mapping are painted and tabled.
        palette: ``"default"`` or ``"colour-blind"``.
        progress: whether to show a progress bar.

    Returns:
        What ``comparison.json`` holds.

    Raises:
        UnknownNameError: if there is no such quantity.
        DataError: if something cannot be written.
    """
    folder = Path(folder)
    tables = _tables(comparison, results, quantities)
    content = _facts(comparison, results) | {name: records_of(table) for name, table in tables.items()}
    for name, table in tables.items():
        if len(table):
            write_table(folder / f"{name}.csv", table)
    write_table(folder / "voxels.csv", _voxel_table(comparison, results))
    write_text(folder / "comparison.json", json.dumps(content, indent=1) + "\n")
    drawn = {}
    planned = _figures(comparison, results, quantities, palette)
    with progress_bar("Figures", len(planned), show=progress) as advance:
        for name, (caption, draw) in planned.items():
            advance()
            try:
                drawn[caption] = draw()
            except DataError:
                # Voxels that lie on no surface cannot be painted; their charts can be drawn.
                continue
            save(drawn[caption], folder / name)
    ranking(comparison, results, folder / "ranking.html", drawn)
    return content


def _facts(comparison: Comparison, results: Results) -> dict[str, Any]:
    names = ("subject", "split", "images_test", "surface", "recipe", "seed")
    parts = results.partition
    subsets = () if parts is None else zip(parts.subsets, parts.agreement, strict=True)
    return {
        "mappings": list(comparison.labels),
        "simulated": comparison.simulated,
        **{name: comparison.dataset.attrs[name] for name in names if name in comparison.dataset.attrs},
        "limits_of_margins": results.winners.basis,
        "halves_agree": {part_name(comparison.labels, subset): agreement for subset, agreement in subsets},
    }


def _tables(comparison: Comparison, results: Results, quantities: Sequence[str]) -> dict[str, pandas.DataFrame]:
    first, *others = comparison.labels
    differences = [
        {"quantity": name, "one": other, "other": first, "roi": roi, "value": mean, "over": mean.over or "none"}
        for name, other in product(quantities, others)
        for roi, mean in difference(comparison, name, other, first).regions.items()
    ]
    similarities = [
        {
            "quantity": pairs.quantity,
            "one": pairs.labels[row],
            "other": pairs.labels[column],
            "correlation": float(pairs.correlation[row, column]),
            "voxels": int(pairs.voxels[row, column]),
        }
        for pairs in results.similarities
        for row in range(len(pairs.labels))
        for column in range(row)
    ]
    return {
        "regions": results.regions,
        "image_sets": image_set_table(comparison.mappings, comparison.labels),
        "hierarchy": results.lines,
        "differences": table_of(differences),
        "similarity": table_of(similarities),
        "variance": pandas.DataFrame() if results.partition is None else results.partition.table,
    }


def _voxel_table(comparison: Comparison, results: Results) -> pandas.DataFrame:
    """Every voxel: where it lies, who predicts it best and by how much, and R^2 of each mapping."""
    won, first = results.winners, comparison.mappings[0].dataset
    margins = {"margin": won.margin} | ({} if won.low is None else {"margin_low": won.low})
    scores = dict(zip((f"r2 {label}" for label in comparison.labels), comparison.values("r2"), strict=True))
    return pandas.DataFrame(
        {
            **{name: first[name].values for name in ("hemisphere", "vertex") if name in first.coords},
            "best": [comparison.labels[index] if index >= 0 else None for index in won.best],
            **{name: values.round(6) for name, values in (margins | scores).items()},
        }
    )


def _figures(comparison: Comparison, results: Results, quantities: Sequence[str], palette: Palette) -> Drawings:
    """Figures by file name, with captions; drawn when called, as each takes seconds."""
    first, *others = comparison.labels
    planned: Drawings = {
        "ranking": (
            "Mean R² by region; dashes are the noise ceiling.",
            partial(ranking_chart, comparison, results.regions, palette=palette),
        ),
        "ranking-normalised": (
            "Mean R² over mean noise ceiling by region.",
            partial(ranking_chart, comparison, results.regions, normalised=True, palette=palette),
        ),
        "hierarchy": ("Hierarchy lines.", partial(lines, comparison, results.lines, palette=palette)),
        "winners": (
            "Which network predicts best where.",
            partial(winner_map, comparison, results.winners, palette=palette),
        ),
        "similarity": (
            "How alike whole mappings are.",
            partial(similarity_matrices, comparison, results.similarities, palette=palette),
        ),
    }
    if results.partition is not None:
        parts = (comparison, results.partition)
        planned["variance"] = ("Shared and unique variance.", partial(partition, *parts, palette=palette))
        planned["unique"] = ("Where a network alone predicts.", partial(unique_maps, *parts, palette=palette))
    for quantity, (number, other) in product(quantities, enumerate(others, start=2)):
        less = difference(comparison, quantity, other, first)
        planned[f"difference-{quantity}-{number}-1"] = (
            f"Difference of {quantity}: {other} less {first}.",
            partial(difference_map, comparison, less, palette=palette),
        )
    return planned
