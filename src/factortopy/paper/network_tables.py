"""All networks: brain scores (figure 4, table 1), layer maps and hierarchy lines (figure 5, table 2)."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence

import numpy as np

from factortopy.analysis import hierarchy_slope, over_fits, record_of, subject_average
from factortopy.errors import FactortopyError, UnavailableError
from factortopy.mapping import Mapping
from factortopy.paper.item import Item, Result
from factortopy.paper.members import Member, base_members, members_of
from factortopy.paper.numbers import (
    LINE,
    Row,
    beside,
    distance_to_max,
    hierarchy_row,
    limits_text,
    max_model,
    paper_table,
    roi_mean,
    selector_source,
)
from factortopy.paper.pictures import Panel, layer_panels, map_grid, numbers_chart
from factortopy.paper.study import Job, Study

DISTANCE = (
    "the networks' numbers are sqrt(mean over the ROI's voxels of (max - R^2)^2); the paper says root sum "
    "squared difference, but its values only fit a mean",
    "max: mean over the ROI's voxels of the largest R^2 of the networks here; with other networks it differs",
)
NOTES = (
    "slope, b0 and b1 are the paper's: of the layer selectors; share_... are of the layer shares, which do "
    "not depend on how features are scaled; trust these",
    "limits, 95 %: those of R^2 are over what the column limits says, those of shares over what share_limits says; "
    "selectors are the same for all test images, so theirs are over subjects, in the table of subjects",
    "the paper does not say of which subject table 2 is; ours is of the first",
)
QUANTITIES = {"r2": "R²", "slope": "slope (selector)", "b0": "b0 (selector)", "b1": "b1 (selector)"}
SHARES = {f"share_{name}": f"{name} (share)" for name in LINE}


def score_jobs(study: Study) -> list[Job]:
    """All networks of table 1, the first subject."""
    return [Job(member) for member in _members(study, "table1")]


def make_scores(study: Study) -> Result:
    """Figure 4: a map of raw R^2 for the max model and every network."""
    mappings = study.fits(_members(study, "table1"))
    first = next(iter(mappings.values()))
    scores = {"max": max_model(list(mappings.values()))}
    scores |= {member.label: mapping.dataset["r2"].values for member, mapping in mappings.items()}
    panels = [
        Panel(f"{label}\nmean {np.nanmean(values):.3f}", mapping, values, "score")
        for (label, values), mapping in zip(scores.items(), [first, *mappings.values()], strict=True)
    ]
    figure = map_grid(
        "Brain score: raw R² on held-out images", panels, source="R² of each vertex", palette=study.plan.palette
    )
    rows = [
        {"label": label, "all voxels": float(np.nanmean(values)), **_by_roi(values, first)}
        for label, values in scores.items()
    ]
    return Result({"figure4": figure}, {"figure4": rows}, ("mean raw R^2 of each ROI",))


def make_table1(study: Study) -> Result:
    """Table 1: the max model's R^2 by ROI and how far each network stays below it."""
    mappings = study.fits(_members(study, "table1"))
    rows = table1_rows(mappings)
    figure = numbers_chart(
        "Table 1: R² of the max model, and distance of each network to it", rows,
        {name: name for name in paper_table("table1").quantities}, list(mappings.values()),
        source="first row: R²; others: root mean squared difference", columns=3,
    )  # fmt: skip
    return Result({"table1": figure}, {"table1": rows}, DISTANCE)


def table1_rows(mappings: MappingType[Member, Mapping]) -> list[Row]:
    """Lines of table 1 with the paper's beside them, from mappings of one subject by network."""
    table, best = paper_table("table1"), max_model(list(mappings.values()))
    by_roi = _by_roi(best, next(iter(mappings.values())))
    rows = [{"label": "max", "network": "", **beside(by_roi, table.row(""))}]
    for member, mapping in mappings.items():
        scores, rois = mapping.dataset["r2"].values, mapping.rois
        distances = {roi: distance_to_max(best, scores, rois[roi]) if roi in rois else None for roi in table.quantities}
        rows.append(_compared("table1", member, distances))
    return rows


def layer_jobs(study: Study) -> list[Job]:
    """Sizes for the first subject, the base sizes for all."""
    others = range(1, study.subjects)
    sizes = [Job(member) for member in _members(study, "table2")]
    return [*sizes, *(Job(member, index) for index in others for member in _bases(study))]


def make_layers(study: Study) -> Result:
    """Figure 5: the subject average, the sizes for the first subject, the base sizes for the others."""
    sizes, by_network = study.fits(_members(study, "table2")), _by_subject(study)
    averages = {member: subject_average(mappings) for member, mappings in by_network.items() if len(mappings) > 1}
    titles: dict[str, tuple[str, dict[Member, Mapping]]] = {}
    if averages:
        titles["figure5"] = "Layer selectors, subject average", averages
    titles["figure5_sizes" if averages else "figure5"] = "Layer selectors by size, first subject", sizes
    for index in range(1, study.subjects):
        here = {member: mappings[index] for member, mappings in by_network.items() if len(mappings) > index}
        subject = next(iter(here.values())).dataset.attrs["subject"]
        titles[f"figure5_subject{index + 1}"] = f"Layer selectors, {subject}", here
    palette = study.plan.palette
    figures = {
        name: map_grid(title, layer_panels(mappings), source="layer selector", palette=palette)
        for name, (title, mappings) in titles.items()
    }
    if averages:
        shares = [Panel(one.label, average, average.dataset["layer_share"].values) for one, average in averages.items()]
        figures["figure5_shares"] = map_grid(
            "Layer shares, subject average", shares, source="layer share", palette=palette
        )
    rows = [
        {"subject": mapping.dataset.attrs["subject"], "label": member.label, **hierarchy_row(mapping)}
        for member, mapping in [*averages.items(), *sizes.items()]
    ]
    return Result(figures, {"figure5": rows, "figure5_subjects": subject_rows(by_network)}, NOTES)


def make_table2(study: Study) -> Result:
    """Table 2: R², slope, b0 and b1 of every network, the paper's and the share-based ones beside."""
    fits = study.fits(_members(study, "table2"))
    rows, mappings = table2_rows(fits), list(fits.values())
    figures = {
        "table2": numbers_chart(
            "Table 2: brain score and hierarchy line, by selector", rows, QUANTITIES, mappings,
            source="layer selector",
        ),
        "table2_shares": numbers_chart(
            "Hierarchy line by share", rows, SHARES, mappings,
            source=f"layer share; {limits_text(rows, 'share_limits')}",
        ),
    }  # fmt: skip
    return Result(figures, {"table2": rows, "table2_subjects": subject_rows(_by_subject(study))}, NOTES)


def table2_rows(mappings: MappingType[Member, Mapping]) -> list[Row]:
    """Lines of table 2 with the paper's beside them, from mappings of one subject by network."""
    rows = []
    for member, mapping in mappings.items():
        own = hierarchy_row(mapping)
        ours = {name: own[name] for name in paper_table("table2").quantities}
        rows.append({**_compared("table2", member, ours), **own})
    return rows


def subject_rows(by_network: MappingType[Member, Sequence[Mapping]]) -> list[Row]:
    """Mean and Student's limits over subjects of the slope, by selector and by share; not of a single subject.

    Subjects in whom nothing was found are left out, and not counted.
    """
    rows = []
    for member, mappings in by_network.items():
        found = [mapping for mapping in mappings if mapping.told_of is None or mapping.told_of.any()]
        row: Row = {"label": member.label, "subjects": len(found)}
        sources = {"slope": map(selector_source, found), "share_slope": ["layer_share"] * len(found)}
        for name, variables in sources.items():
            try:
                slopes = [hierarchy_slope(*pair).slope for pair in zip(found, variables, strict=True)]
                row |= record_of({name: over_fits(slopes)})
            except FactortopyError:
                continue
        if "slope" in row:
            rows.append(row)
    return rows


def _compared(table: str, member: Member, ours: MappingType[str, float | None]) -> Row:
    """One line of a table, with the paper's numbers of the network that this one stands for."""
    paper = paper_table(table).row(member.stands_for) if member.stands_for else None
    printed = "" if paper is None else paper.label
    return {"label": member.label, "network": member.network, "paper_network": printed, **beside(ours, paper)}


def _by_subject(study: Study) -> dict[Member, list[Mapping]]:
    """Mappings of the base sizes: all subjects of each network that can be had."""
    by_network: dict[Member, list[Mapping]] = {}
    for index in range(study.subjects):
        try:
            for member, mapping in study.fits(_bases(study), index).items():
                by_network.setdefault(member, []).append(mapping)
        except UnavailableError:
            continue
    return by_network


def _by_roi(values: np.ndarray, mapping: Mapping) -> dict[str, float | None]:
    return {roi: roi_mean(values, mapping, roi) for roi in paper_table("table1").quantities}


def _bases(study: Study) -> tuple[Member, ...]:
    return base_members(study.plan.simulated, study.plan.networks)


def _members(study: Study, table: str) -> tuple[Member, ...]:
    return members_of(table, study.plan.simulated, study.plan.networks)


FIGURE4 = Item("figure4", "maps of brain score of the networks and of the max model", score_jobs, make_scores)
TABLE1 = Item("table1", "R² of the max model by ROI, distance of each network to it", score_jobs, make_table1)
FIGURE5 = Item("figure5", "layer maps: subject average, sizes, single subjects", layer_jobs, make_layers)
TABLE2 = Item("table2", "R², hierarchy slope, b0 and b1 of every network", layer_jobs, make_table2)
