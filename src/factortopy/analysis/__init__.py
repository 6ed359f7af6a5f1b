"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.change import Change, ChangeRow, LineChange, change, forgetting_index
from factortopy.analysis.channel_images import ChannelImages, channel_images
from factortopy.analysis.clusters import ChannelClusters, channel_clusters, cluster_channels
from factortopy.analysis.comparison import (
    QUANTITIES,
    Comparison,
    Winners,
    compare,
    labels_of,
    voxel_values,
    winners,
)
from factortopy.analysis.estimates import Estimate, estimate, paired_difference
from factortopy.analysis.fits import Spread, across, over_fits, seed_average
from factortopy.analysis.gauge import Gauge, Selectors, canonical_gauge, canonical_model, canonical_selectors
from factortopy.analysis.held_out import held_out_variables, raw_selectors
from factortopy.analysis.hierarchy import LEVELS, HierarchySlope, fit_slope, hierarchy_slope, layer_position
from factortopy.analysis.hierarchy_cka import RepresentationalDepth, representational_depth
from factortopy.analysis.hierarchy_fit import HierarchyFit, LevelDepth, fit_hierarchy
from factortopy.analysis.hierarchy_orders import Order, orders_of, parse_order
from factortopy.analysis.leave_out import LeaveOut, leave_out
from factortopy.analysis.limits import Limited, limited, limited_difference
from factortopy.analysis.nulls import NullTest, correlation_test, slope_test, surrogate_maps
from factortopy.analysis.partition import Partition, PartRow, partition_variance
from factortopy.analysis.predictions import HeldOut, paired_winners, predict
from factortopy.analysis.recovery import Recovery, recovery
from factortopy.analysis.region_table import (
    Difference,
    LineRow,
    RegionRow,
    difference,
    line_rows,
    region_rows,
)
from factortopy.analysis.roi_scores import RoiScore, ceiling_facts, roi_scores
from factortopy.analysis.scores import NormalisedScore, algonauts_score, correlation, normalised, r_squared
from factortopy.analysis.shares import Shares, shares
from factortopy.analysis.similarity import SIMILARITIES, Similarity, similarity
from factortopy.analysis.subject_average import subject_average

__all__ = [
    "LEVELS",
    "QUANTITIES",
    "SIMILARITIES",
    "Change",
    "ChangeRow",
    "ChannelClusters",
    "ChannelImages",
    "Comparison",
    "Difference",
    "Estimate",
    "Gauge",
    "HeldOut",
    "HierarchyFit",
    "HierarchySlope",
    "LeaveOut",
    "LevelDepth",
    "Limited",
    "LineChange",
    "LineRow",
    "NormalisedScore",
    "NullTest",
    "Order",
    "PartRow",
    "Partition",
    "Recovery",
    "RegionRow",
    "RepresentationalDepth",
    "RoiScore",
    "Selectors",
    "Shares",
    "Similarity",
    "Spread",
    "Winners",
    "across",
    "algonauts_score",
    "canonical_gauge",
    "canonical_model",
    "canonical_selectors",
    "ceiling_facts",
    "change",
    "channel_clusters",
    "channel_images",
    "cluster_channels",
    "compare",
    "correlation",
    "correlation_test",
    "difference",
    "estimate",
    "fit_hierarchy",
    "fit_slope",
    "forgetting_index",
    "held_out_variables",
    "hierarchy_slope",
    "labels_of",
    "layer_position",
    "leave_out",
    "limited",
    "limited_difference",
    "line_rows",
    "normalised",
    "orders_of",
    "over_fits",
    "paired_difference",
    "paired_winners",
    "parse_order",
    "partition_variance",
    "predict",
    "r_squared",
    "raw_selectors",
    "recovery",
    "region_rows",
    "representational_depth",
    "roi_scores",
    "seed_average",
    "shares",
    "similarity",
    "slope_test",
    "subject_average",
    "surrogate_maps",
    "voxel_values",
    "winners",
]
