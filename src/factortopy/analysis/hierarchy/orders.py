"""Orders of visual areas: which ROIs stand on which level of a hierarchy that a map is held against.

The paper's four ROIs (V1, V2V3, OPA, EBA) lie on no single pathway. Here are its order and those of V1 to V4
and of the ventral, lateral and dorsal streams, each from the first set of ROIs that a subject has.
"""

from collections.abc import Mapping
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from factortopy.analysis.hierarchy.slope import PAPER_LEVELS
from factortopy.errors import DataError, UnknownNameError

ORDERS: MappingType[str, tuple[str, ...]] = {
    "paper": (",".join(f"{name}={level}" for name, level in PAPER_LEVELS.items()),),
    "V1 to V4": ("V1,V2,V3,V4", "V1,V2V3,V4"),
    "ventral": ("early,midventral,ventral", "V1,V2V3,V4,FFA+PPA"),
    "lateral": ("early,midlateral,lateral", "V1,V2V3,EBA"),
    "dorsal": ("early,midparietal,parietal", "V1,V2V3,OPA"),
}
"""ROIs of each order by name, the best first: NSD's and Algonauts' streams, else single regions."""


@dataclass(frozen=True)
class Order:
    """ROIs in their order.

    Attributes:
        name: of the order.
        steps: the ROIs of each level, by the level's name: ``{"V2+V3": ("V2", "V3")}`` is their union.
        levels: the ideal depth of each level in 0..1, by the level's name, in rising order.
    """

    name: str
    steps: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, float]

    def members(self, rois: Mapping[str, Bool[np.ndarray, "voxel"]]) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Voxels of each level.

        Args:
            rois: membership of ROIs by name.

        Raises:
            UnknownNameError: if an ROI is not among them.
        """
        for name in (name for parts in self.steps.values() for name in parts):
            if name not in rois:
                raise UnknownNameError("ROI", name, rois)
        return {
            step: np.any([np.asarray(rois[name], dtype=bool) for name in parts], axis=0)
            for step, parts in self.steps.items()
        }


def parse_order(text: str, name: str | None = None) -> Order:
    """An order from ``"V1,V2+V3,V4"`` or, with levels of one's own, ``"V1=0,V2+V3=0.33,EBA=1"``.

    Args:
        text: ROIs parted by commas, ``+`` between those that share a level. Without numbers the levels are
            evenly spaced from 0 to 1.
        name: of the order; the text itself if None.

    Raises:
        DataError: if there are fewer than two levels, one stands twice, or levels are not rising in 0..1.
    """
    entries = [entry.strip().partition("=") for entry in text.split(",")]
    names = ["+".join(part.strip() for part in entry[0].split("+")) for entry in entries]
    if len(names) < 2 or not all(all(entry.split("+")) for entry in names) or len(set(names)) < len(names):
        raise DataError(f"{text!r} is no order of ROIs; give two or more different ones, e.g. V1,V2+V3,V4")
    given = [entry[2].strip() for entry in entries]
    try:
        levels = [float(value) for value in given] if any(given) else np.linspace(0, 1, len(names)).tolist()
    except ValueError:
        raise DataError(f"{text!r}: give every ROI a number, e.g. V1=0,V4=0.5,EBA=1, or none") from None
    if not 0 <= levels[0] < levels[-1] <= 1 or np.any(np.diff(levels) < 0):
        raise DataError(f"{text!r}: levels must rise, within 0 to 1; got {', '.join(map(str, levels))}")
    steps = {step: tuple(step.split("+")) for step in names}
    return Order(name or text, steps, dict(zip(names, levels, strict=True)))


def orders_of(rois: Mapping[str, Bool[np.ndarray, "voxel"]]) -> list[Order]:
    """The known orders whose every level has voxels among some ROIs, each from its best set.

    Args:
        rois: membership of ROIs by name.
    """
    held = {name for name, inside in rois.items() if np.any(inside)}
    found = []
    for name, texts in ORDERS.items():
        fitting = (order for text in texts if _known(order := parse_order(text, name), held))
        first = next(fitting, None)
        if first is not None:
            found.append(first)
    return found


def _known(order: Order, held: set[str]) -> bool:
    return all(set(parts) <= held for parts in order.steps.values())
