"""Maps of several networks on one page, with one key for each kind of map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from factortopy.mapping import Mapping
from factortopy.plot import BarKey, FlatPanel, Header, LayerKey, Palette, SpaceKey, map_page, round_up, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["layer", "space", "scale", "score", "weight"]


@dataclass(frozen=True, eq=False)
class Panel:
    """One small map.

    Attributes:
        title: what it shows.
        mapping: where its voxels lie.
        values: layer weights (voxel, layer), places (voxel, 2), or one number a voxel.
        kind: how they are painted.
    """

    title: str
    mapping: Mapping
    values: Float[np.ndarray, "voxel *rest"]
    kind: Kind = "layer"


@styled
def map_grid(
    title: str,
    panels: Sequence[Panel],
    *,
    columns: int = 3,
    source: str = "",
    names: bool = True,
    palette: Palette = "default",
) -> "Figure":
    """Small maps row by row, and a key for each kind of map.

    Args:
        title: of the figure.
        panels: the maps; at least one.
        columns: maps a row.
        source: where the values are from, for the header.
        names: write the ROIs' names on the first map.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    kinds: dict[Kind, list[np.ndarray]] = {}
    for panel in panels:
        kinds.setdefault(panel.kind, []).append(panel.values)
    keys = {kind: _key(kind, values, palette) for kind, values in kinds.items()}
    shown = "; ".join(panel.title.replace("\n", " ") for panel in panels)
    return map_page(
        Header.of([panel.mapping for panel in panels]), title,
        [FlatPanel(panel.mapping, keys[panel.kind].colours(panel.values), panel.title) for panel in panels],
        list(keys.values()), columns=columns, source=source, names=names, alt=f"Flat maps of the cortex: {shown}.",
    )  # fmt: skip


def _key(kind: Kind, values: Sequence[np.ndarray], palette: Palette) -> LayerKey | SpaceKey | BarKey:
    """The key that all maps of a kind share; scores are coloured up to the 99th percentile of all."""
    if kind == "layer":
        return LayerKey.of(values, palette)
    if kind == "space":
        return SpaceKey(palette)
    everything = np.concatenate(values)
    if kind == "scale":
        return BarKey.scalar(everything, (0.0, 1.0), "scale", palette, "0 local, 1 global")
    if kind == "weight":
        return BarKey.scalar(everything, (0.0, 1.0), "score", palette, "weight of the layer")
    largest = round_up(float(np.nanpercentile(everything, 99)), least=0.05)
    return BarKey.scalar(everything, (0.0, largest), "score", palette, "R²")
