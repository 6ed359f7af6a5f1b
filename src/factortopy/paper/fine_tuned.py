"""Figure 7 and table 3: networks before and after fine-tuning on small data sets."""

from factortopy.analysis import Change, Estimate, change, paired_difference, record_of, records_of
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.paper.item import Item, Result
from factortopy.paper.members import STAND_INS, Member, base_members
from factortopy.paper.numbers import Row, limits_text, selector_weights
from factortopy.paper.pictures import Panel, map_grid, numbers_chart
from factortopy.paper.study import Job, Study

LEFT_OUT = "mocov3-b"
"""Not among the networks of the paper's figure 7."""
NOTES = (
    "drop: mean R^2 before less after, as in the paper's table 3; its text, from which the numbers beside "
    "ours are, prints none of that table",
    "forgetting: 1 - mean R^2 after / mean R^2 before, where R^2 before is above 0 beyond doubt",
    "slope_change, depth_change: after less before",
    "limits, 95 %, of draws in pairs: those of drop and forgetting are over what the column limits says, those of "
    "changes of depth and slope over what share_limits says",
)
QUANTITIES = {"drop": "drop of R²", "forgetting": "forgetting index", "slope_change": "slope after less before"}
LABELLED = "labelled images (--labelled)"


def members(study: Study) -> tuple[Member, ...]:
    """The networks that are fine-tuned; of the stand-ins, the two smallest."""
    if study.plan.simulated and not study.plan.networks:
        return (STAND_INS[1], STAND_INS[3])
    bases = base_members(study.plan.simulated, study.plan.networks)
    return bases if study.plan.networks else tuple(one for one in bases if one.network != LEFT_OUT)


def jobs(study: Study) -> list[Job]:
    """The fits before; those after need the fine-tuned networks and are counted beside."""
    return [Job(member) for member in members(study)]


def fine_tuned(study: Study) -> int:
    """How many networks are fine-tuned: each on every data set."""
    return len(members(study)) * max(1, len(study.plan.labelled_sources))


def make_maps(study: Study) -> Result:
    """Figure 7: layer maps before, and after each data set."""
    before = study.fits(members(study))
    panels = []
    for member, mapping in before.items():
        panels.append(Panel(f"{member.label}, before", mapping, selector_weights(mapping)))
        for source in sources(study):
            tuned = study.fine_tuned(member, source)
            after = study.fit(Job(tuned))
            panels.append(Panel(tuned.label, after, selector_weights(after)))
    figure = map_grid(
        "Layer selectors before and after fine-tuning", panels, columns=1 + len(sources(study)),
        source="layer selector", palette=study.plan.palette,
    )  # fmt: skip
    rows, _ = tables(study, before)
    return Result({"figure7": figure}, {"figure7": rows}, NOTES)


def make_table(study: Study) -> Result:
    """Table 3: how much of the brain score, and of the hierarchy, fine-tuning took."""
    before = study.fits(members(study))
    rows, by_roi = tables(study, before)
    figure = numbers_chart(
        "Table 3: what fine-tuning took", rows, QUANTITIES, list(before.values()),
        source=f"drop and forgetting: {limits_text(rows, 'limits')}; "
        f"slope by share: {limits_text(rows, 'share_limits')}",
        columns=3, paper=False,
    )  # fmt: skip
    return Result({"table3": figure}, {"table3": rows, "table3_rois": by_roi}, NOTES)


def sources(study: Study) -> tuple[str, ...]:
    """The labelled images; a DataError if none were given."""
    if not study.plan.labelled_sources:
        raise DataError(
            "fine-tuning needs labelled images: --labelled FOLDER of one folder a class (ISIC), or "
            "--labelled torchvision/EuroSAT --root FOLDER"
        )
    return study.plan.labelled_sources


def tables(study: Study, before: dict[Member, Mapping]) -> tuple[list[Row], list[Row]]:
    """Lines of table 3 over all voxels, and by ROI."""
    rows, by_roi = [], []
    for member, mapping in before.items():
        for source in sources(study):
            tuned = study.fine_tuned(member, source)
            changed = change(mapping, study.fit(Job(tuned)))
            rows.append({"label": tuned.label, **change_row(changed)})
            by_roi += [{"label": tuned.label, **row} for row in records_of(changed.regions)]
    return rows, by_roi


def change_row(changed: Change) -> Row:
    """One line of table 3."""
    whole = changed.regions.to_dict("records")[-1]
    row: Row = {name: whole[name] for name in ("r2_before", "r2_after")}
    row |= {"drop": -Estimate.in_row(whole, "r2_change"), "forgetting": changed.forgetting}
    row |= {name: whole[name] for name in ("depth_change", "layer_changed")}
    for line in changed.lines.to_dict("records"):
        if line["quantity"] == "slope":
            name = "slope_change" if line["source"] == "share" else "selector_slope_change"
            row[name] = Estimate.in_row(line, "change")
    before, after = changed.mappings
    row |= {"limits": whole["limits"], "share_limits": paired_difference(after, before, "slope").over or "none"}
    return record_of(row)


FIGURE7 = Item("figure7", "layer maps before and after fine-tuning", jobs, make_maps, LABELLED, fine_tuned)
TABLE3 = Item("table3", "brain score and slope lost by fine-tuning", jobs, make_table, LABELLED, fine_tuned)
