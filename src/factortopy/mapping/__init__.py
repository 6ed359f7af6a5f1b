"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping._facts import facts, facts_line
from factortopy.mapping.mapping import REQUIRED, Mapping
from factortopy.mapping.quantities import best_layer, layer_confidence
from factortopy.mapping.rebuild import load_mapped_network, load_model

__all__ = [
    "REQUIRED",
    "Mapping",
    "best_layer",
    "facts",
    "facts_line",
    "layer_confidence",
    "load_mapped_network",
    "load_model",
]
