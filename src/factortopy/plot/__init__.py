"""Figures of a mapping: flat maps of the cortex, their keys, and charts; as PNG and SVG."""

from factortopy.plot._hierarchy import hierarchy, hierarchy_orders
from factortopy.plot.channels import channel_images, channel_pages, clusters
from factortopy.plot.charts import recovery, space_dots, token_norms, training
from factortopy.plot.colours import (
    Palette,
    Quantity,
    layer_colours,
    scalar_colormap,
    scalar_colours,
    space_colours,
)
from factortopy.plot.comparison import (
    change_maps,
    difference_map,
    similarity_matrices,
    subject_counts,
    unique_maps,
    winner_map,
)
from factortopy.plot.dot_charts import baselines, change_bars, lines, partition, ranking
from factortopy.plot.dots import Dot, DotPanel, Grid, Look, dot_chart, draw_key
from factortopy.plot.flatmap import FlatMap, paint
from factortopy.plot.keys import BarKey, Key, LayerKey, ListKey, SpaceKey, round_up
from factortopy.plot.maps import ALL_FIGURES, certainty, draw, layers, rois, scale, scores, space
from factortopy.plot.panels import FlatPanel, map_page, surface_of, to_vertices
from factortopy.plot.style import Header, add_axes, alt_text, new_figure, save, styled, to_png

__all__ = [
    "ALL_FIGURES",
    "BarKey",
    "Dot",
    "DotPanel",
    "FlatMap",
    "FlatPanel",
    "Grid",
    "Header",
    "Key",
    "LayerKey",
    "ListKey",
    "Look",
    "Palette",
    "Quantity",
    "SpaceKey",
    "add_axes",
    "alt_text",
    "baselines",
    "certainty",
    "change_bars",
    "change_maps",
    "channel_images",
    "channel_pages",
    "clusters",
    "difference_map",
    "dot_chart",
    "draw",
    "draw_key",
    "hierarchy",
    "hierarchy_orders",
    "layer_colours",
    "layers",
    "lines",
    "map_page",
    "new_figure",
    "paint",
    "partition",
    "ranking",
    "recovery",
    "rois",
    "round_up",
    "save",
    "scalar_colormap",
    "scalar_colours",
    "scale",
    "scores",
    "similarity_matrices",
    "space",
    "space_colours",
    "space_dots",
    "styled",
    "subject_counts",
    "surface_of",
    "to_png",
    "to_vertices",
    "token_norms",
    "training",
    "unique_maps",
    "winner_map",
]
