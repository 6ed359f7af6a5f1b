"""The methods that are compared, by name: linear baselines, FactorTopy, its ablations, controls."""

from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal["linear baseline", "FactorTopy", "ablation", "control"]


@dataclass(frozen=True)
class Method:
    """One method of the comparison.

    Attributes:
        label: name in tables and figures.
        family: what it is there for.
        settings: settings of the fit that differ from those of FactorTopy.
    """

    label: str
    family: Family
    settings: dict[str, Any] = field(default_factory=dict)


REFERENCE = "factortopy"
"""The method that all others are compared with."""

METHODS: dict[str, Method] = {
    "ridge-best-layer": Method("ridge, best layer", "linear baseline"),
    "ridge-all-layers": Method("ridge, all layers", "linear baseline"),
    "banded-ridge": Method("banded ridge", "linear baseline"),
    "fwrf": Method("fwRF", "linear baseline"),
    REFERENCE: Method("FactorTopy", "FactorTopy"),
    "without-topology": Method("without topology", "ablation", {"topology": False}),
    "without-space": Method("without space", "ablation", {"fixed_space": (0.0, 0.0)}),
    "local-only": Method("scale 0: local only", "ablation", {"fixed_scale": 0.0}),
    "global-only": Method("scale 1: global only", "ablation", {"fixed_scale": 1.0}),
    "without-layers": Method("without layer selection", "ablation", {"uniform_layers": True}),
    "untrained-network": Method("untrained network", "control"),
    "shuffled-images": Method("shuffled images", "control"),
}


def needs_himalaya(name: str) -> bool:
    """Whether a method is computed by himalaya, an extra."""
    return is_linear(name) and name != "fwrf"


def is_linear(name: str) -> bool:
    """Whether a method is a linear baseline; the others are fits of FactorTopy."""
    return METHODS[name].family == "linear baseline"
