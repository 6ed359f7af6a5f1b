"""The result of one fit: selectors, shares and scores of every voxel, with the trained parameters."""

from factortopy.mapping.mapping import Mapping

__all__ = ["Mapping"]
