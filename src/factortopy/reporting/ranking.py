"""One HTML page that ranks networks: scores with limits, paired differences, hierarchy lines, figures."""

import base64
import os
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.analysis import ALL, SIMILARITIES, Comparison, LineRow, Partition, RegionRow, Similarity, Winners
from factortopy.errors import DataError
from factortopy.mapping import facts_line
from factortopy.plot import alt_text, to_png
from factortopy.provenance import package_versions
from factortopy.reporting.tables import text, with_limits
from factortopy.storage import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, str]
DPI = 130


@dataclass(frozen=True)
class Results:
    """What a comparison found, as the page and the tables on disk take it.

    Attributes:
        regions: each mapping in each ROI.
        lines: hierarchy lines; empty where the ROIs allow none.
        winners: who predicts each voxel best.
        similarities: likeness of whole mappings.
        partition: shared and unique variance, where predictions were at hand.
    """

    regions: Sequence[RegionRow]
    lines: Sequence[LineRow]
    winners: Winners
    similarities: Sequence[Similarity] = field(default_factory=tuple)
    partition: Partition | None = None


def ranking(
    comparison: Comparison,
    results: Results,
    path: str | os.PathLike[str],
    figures: "MappingType[str, Figure] | None" = None,
) -> Path:
    """Write one self-contained page: it needs no network and no other file.

    Args:
        comparison: what is compared.
        results: what was found.
        path: the HTML file.
        figures: figures by caption.

    Returns:
        The path of the file.

    Raises:
        DataError: if the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; give the path of the HTML file", path=path)
    environment = Environment(
        loader=PackageLoader("factortopy.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("ranking.html.j2").render(
        title=f"{len(comparison.labels)} mappings compared",
        subject=str(comparison.dataset.attrs.get("subject", "a subject")),
        first=comparison.labels[0],
        simulated=comparison.simulated,
        basis=results.winners.basis,
        over=results.regions[0].limits,
        facts=facts_line(comparison.dataset, "raw R²"),
        tables=_tables(results),
        figures=[_inline(caption, figure) for caption, figure in (figures or {}).items()],
        version=package_versions(("factortopy",)).get("factortopy", "development"),
    )
    return write_text(path, page)


def ranked(rows: Sequence[RegionRow], roi: str) -> list[RegionRow]:
    """Rows of an ROI, the largest R^2 first; mappings without one last."""
    here = [row for row in rows if row.roi == roi]
    return sorted(here, key=lambda row: -np.inf if row.r2 is None else row.r2, reverse=True)


def _tables(results: Results) -> dict[str, list[Row]]:
    rois = list(dict.fromkeys(row.roi for row in results.regions))
    tables = {"Ranking over all voxels": _region_table(ranked(results.regions, ALL))}
    if results.lines:
        tables["Hierarchy line, by layer share"] = _line_table(results.lines)
    tables |= {f"Ranking in {roi}": _region_table(ranked(results.regions, roi)) for roi in rois if roi != ALL}
    for found in results.similarities:
        tables[f"Correlation of {SIMILARITIES[found.quantity]} over voxels"] = _similarity_table(found)
    if results.partition is not None:
        tables["Shared and unique variance"] = _part_table(results.partition)
        tables["Agreement of halves of the test images"] = _agreement_table(results.partition)
    return tables


def _region_table(rows: Sequence[RegionRow]) -> list[Row]:
    return [
        {
            "Network": row.mapping,
            "Voxels": text(row.voxels),
            "R²": with_limits(row.r2, row.r2_low, row.r2_high),
            "Ceiling": text(row.ceiling),
            "R² / ceiling": with_limits(row.normalised, row.normalised_low, row.normalised_high),
            "R² less the first": with_limits(row.difference, row.difference_low, row.difference_high, sign=True),
            "Depth (share)": with_limits(row.depth, row.depth_low, row.depth_high),
            "Voxels won": _percent(row.won),
            "won clearly": _percent(row.won_clearly),
        }
        for row in rows
    ]


def _line_table(rows: Sequence[LineRow]) -> list[Row]:
    lines: dict[str, Row] = {}
    for row in rows:
        line = lines.setdefault(row.mapping, {"Network": row.mapping})
        line[row.quantity] = with_limits(row.value, row.low, row.high)
        line[f"{row.quantity} less the first"] = with_limits(
            row.difference, row.difference_low, row.difference_high, sign=True
        )
    return list(lines.values())


def _similarity_table(found: Similarity) -> list[Row]:
    return [
        {
            "Network": label,
            **{
                other: f"{text(found.correlation[row, column])} ({found.voxels[row, column]:,})"
                for column, other in enumerate(found.labels)
            },
        }
        for row, label in enumerate(found.labels)
    ]


def _part_table(found: Partition) -> list[Row]:
    rows: list[Row] = []
    for part in dict.fromkeys(row.part for row in found.rows):
        own = [row for row in found.rows if row.part == part]
        rows.append(
            {
                "Part": part,
                **{row.roi: with_limits(row.value, row.low, row.high, sign=True) for row in own},
                "Halves, all voxels": f"{own[-1].half_one:+.3f}, {own[-1].half_two:+.3f}",
            }
        )
    return rows


def _agreement_table(found: Partition) -> list[Row]:
    names = dict.fromkeys(row.part for row in found.rows)
    return [
        {"Part": name, "Correlation over voxels": text(value)}
        for name, value in zip(names, found.agreement, strict=False)
    ]


def _inline(caption: str, figure: "Figure") -> dict[str, Any]:
    data = base64.b64encode(to_png(figure, DPI)).decode()
    return {"caption": caption, "alt": alt_text(figure), "source": f"data:image/png;base64,{data}"}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
