"""Pictures of items: maps of several networks with one key for each kind of map, and numbers beside the paper's."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from factortopy.analysis import Estimate
from factortopy.mapping import Mapping
from factortopy.paper.members import Member
from factortopy.paper.numbers import Row, selector_weights
from factortopy.plot import (
    BarKey,
    CortexPanel,
    Dot,
    DotPanel,
    Header,
    LayerKey,
    Look,
    Palette,
    SpaceKey,
    dot_chart,
    map_page,
    round_up,
    styled,
)

Kind = Literal["layer", "space", "scale", "score", "weight"]
OURS = Look("#0072b2", name="ours, with its interval where known")
PAPER = Look("#d55e00", "D", "the paper's", filled=False, style="none")


@dataclass(frozen=True, eq=False)
class Panel:
    """One small map.

    Attributes:
        title: what it shows.
        mapping: where its voxels lie.
        values: layer weights (voxel, layer), places in the image (voxel, 2), or one number a voxel.
        kind: how they are painted.
    """

    title: str
    mapping: Mapping
    values: Float[np.ndarray, "voxel *rest"]
    kind: Kind = "layer"


def layer_panels(mappings: MappingType[Member, Mapping]) -> list[Panel]:
    """A map of the layer selectors of each network."""
    return [
        Panel(f"{member.label}, {len(mapping.layers)}\xa0layers", mapping, selector_weights(mapping))
        for member, mapping in mappings.items()
    ]


@styled
def map_grid(
    title: str,
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    source: str = "",
    names: bool = True,
    palette: Palette = "default",
) -> Figure:
    """Small maps row by row, and a key for each kind of map; arguments as of :func:`factortopy.plot.map_page`."""
    kinds: dict[Kind, list[np.ndarray]] = {}
    for panel in panels:
        kinds.setdefault(panel.kind, []).append(panel.values)
    keys = {kind: _key(kind, values, palette) for kind, values in kinds.items()}
    shown = "; ".join(panel.title.replace("\n", " ") for panel in panels)
    return map_page(
        Header.of([panel.mapping for panel in panels]), title,
        [CortexPanel(panel.mapping, keys[panel.kind].colours(panel.values), panel.title) for panel in panels],
        list(keys.values()), columns=columns, source=source, names=names, alt=f"Maps of the cortex: {shown}.",
    )  # fmt: skip


def _key(kind: Kind, values: Sequence[np.ndarray], palette: Palette) -> LayerKey | SpaceKey | BarKey:
    """The key that all maps of a kind share; scores are coloured up to the 99th percentile of all."""
    if kind == "layer":
        return LayerKey(palette=palette)
    if kind == "space":
        return SpaceKey(palette)
    everything = np.concatenate(values)
    if kind == "scale":
        return BarKey.scalar(everything, (0.0, 1.0), "scale", palette, "0 local, 1 global")
    if kind == "weight":
        return BarKey.scalar(everything, (0.0, 1.0), "score", palette, "weight of the layer")
    largest = round_up(float(np.nanpercentile(everything, 99)), least=0.05)
    return BarKey.scalar(everything, (0.0, largest), "score", palette, "R²")


def numbers_chart(
    title: str,
    rows: Sequence[Row],
    quantities: MappingType[str, str],
    mappings: Sequence[Mapping],
    *,
    source: str = "",
    columns: int = 4,
    paper: bool = True,
) -> Figure:
    """A dot with its interval and a diamond, the paper's: every quantity in a panel, every row on a line.

    Args:
        title: of the figure.
        rows: with ``label``, and for each quantity ``<name>``, and where known ``<name>_paper``,
            ``<name>_low`` and ``<name>_high``.
        quantities: titles of the panels by name.
        mappings: what the numbers are from, for the header.
        source: what they are, for the header.
        columns: panels a row.
        paper: whether the paper has numbers beside which ours stand.
    """
    panels = []
    for name, heading in quantities.items():
        dots = []
        for line, row in enumerate(rows):
            dots.append(Dot(line, Estimate.in_row(row, f"{name}_paper"), PAPER, gid="paper"))
            dots.append(Dot(line, Estimate.in_row(row, name), OURS, gid="ours"))
        panels.append(DotPanel(heading, dots))
    return dot_chart(
        Header.of(mappings), title, panels, [str(row["label"]) for row in rows], source=source, columns=columns,
        alt=f"Dots: ours{'; diamonds: the paper' * paper}.", key=[OURS, PAPER] if paper else [OURS],
    )  # fmt: skip
