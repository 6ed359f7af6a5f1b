"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.hierarchy import LEVELS, HierarchySlope, fit_slope, hierarchy_slope, layer_position
from factortopy.analysis.recovery import Recovery, recovery
from factortopy.analysis.roi_scores import RoiScore, ceiling_facts, roi_scores
from factortopy.analysis.scores import NormalisedScore, algonauts_score, correlation, normalised, r_squared
from factortopy.analysis.shares import Shares, shares

__all__ = [
    "LEVELS",
    "HierarchySlope",
    "NormalisedScore",
    "Recovery",
    "RoiScore",
    "Shares",
    "algonauts_score",
    "ceiling_facts",
    "correlation",
    "fit_slope",
    "hierarchy_slope",
    "layer_position",
    "normalised",
    "r_squared",
    "recovery",
    "roi_scores",
    "shares",
]
