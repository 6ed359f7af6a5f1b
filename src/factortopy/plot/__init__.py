"""Figures of a mapping: flat maps of the cortex, their keys, and charts; as PNG and SVG."""

from factortopy.plot.baselines import baselines
from factortopy.plot.change import change_bars, change_maps
from factortopy.plot.channel_images import channel_images
from factortopy.plot.charts import recovery, space_dots, training
from factortopy.plot.clusters import clusters
from factortopy.plot.colours import Palette, layer_colours, scalar_colours, space_colours
from factortopy.plot.figures import ALL_FIGURES, draw
from factortopy.plot.flatmap import FlatMap, paint
from factortopy.plot.hierarchy import hierarchy
from factortopy.plot.hierarchy_orders import hierarchy_orders
from factortopy.plot.maps import layers, rois, scale, scores, space
from factortopy.plot.save import alt_text, save, to_png
from factortopy.plot.tokens import token_norms

__all__ = [
    "ALL_FIGURES",
    "FlatMap",
    "Palette",
    "alt_text",
    "baselines",
    "change_bars",
    "change_maps",
    "channel_images",
    "clusters",
    "draw",
    "hierarchy",
    "hierarchy_orders",
    "layer_colours",
    "layers",
    "paint",
    "recovery",
    "rois",
    "save",
    "scalar_colours",
    "scale",
    "scores",
    "space",
    "space_colours",
    "space_dots",
    "to_png",
    "token_norms",
    "training",
]
