"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping._facts import facts, facts_line
from factortopy.mapping.mapping import REQUIRED, Mapping
from factortopy.mapping.rebuild import load_mapped_network, load_model

__all__ = [
    "REQUIRED",
    "Mapping",
    "facts",
    "facts_line",
    "load_mapped_network",
    "load_model",
]
