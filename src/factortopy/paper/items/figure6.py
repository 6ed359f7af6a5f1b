"""Figure 6: diffusion, blocks at fixed time steps and time steps at a fixed block."""

import numpy as np

from factortopy.analysis import estimate, layer_position, record_of
from factortopy.mapping import layer_confidence
from factortopy.paper.item import Item, Result
from factortopy.paper.items.panels import Panel, map_grid
from factortopy.paper.measures import roi_mean, selector_weights
from factortopy.paper.members import Member, diffusion_block, diffusion_steps
from factortopy.paper.numbers import Row
from factortopy.paper.study import Job, Study

STEPS = (25, 40)


def jobs(study: Study) -> list[Job]:
    """Blocks at both time steps, time steps at one block."""
    return [Job(member) for member in _members(study)]


def make(study: Study) -> Result:
    """One picture of three maps, and where each ROI reads."""
    panels, rows = [], []
    for member in _members(study):
        mapping = study.fit(Job(member))
        weights = selector_weights(mapping)
        panels.append(Panel(f"{member.label}\n{mapping.layers[0]} … {mapping.layers[-1]}", mapping, weights))
        sure = layer_confidence(weights)
        row: Row = {"label": member.label, "layers": len(mapping.layers)}
        row |= record_of({"r2": estimate(mapping, "r2")}) | {"confidence": float(np.nanmean(sure))}
        for roi in mapping.rois:
            row[f"{roi} position"] = roi_mean(layer_position(weights), mapping, roi)
            row[f"{roi} confidence"] = roi_mean(sure, mapping, roi)
        rows.append(row)
    figure = map_grid(
        "Diffusion: blocks at fixed time steps, time steps at a fixed block", panels,
        source="layer selector", palette=study.plan.palette,
    )  # fmt: skip
    notes = ("position: 0 first block or time step, 1 last; the paper gives no numbers for this figure",)
    return Result({"figure6": figure}, {"figure6": rows}, notes)


def _members(study: Study) -> tuple[Member, ...]:
    simulated = study.plan.simulated
    return (*diffusion_steps(STEPS, simulated=simulated), diffusion_block(simulated=simulated))


FIGURE6 = Item(
    "figure6", "diffusion: blocks at fixed time steps, time steps at a fixed block", jobs, make,
    more="the extra 'diffusion'",
)  # fmt: skip
