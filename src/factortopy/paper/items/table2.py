"""Figure 5 and table 2: layer maps of training objectives and sizes, and their hierarchy lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from factortopy.analysis import hierarchy_slope, over_fits, record_of, subject_average
from factortopy.errors import FactortopyError, UnavailableError
from factortopy.mapping import Mapping
from factortopy.paper.item import Item, Result
from factortopy.paper.items.chart import numbers_chart
from factortopy.paper.items.panels import Panel, map_grid
from factortopy.paper.measures import LINE, hierarchy_row, selector_weights
from factortopy.paper.members import Member, base_members, members_of
from factortopy.paper.numbers import Row, beside, paper_table
from factortopy.paper.study import Job, Study
from factortopy.plot import Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTES = (
    "slope, b0 and b1 are the paper's: of the layer selectors; share_... are of the layer shares, which do "
    "not depend on how features are scaled; trust these",
    "limits of R^2 and shares: 95 % over draws of test images; selectors are the same for all test images, "
    "so theirs are over subjects, in the table of subjects",
    "the paper does not say of which subject table 2 is; ours is of the first",
)
QUANTITIES = {"r2": "R²", "slope": "slope (selector)", "b0": "b0 (selector)", "b1": "b1 (selector)"}
SHARES = {f"share_{name}": f"{name} (share)" for name in LINE}


def jobs(study: Study) -> list[Job]:
    """Sizes for the first subject, the base sizes for all."""
    sizes = [Job(member) for member in _sizes(study)]
    others = range(1, len(study.plan.subject_sources))
    return [*sizes, *(Job(member, index) for index in others for member in _bases(study))]


def make_maps(study: Study) -> Result:
    """Figure 5: the subject average, the sizes for the first subject, the base sizes for the others."""
    sizes = study.fits(_sizes(study))
    by_network = _by_subject(study)
    averages = {member: subject_average(mappings) for member, mappings in by_network.items() if len(mappings) > 1}
    palette, figures = study.plan.palette, {}
    if averages:
        figures["figure5"] = _layers("Layer selectors, subject average", averages, palette)
        shares = [
            Panel(member.label, average, average.dataset["layer_share"].values) for member, average in averages.items()
        ]
        figures["figure5_shares"] = map_grid(
            "Layer shares, subject average", shares, source="layer share", palette=palette
        )
    first = "figure5_sizes" if averages else "figure5"
    figures[first] = _layers("Layer selectors by size, first subject", sizes, palette)
    for index in range(1, len(study.plan.subject_sources)):
        here = {member: mappings[index] for member, mappings in by_network.items() if len(mappings) > index}
        name = next(iter(here.values())).dataset.attrs["subject"]
        figures[f"figure5_subject{index + 1}"] = _layers(f"Layer selectors, {name}", here, palette)
    rows = [
        {"subject": mapping.dataset.attrs["subject"], "label": member.label, **hierarchy_row(mapping)}
        for group in (averages, sizes)
        for member, mapping in group.items()
    ]
    return Result(figures, {"figure5": rows, "figure5_subjects": subject_rows(by_network)}, NOTES)


def make_table(study: Study) -> Result:
    """Table 2: R², slope, b0 and b1 of every network, the paper's and the share-based ones beside."""
    fits = study.fits(_sizes(study))
    rows, mappings = table2_rows(fits), list(fits.values())
    figures = {
        "table2": numbers_chart(
            "Table 2: brain score and hierarchy line, by selector", rows, QUANTITIES, mappings,
            source="layer selector",
        ),
        "table2_shares": numbers_chart(
            "Hierarchy line by share", rows, SHARES, mappings, source="layer share; 95 % over test images"
        ),
    }  # fmt: skip
    return Result(figures, {"table2": rows, "table2_subjects": subject_rows(_by_subject(study))}, NOTES)


def table2_rows(mappings: dict[Member, Mapping]) -> list[Row]:
    """Lines of table 2 with the paper's beside them.

    Args:
        mappings: of one subject by network.
    """
    table, rows = paper_table("table2"), []
    for member, mapping in mappings.items():
        own = hierarchy_row(mapping)
        paper = table.row(member.stands_for) if member.stands_for else None
        compared = beside({name: own[name] for name in table.quantities}, paper)
        names = {"label": member.label, "network": member.network}
        printed = {"paper_network": "" if paper is None else paper.label}
        rows.append({**names, **printed, **compared, **own})
    return rows


def subject_rows(by_network: dict[Member, list[Mapping]]) -> list[Row]:
    """Mean and Student's limits over subjects of the slope, by selector and by share.

    Args:
        by_network: mappings of all subjects by network; networks with one subject are left out.
    """
    rows = []
    for member, mappings in by_network.items():
        row: Row = {"label": member.label, "subjects": len(mappings)}
        for name, sources in {"slope": ("layer_raw", "layer"), "share_slope": ("layer_share",)}.items():
            try:
                row |= record_of({name: over_fits([_slope(mapping, sources) for mapping in mappings])})
            except FactortopyError:
                continue
        if "slope" in row:
            rows.append(row)
    return rows


def _slope(mapping: Mapping, sources: Sequence[str]) -> float:
    return hierarchy_slope(mapping, next(name for name in sources if name in mapping.dataset)).slope


def _by_subject(study: Study) -> dict[Member, list[Mapping]]:
    """Mappings of the base sizes: all subjects of each network that can be had."""
    by_network: dict[Member, list[Mapping]] = {}
    for index in range(len(study.plan.subject_sources)):
        try:
            for member, mapping in study.fits(_bases(study), index).items():
                by_network.setdefault(member, []).append(mapping)
        except UnavailableError:
            continue
    return by_network


def _layers(title: str, mappings: dict[Member, Mapping], palette: Palette) -> "Figure":
    panels = [
        Panel(f"{member.label}, {len(mapping.layers)} layers", mapping, selector_weights(mapping))
        for member, mapping in mappings.items()
    ]
    return map_grid(title, panels, source="layer selector", palette=palette)


def _bases(study: Study) -> tuple[Member, ...]:
    return base_members(study.plan.simulated, study.plan.networks)


def _sizes(study: Study) -> tuple[Member, ...]:
    return members_of("table2", study.plan.simulated, study.plan.networks)


FIGURE5 = Item("figure5", "layer maps: subject average, sizes, single subjects", jobs, make_maps)
TABLE2 = Item("table2", "R², hierarchy slope, b0 and b1 of every network", jobs, make_table)
