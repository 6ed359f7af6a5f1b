"""Figure 4 and table 1: brain scores of the networks, the max model, and the distance of each to it."""

import numpy as np

from factortopy.mapping import Mapping
from factortopy.paper.item import Item, Result
from factortopy.paper.items.chart import numbers_chart
from factortopy.paper.items.panels import Panel, map_grid
from factortopy.paper.measures import distance_to_max, max_model, roi_mean
from factortopy.paper.members import Member, members_of
from factortopy.paper.numbers import Row, beside, paper_table
from factortopy.paper.study import Job, Study

DISTANCE = (
    "the networks' numbers are sqrt(mean over the ROI's voxels of (max - R^2)^2); the paper says root sum "
    "squared difference, but its values only fit a mean",
    "max: mean over the ROI's voxels of the largest R^2 of the networks here; with other networks it differs",
)


def jobs(study: Study) -> list[Job]:
    """All networks of table 1, the first subject."""
    return [Job(member) for member in _members(study)]


def make_maps(study: Study) -> Result:
    """Figure 4: a map of raw R^2 for the max model and every network."""
    mappings = study.fits(_members(study))
    first = next(iter(mappings.values()))
    shown = {"max": first, **{member.label: mapping for member, mapping in mappings.items()}}
    scores = {label: mapping.dataset["r2"].values for label, mapping in shown.items()}
    scores["max"] = max_model(list(mappings.values()))
    panels = [
        Panel(f"{label}\nmean {np.nanmean(values):.3f}", shown[label], values, "score")
        for label, values in scores.items()
    ]
    figure = map_grid(
        "Brain score: raw R² on shown-out images",
        panels,
        source="R² of each vertex",
        palette=study.plan.palette,
    )
    rows = [
        {"label": label, "all voxels": float(np.nanmean(values)), **_by_roi(values, first)}
        for label, values in scores.items()
    ]
    return Result({"figure4": figure}, {"figure4": rows}, ("mean raw R^2 of each ROI",))


def make_table(study: Study) -> Result:
    """Table 1: the max model's R^2 by ROI and how far each network stays below it."""
    mappings = study.fits(_members(study))
    rows = table1_rows(mappings)
    figure = numbers_chart(
        "Table 1: R² of the max model, and distance of each network to it", rows,
        {name: name for name in paper_table("table1").quantities}, list(mappings.values()),
        source="first row: R²; others: root mean squared difference", columns=3,
    )  # fmt: skip
    return Result({"table1": figure}, {"table1": rows}, DISTANCE)


def table1_rows(mappings: dict[Member, Mapping]) -> list[Row]:
    """Lines of table 1 with the paper's beside them.

    Args:
        mappings: of one subject by network.
    """
    table = paper_table("table1")
    first = next(iter(mappings.values()))
    best = max_model(list(mappings.values()))
    rows = [{"label": "max", "network": "", **beside(_by_roi(best, first), table.row(""))}]
    for member, mapping in mappings.items():
        own = mapping.dataset["r2"].values
        distances = {
            roi: distance_to_max(best, own, mapping.rois[roi]) if roi in mapping.rois else None
            for roi in table.quantities
        }
        paper = table.row(member.stands_for) if member.stands_for else None
        printed = {"paper_network": "" if paper is None else paper.label}
        rows.append({"label": member.label, "network": member.network, **printed, **beside(distances, paper)})
    return rows


def _by_roi(values: np.ndarray, mapping: Mapping) -> dict[str, float | None]:
    return {roi: roi_mean(values, mapping, roi) for roi in paper_table("table1").quantities}


def _members(study: Study) -> tuple[Member, ...]:
    return members_of("table1", study.plan.simulated, study.plan.networks)


FIGURE4 = Item("figure4", "maps of brain score of the networks and of the max model", jobs, make_maps)
TABLE1 = Item("table1", "R² of the max model by ROI, distance of each network to it", jobs, make_table)
