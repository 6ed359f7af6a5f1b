"""Figures of a mapping: flat maps of the cortex, their keys, and charts; as PNG and SVG."""

from factortopy.plot._baselines import baselines
from factortopy.plot._channel_images import MOST_IMAGES, MOST_REGIONS, channel_images
from factortopy.plot._clusters import clusters
from factortopy.plot._hierarchy import hierarchy
from factortopy.plot._hierarchy_orders import hierarchy_orders
from factortopy.plot._save import alt_text, save, to_png
from factortopy.plot.change import change_bars, change_maps
from factortopy.plot.charts import recovery, space_dots, training
from factortopy.plot.colours import Palette, Quantity, layer_colours, scalar_colormap, scalar_colours, space_colours
from factortopy.plot.comparison import difference_map, subject_counts, unique_maps, winner_map
from factortopy.plot.comparison_charts import lines, partition, ranking, similarity_matrices
from factortopy.plot.fading import certainty
from factortopy.plot.figures import ALL_FIGURES, draw
from factortopy.plot.flatmap import FlatMap, paint
from factortopy.plot.maps import layers, rois, scale, scores, space
from factortopy.plot.panels import FOOT, draw_map, draw_space_key, map_height, surface_of, to_vertices
from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, add_axes, new_figure, styled
from factortopy.plot.tokens import token_norms

__all__ = [
    "ALL_FIGURES",
    "FOOT",
    "INK",
    "MARGIN",
    "MOST_IMAGES",
    "MOST_REGIONS",
    "MUTED",
    "PAGE",
    "FlatMap",
    "Palette",
    "Quantity",
    "add_axes",
    "alt_text",
    "baselines",
    "certainty",
    "change_bars",
    "change_maps",
    "channel_images",
    "clusters",
    "difference_map",
    "draw",
    "draw_map",
    "draw_space_key",
    "hierarchy",
    "hierarchy_orders",
    "layer_colours",
    "layers",
    "lines",
    "map_height",
    "new_figure",
    "paint",
    "partition",
    "ranking",
    "recovery",
    "rois",
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
