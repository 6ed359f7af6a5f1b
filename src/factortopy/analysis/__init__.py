"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.averaging._subject_average import subject_average
from factortopy.analysis.averaging.fits import Spread, across, over_fits, seed_average
from factortopy.analysis.channels._channel_images import CLIPPED, ChannelImages, channel_images
from factortopy.analysis.channels.cluster_table import ClusterRow, cluster_facts, cluster_rows
from factortopy.analysis.channels.clusters import (
    COUNT,
    ChannelClusters,
    Way,
    channel_clusters,
    channels_of,
    cluster_agreement,
    cluster_channels,
)
from factortopy.analysis.channels.gauge_tokens import gauge_tokens
from factortopy.analysis.comparing._change import Change, ChangeRow, LineChange, change, forgetting_index
from factortopy.analysis.comparing._similarity import SIMILARITIES, Similarity, similarity
from factortopy.analysis.comparing.comparison import (
    QUANTITIES,
    Comparison,
    Winners,
    compare,
    labels_of,
    voxel_values,
    winners,
)
from factortopy.analysis.comparing.partition import Partition, PartRow, part_name, partition_variance
from factortopy.analysis.comparing.region_table import (
    Difference,
    LineRow,
    RegionRow,
    difference,
    line_rows,
    region_rows,
)
from factortopy.analysis.estimates.bootstrap import CONFIDENCE, draw_roi_r2, percentiles
from factortopy.analysis.estimates.estimates import Estimate, estimate, paired_difference
from factortopy.analysis.estimates.limits import Limited, limited, limited_difference
from factortopy.analysis.estimates.uncertainty import Variables, region_names
from factortopy.analysis.heldout._leave_out import LeaveOut, leave_out
from factortopy.analysis.heldout._roi_scores import ALL, FORMULA, RoiScore, ceiling_facts, roi_scores
from factortopy.analysis.heldout._shares import Shares, shares
from factortopy.analysis.heldout.aligned import AlignedBatches
from factortopy.analysis.heldout.gauge import Gauge, Selectors, canonical_gauge, canonical_model, canonical_selectors
from factortopy.analysis.heldout.predictions import HeldOut, paired_winners, predict
from factortopy.analysis.heldout.scores import NormalisedScore, algonauts_score, correlation, normalised, r_squared
from factortopy.analysis.heldout.variables import held_out_variables, raw_selectors
from factortopy.analysis.hierarchy.nulls import NullTest, correlation_test, slope_test, surrogate_maps
from factortopy.analysis.hierarchy.orders import Order, orders_of, parse_order
from factortopy.analysis.hierarchy.orders_fit import SOURCES, HierarchyFit, LevelDepth, fit_hierarchy
from factortopy.analysis.hierarchy.representational import RepresentationalDepth, representational_depth
from factortopy.analysis.hierarchy.slope import LEVELS, HierarchySlope, fit_slope, hierarchy_slope, layer_position
from factortopy.analysis.planted._plan import Expectation, Plan, plan
from factortopy.analysis.planted._recovery import Recovery, recovery
from factortopy.analysis.planted.recovery_table import load_table

__all__ = [
    "ALL",
    "CLIPPED",
    "CONFIDENCE",
    "COUNT",
    "FORMULA",
    "LEVELS",
    "QUANTITIES",
    "SIMILARITIES",
    "SOURCES",
    "AlignedBatches",
    "Change",
    "ChangeRow",
    "ChannelClusters",
    "ChannelImages",
    "ClusterRow",
    "Comparison",
    "Difference",
    "Estimate",
    "Expectation",
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
    "Plan",
    "Recovery",
    "RegionRow",
    "RepresentationalDepth",
    "RoiScore",
    "Selectors",
    "Shares",
    "Similarity",
    "Spread",
    "Variables",
    "Way",
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
    "channels_of",
    "cluster_agreement",
    "cluster_channels",
    "cluster_facts",
    "cluster_rows",
    "compare",
    "correlation",
    "correlation_test",
    "difference",
    "draw_roi_r2",
    "estimate",
    "fit_hierarchy",
    "fit_slope",
    "forgetting_index",
    "gauge_tokens",
    "held_out_variables",
    "hierarchy_slope",
    "labels_of",
    "layer_position",
    "leave_out",
    "limited",
    "limited_difference",
    "line_rows",
    "load_table",
    "normalised",
    "orders_of",
    "over_fits",
    "paired_difference",
    "paired_winners",
    "parse_order",
    "part_name",
    "partition_variance",
    "percentiles",
    "plan",
    "predict",
    "r_squared",
    "raw_selectors",
    "recovery",
    "region_names",
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
