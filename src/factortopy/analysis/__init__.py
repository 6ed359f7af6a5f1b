"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.gauge import Gauge, Selectors, canonical_gauge, canonical_selectors
from factortopy.analysis.held_out import held_out_variables, raw_selectors
from factortopy.analysis.hierarchy import LEVELS, HierarchySlope, fit_slope, hierarchy_slope, layer_position
from factortopy.analysis.leave_out import LeaveOut, leave_out
from factortopy.analysis.nulls import NullTest, correlation_test, slope_test, surrogate_maps
from factortopy.analysis.recovery import Recovery, recovery
from factortopy.analysis.roi_scores import RoiScore, ceiling_facts, roi_scores
from factortopy.analysis.scores import NormalisedScore, algonauts_score, correlation, normalised, r_squared
from factortopy.analysis.shares import Shares, shares
from factortopy.analysis.uncertainty import Estimate, estimate, over_fits, over_seeds, paired_difference

__all__ = [
    "LEVELS",
    "Estimate",
    "Gauge",
    "HierarchySlope",
    "LeaveOut",
    "NormalisedScore",
    "NullTest",
    "Recovery",
    "RoiScore",
    "Selectors",
    "Shares",
    "algonauts_score",
    "canonical_gauge",
    "canonical_selectors",
    "ceiling_facts",
    "correlation",
    "correlation_test",
    "estimate",
    "fit_slope",
    "held_out_variables",
    "hierarchy_slope",
    "layer_position",
    "leave_out",
    "normalised",
    "over_fits",
    "over_seeds",
    "paired_difference",
    "r_squared",
    "raw_selectors",
    "recovery",
    "roi_scores",
    "shares",
    "slope_test",
    "surrogate_maps",
]
