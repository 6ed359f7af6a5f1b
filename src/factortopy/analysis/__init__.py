"""What a mapping means: scores, shares, hierarchy, recovery of what was planted."""

from factortopy.analysis.averaging._subject_average import subject_average
from factortopy.analysis.averaging.fits import over_fits, seed_average, summarise_fits
from factortopy.analysis.channels._channel_images import COLOUR_PERCENTILES, ChannelImages, channel_images
from factortopy.analysis.channels.cluster_table import cluster_facts, cluster_table
from factortopy.analysis.channels.clusters import (
    PAPER_CLUSTERS,
    ChannelClusters,
    ClusterWay,
    channel_clusters,
    channels_of,
    cluster_agreement,
    cluster_channels,
)
from factortopy.analysis.channels.gauge_tokens import gauge_tokens
from factortopy.analysis.comparing._change import Change, change, forgetting_index
from factortopy.analysis.comparing._similarity import SIMILARITIES, Similarity, similarity
from factortopy.analysis.comparing.comparison import Comparison, Winners, compare, labels_of, winners
from factortopy.analysis.comparing.partition import Partition, part_name, partition_variance
from factortopy.analysis.comparing.tables import Difference, difference, line_table, region_table
from factortopy.analysis.estimates._estimate import CONFIDENCE, Estimate, percentiles
from factortopy.analysis.estimates._of_mapping import estimate, paired_difference
from factortopy.analysis.estimates.bootstrap import draw_roi_r2
from factortopy.analysis.estimates.tables import csv_of, record_of, records_of, table_of, text_in_row, write_table
from factortopy.analysis.heldout._leave_out import LeaveOut, leave_out
from factortopy.analysis.heldout._roi_scores import NORMALISED_FORMULA, ceiling_facts, roi_scores
from factortopy.analysis.heldout._shares import Shares, shares
from factortopy.analysis.heldout.aligned import AlignedBatches
from factortopy.analysis.heldout.gauge import Gauge, Selectors, canonical_gauge, canonical_model, canonical_selectors
from factortopy.analysis.heldout.predictions import HeldOut, paired_winners, predict
from factortopy.analysis.heldout.scores import NormalisedScore, algonauts_score, correlation, normalised, r_squared
from factortopy.analysis.heldout.variables import held_out_variables, raw_selectors
from factortopy.analysis.hierarchy.nulls import NullTest, correlation_test, slope_test, surrogate_maps
from factortopy.analysis.hierarchy.orders import Order, orders_of, parse_order
from factortopy.analysis.hierarchy.orders_fit import HierarchyFit, LevelDepth, fit_hierarchy
from factortopy.analysis.hierarchy.representational import RepresentationalDepth, representational_depth
from factortopy.analysis.hierarchy.slope import (
    DEPTH_SOURCES,
    PAPER_LEVELS,
    HierarchySlope,
    fit_slope,
    hierarchy_slope,
    layer_position,
)
from factortopy.analysis.planted._forecast import Expectation, RecoveryForecast, forecast_recovery
from factortopy.analysis.planted._recovery import Recovery, recovery
from factortopy.analysis.planted.recovery_table import load_recovery_table
from factortopy.analysis.quantities import QUANTITIES, voxel_values
from factortopy.analysis.regions import ALL_VOXELS, finite_mean, region_names, regions_of

__all__ = [
    "ALL_VOXELS",
    "COLOUR_PERCENTILES",
    "CONFIDENCE",
    "DEPTH_SOURCES",
    "NORMALISED_FORMULA",
    "PAPER_CLUSTERS",
    "PAPER_LEVELS",
    "QUANTITIES",
    "SIMILARITIES",
    "AlignedBatches",
    "Change",
    "ChannelClusters",
    "ChannelImages",
    "ClusterWay",
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
    "NormalisedScore",
    "NullTest",
    "Order",
    "Partition",
    "Recovery",
    "RecoveryForecast",
    "RepresentationalDepth",
    "Selectors",
    "Shares",
    "Similarity",
    "Winners",
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
    "cluster_table",
    "compare",
    "correlation",
    "correlation_test",
    "csv_of",
    "difference",
    "draw_roi_r2",
    "estimate",
    "finite_mean",
    "fit_hierarchy",
    "fit_slope",
    "forecast_recovery",
    "forgetting_index",
    "gauge_tokens",
    "held_out_variables",
    "hierarchy_slope",
    "labels_of",
    "layer_position",
    "leave_out",
    "line_table",
    "load_recovery_table",
    "normalised",
    "orders_of",
    "over_fits",
    "paired_difference",
    "paired_winners",
    "parse_order",
    "part_name",
    "partition_variance",
    "percentiles",
    "predict",
    "r_squared",
    "raw_selectors",
    "record_of",
    "records_of",
    "recovery",
    "region_names",
    "region_table",
    "regions_of",
    "representational_depth",
    "roi_scores",
    "seed_average",
    "shares",
    "similarity",
    "slope_test",
    "subject_average",
    "summarise_fits",
    "surrogate_maps",
    "table_of",
    "text_in_row",
    "voxel_values",
    "winners",
    "write_table",
]
