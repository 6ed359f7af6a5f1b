"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping.mapping import Mapping
from factortopy.mapping.rebuild import load_model

__all__ = ["Mapping", "load_model"]
