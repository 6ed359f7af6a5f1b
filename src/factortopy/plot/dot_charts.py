"""Charts of dots with limits: ranking, hierarchy lines, shared variance, baselines, what changed."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any

import pandas
from matplotlib.figure import Figure

from factortopy.analysis import Change, Comparison, Estimate, Partition, limits_over
from factortopy.baselines import METHODS, REFERENCE, BaselineScores
from factortopy.errors import DataError
from factortopy.plot.colours import Palette, class_colours
from factortopy.plot.dots import Dot, DotPanel, Look, dot_chart
from factortopy.plot.style import INK, LINE_COLOUR, MUTED, network_names

CEILING = Look(INK, "", "noise ceiling", style="--", width=0.9)
ZERO = Look(MUTED, "", width=0.6)
BEFORE = "#8b939c"
FAMILIES = {
    "linear baseline": Look("#0072b2", "s", "linear baseline"),
    "FactorTopy": Look("#d55e00", "D", "FactorTopy"),
    "ablation": Look("#009e73", "o", "ablation"),
    "control": Look("#767676", "^", "control"),
}


def _limits(table: pandas.DataFrame) -> str:
    """What the limits of a table are over, in any of its rows."""
    over = [name for name in table["limits"].unique() if name != "none"]
    return f"95 % over {' or '.join(over)}" if over else "no limits"


def ranking(
    comparison: Comparison, regions: pandas.DataFrame, *, normalised: bool = False, palette: Palette = "default"
) -> Figure:
    """Mean R^2 of each network in each ROI, a panel an ROI, with limits and the noise ceiling.

    Args:
        comparison: what is compared.
        regions: from :func:`factortopy.analysis.region_table`.
        normalised: show mean R^2 over mean ceiling instead.

    Raises:
        DataError: if normalised values are wanted and there is no ceiling.
    """
    if normalised and regions["normalised"].isna().all():
        raise DataError("these mappings have no noise ceiling, so their R² stays raw")
    name = "R² over noise ceiling" if normalised else "raw R²"
    quantity = "normalised" if normalised else "r2"
    panels = _panels(regions, "roi", quantity, name, palette, comparison.labels, ceiling=not normalised)
    return dot_chart(
        comparison, f"Ranking of networks: {name}", panels, comparison.labels,
        source=f"{name}, {_limits(regions)}",
    )  # fmt: skip


def lines(comparison: Comparison, table: pandas.DataFrame, *, palette: Palette = "default") -> Figure:
    """Slope, b0 and b1 of the hierarchy line of each network by layer share, with limits.

    Args:
        comparison: what is compared.
        table: from :func:`factortopy.analysis.line_table`.

    Raises:
        DataError: if the ROIs allow no line.
    """
    if table.empty:
        raise DataError("these mappings have no hierarchy line: their ROIs lack V1, V2V3, OPA or EBA")
    panels = _panels(table, "quantity", "value", "layer position", palette, comparison.labels)
    return dot_chart(
        comparison, "Hierarchy line of each network, by layer share", panels, comparison.labels,
        source=f"layer share, {_limits(table)}",
    )  # fmt: skip


def partition(comparison: Comparison, parts: Partition, *, palette: Palette = "default") -> Figure:
    """Shared and unique variance in each ROI, with limits; small marks are halves of the test images."""
    labels = []
    for subset in parts.subsets:
        names = ", ".join(str(network + 1) for network in subset)
        labels.append(f"unique to {names}" if len(subset) == 1 else f"shared by {names}")
    key = ", ".join(f"{number}: {label}" for number, label in enumerate(parts.labels, start=1))
    panels = _panels(parts.table, "roi", "value", "R²", palette, list(parts.table["part"].unique()))
    return dot_chart(
        comparison, "Shared and unique variance", panels,
        [*labels, "all together"],
        source=f"{key} · weights from validation images, R² of test images, 95 %, ticks: halves",
    )  # fmt: skip


def baselines(scores: BaselineScores) -> Figure:
    """Mean R^2 of each method in each ROI, a panel a ROI; dashes are the noise ceiling, a line is FactorTopy."""
    table, panels = scores.table(), []
    for _, rows in table.groupby("roi", sort=False):
        records = rows.to_dict("records")
        dots = [Dot(line, Estimate.in_row(row, "r2"), FAMILIES[row["family"]]) for line, row in enumerate(records)]
        guides = {"zero": (0.0, ZERO), "ceiling": (records[0]["ceiling"], CEILING)}
        for row in records:
            if row["method"] == REFERENCE:
                guides["reference"] = (row["r2"], Look(FAMILIES[row["family"]].colour, "", width=0.5))
        panels.append(DotPanel(_title(records[0]), dots, "R²", guides))
    # Limits that hold all intervals and ceilings; what is worse than -0.1 is left out of the picture.
    values = table[["r2", "r2_low", "r2_high", "ceiling"]]
    low, high = max(-0.1, min(0.0, float(values.min().min()))), float(values.max().max())
    margin = 0.05 * (high - low)
    ceiling = [CEILING] if table["ceiling"].notna().any() else []
    return dot_chart(
        scores, "Baselines and ablations", panels, [METHODS[name].label for name in scores.methods],
        source=f"raw R², mean over voxels · 95 % of {scores.dataset.attrs['resamples']} draws of images",
        alt="Dots with intervals, one for each method in each ROI.", limits=(low - margin, high + margin),
        key=[*FAMILIES.values(), *ceiling],
    )  # fmt: skip


def change_bars(change: Change, *, palette: Palette = "default") -> Figure:
    """R^2 before and after, forgetting index and change of depth in each ROI, with limits."""
    rows = change.regions.to_dict("records")
    line = ", ".join(
        f"{row['quantity']} {row['before']:.2f} → {row['after']:.2f}"
        for row in change.lines.to_dict("records")
        if row["source"] == "share"
    )
    overall = f"{change.forgetting.value:.2f}" if change.forgetting.known else "none"
    before, after = Look(BEFORE, "s"), Look(LINE_COLOUR[palette])
    scores = [Dot(index - 0.13, Estimate(row["r2_before"]), before) for index, row in enumerate(rows)]
    scores += [Dot(index + 0.13, Estimate(row["r2_after"]), after) for index, row in enumerate(rows)]
    lost, moved = (
        [Dot(index, Estimate.in_row(row, name), after) for index, row in enumerate(rows)]
        for name in ("forgetting", "depth_change")
    )
    zero, missing = {"zero": (0.0, ZERO)}, " not predicted before"
    names = network_names(change.mappings)
    return dot_chart(
        change.comparison, "What changed by ROI",
        [
            DotPanel("raw R²: ■ before, ● after", scores, "R²", zero),
            DotPanel("forgetting index", lost, "1 − R² after / R² before", zero, missing),
            DotPanel("change of layer position", moved, "after − before", zero, missing),
        ],
        [_title(row) for row in rows], source="layer share, means over voxels, bars: 95 % over "
        f"{limits_over(change.mappings[0], 'depth')}, of R² over test images",
        alt=f"Dots with limits by ROI; forgetting index over all voxels: {overall}; {line}.",
        note=f"before: {names[0]}; after: {names[1]}" + (f"\nhierarchy line: {line}" if line else ""),
    )  # fmt: skip


def _panels(
    table: pandas.DataFrame,
    by: str,
    quantity: str,
    axis: str,
    palette: Palette,
    names: Sequence[str],
    *,
    ceiling: bool = False,
) -> list[DotPanel]:
    """A panel for each value of a column; names, of the table's first column, have each a line and a colour."""
    panels, colours = [], class_colours(len(names), palette)
    for name, rows in table.groupby(by, sort=False):
        records, dots = rows.to_dict("records"), []
        for row in records:
            line = names.index(row[table.columns[0]])
            halves = (row["half_one"], row["half_two"]) if "half_one" in row else ()
            dots.append(Dot(line, Estimate.in_row(row, quantity), Look(colours[line]), halves))
        guides = {"ceiling": (records[0]["ceiling"], CEILING)} if ceiling else None
        panels.append(DotPanel(_title(records[0]) if by == "roi" else str(name), dots, axis, guides))
    return panels


def _title(row: MappingType[Any, Any]) -> str:
    return f"{row['roi']} ({row['voxels']:,})"
