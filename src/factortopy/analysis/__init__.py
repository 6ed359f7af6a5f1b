"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.hierarchy import LEVELS, HierarchySlope, fit_slope, hierarchy_slope, layer_position
from factortopy.analysis.recovery import Recovery, recovery
from factortopy.analysis.scores import correlation, r_squared
from factortopy.analysis.shares import Shares, shares

__all__ = [
    "LEVELS",
    "HierarchySlope",
    "Recovery",
    "Shares",
    "correlation",
    "fit_slope",
    "hierarchy_slope",
    "layer_position",
    "r_squared",
    "recovery",
    "shares",
]
