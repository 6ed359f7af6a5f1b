"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping.facts import facts, facts_line
from factortopy.mapping.mapping import Mapping
from factortopy.mapping.rebuild import load_mapped_network, load_model

__all__ = ["Mapping", "facts", "facts_line", "load_mapped_network", "load_model"]
