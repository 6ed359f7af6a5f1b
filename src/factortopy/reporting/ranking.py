"""One HTML page that ranks networks: scores with limits, paired differences, hierarchy lines, figures."""

import os
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas

from factortopy.analysis import (
    SIMILARITIES,
    Comparison,
    Partition,
    Similarity,
    Winners,
    estimate,
    image_set_table,
    part_name,
    text_in_row,
)
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError
from factortopy.mapping import facts_line
from factortopy.reporting.pages import Row, inlined, render, text
from factortopy.storage import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 130


@dataclass(frozen=True)
class Results:
    """What a comparison found, as the page and the tables on disk take it.

    Attributes:
        regions: each mapping in each ROI (:func:`factortopy.analysis.region_table`).
        lines: hierarchy lines (:func:`factortopy.analysis.line_table`); empty where the ROIs allow none.
        winners: who predicts each voxel best.
        similarities: likeness of whole mappings.
        partition: shared and unique variance, where predictions were at hand.
    """

    regions: pandas.DataFrame
    lines: pandas.DataFrame
    winners: Winners
    similarities: Sequence[Similarity] = field(default_factory=tuple)
    partition: Partition | None = None


def ranking(
    comparison: Comparison,
    results: Results,
    path: str | os.PathLike[str],
    figures: "MappingType[str, Figure] | None" = None,
) -> Path:
    """Write one self-contained page with figures by caption, and return its path."""
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; give the path of the HTML file", path=path)
    page = render(
        "ranking.html.j2",
        title=f"{len(comparison.labels)} mappings compared",
        subject=str(comparison.dataset.attrs.get("subject", "a subject")),
        first=comparison.labels[0],
        simulated=comparison.simulated,
        basis=results.winners.basis,
        limits=limits_of(comparison),
        facts=facts_line(comparison.dataset, "raw R²"),
        tables=_tables(results) | _set_tables(comparison),
        figures=[inlined(figure, DPI, caption) for caption, figure in (figures or {}).items()],
    )
    return write_text(path, page)


def limits_of(comparison: Comparison) -> str:
    """What limits of a comparison's numbers are over, or why there are none, in words."""
    scores, depth = (
        [estimate(mapping, quantity).over for mapping in comparison.mappings] for quantity in ("r2", "depth")
    )
    if not any(scores):
        reasons = (mapping.dataset.attrs.get("no_limits") for mapping in comparison.mappings)
        return str(next(filter(None, reasons), "no limits: the mappings were fitted without a bootstrap"))
    words = f"95 % limits over {_either(scores)}"
    if any(depth) and _either(depth) != _either(scores):
        words += f", those of depth and of the hierarchy line over {_either(depth)}"
    lacking = [label for label, over in zip(comparison.labels, scores, strict=True) if not over]
    return words + (f" (none of {', '.join(lacking)})" if lacking else "")


def _either(over: Sequence[str]) -> str:
    return " or ".join(filter(None, dict.fromkeys(over)))


def ranked(regions: pandas.DataFrame, roi: str) -> list[dict[str, Any]]:
    """Rows of an ROI, the largest R^2 first; mappings without one last."""
    rows = regions[regions["roi"] == roi].sort_values("r2", ascending=False, kind="stable", na_position="last")
    return list(rows.to_dict("records"))


def _tables(results: Results) -> dict[str, list[Row]]:
    rois = [roi for roi in results.regions["roi"].unique() if roi != ALL_VOXELS]
    tables = {"Ranking over all voxels": _region_rows(results.regions, ALL_VOXELS)}
    if len(results.lines):
        tables["Hierarchy line, by layer share"] = _line_rows(results.lines)
    tables |= {f"Ranking in {roi}": _region_rows(results.regions, roi) for roi in rois}
    for pairs in results.similarities:
        tables[f"Correlation of {SIMILARITIES[pairs.quantity]} over voxels"] = _similarity_rows(pairs)
    if results.partition is not None:
        tables["Shared and unique variance"] = _part_rows(results.partition.table)
        tables["Agreement of halves of the test images"] = [
            {"Part": part_name(results.partition.labels, subset), "Correlation over voxels": text(value)}
            for subset, value in zip(results.partition.subsets, results.partition.agreement, strict=True)
        ]
    return tables


def _set_tables(comparison: Comparison) -> dict[str, list[Row]]:
    """Scores on other sets of images beside the held-out ones, where mappings hold some."""
    shown = {"mapping": "Network", "roi": "ROI", "images": "Images", "r2": "R²", "r": "r", "share": "r² / ceiling"}
    table = image_set_table(comparison.mappings, comparison.labels)
    rows = [{heading: text_in_row(row, name) for name, heading in shown.items()} for row in table.to_dict("records")]
    return {"By set of images, never mixed": rows} if rows else {}


def _region_rows(regions: pandas.DataFrame, roi: str) -> list[Row]:
    return [
        {
            "Network": row["mapping"],
            "Voxels": text_in_row(row, "voxels"),
            "R²": text_in_row(row, "r2"),
            "Ceiling": text_in_row(row, "ceiling"),
            "R² / ceiling": text_in_row(row, "normalised"),
            "R² less the first": text_in_row(row, "difference", "+.3f"),
            "Depth (share)": text_in_row(row, "depth"),
            "Voxels won": text_in_row(row, "won", ".0%"),
            "won clearly": text_in_row(row, "won_clearly", ".0%"),
        }
        for row in ranked(regions, roi)
    ]


def _line_rows(lines: pandas.DataFrame) -> list[Row]:
    rows: dict[str, Row] = {}
    for line in lines.to_dict("records"):
        row = rows.setdefault(line["mapping"], {"Network": line["mapping"]})
        row[line["quantity"]] = text_in_row(line, "value")
        row[f"{line['quantity']} less the first"] = text_in_row(line, "difference", "+.3f")
    return list(rows.values())


def _similarity_rows(pairs: Similarity) -> list[Row]:
    return [
        {
            "Network": label,
            **{
                other: f"{text(pairs.correlation[row, column])} ({pairs.voxels[row, column]:,})"
                for column, other in enumerate(pairs.labels)
            },
        }
        for row, label in enumerate(pairs.labels)
    ]


def _part_rows(parts: pandas.DataFrame) -> list[Row]:
    rows: dict[str, Row] = {}
    for part in parts.to_dict("records"):
        row = rows.setdefault(part["part"], {"Part": part["part"]})
        row[part["roi"]] = text_in_row(part, "value", "+.3f")
        if part["roi"] == ALL_VOXELS:
            row["Halves, all voxels"] = f"{part['half_one']:+.3f}, {part['half_two']:+.3f}"
    return list(rows.values())
