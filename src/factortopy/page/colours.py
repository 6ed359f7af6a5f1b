"""The figures' colours as tables in which the page looks values up."""

import base64
from collections.abc import Iterable
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from factortopy.plot import (
    CLUSTER_COLOURS,
    Palette,
    Quantity,
    class_colours,
    layer_colours,
    scalar_colormap,
    space_colours,
)

CONFIDENCES = 65
"""Steps of confidence in the table of layers; between them the page mixes."""
PLACES = 65
"""Steps of x and of y in the table of places, between which it mixes too."""


def colour_tables(layers: Iterable[int], clusters: Iterable[int]) -> dict[str, Any]:
    """Tables by palette, for the numbers of layers of the networks and the numbers of clusters of their mappings."""
    counts, classes = sorted(set(layers)), sorted(set(clusters))
    return {palette: _tables(palette, counts, classes) for palette in get_args(Palette)}


def _tables(palette: Palette, counts: list[int], classes: list[int]) -> dict[str, Any]:
    confidence, place = np.linspace(0, 1, CONFIDENCES), np.linspace(-1, 1, PLACES)
    layers = {
        str(count): _table(layer_colours(*np.meshgrid(np.linspace(0, 1, count), confidence), palette))
        for count in counts
    }
    return {
        "layers": layers,
        "places": _table(space_colours(np.stack(np.meshgrid(place, place), axis=-1), palette)),
        "classes": {str(count): _table(class_colours(count, palette, CLUSTER_COLOURS)) for count in classes},
        "scalars": {name: _scalar(name, palette) for name in get_args(Quantity)},
    }


def _scalar(quantity: Quantity, palette: Palette) -> dict[str, Any]:
    colormap = scalar_colormap(quantity, palette)
    colours = colormap(np.arange(colormap.N))
    return _table(colours) | {"under": _table(colormap(np.array([-1.0])))["rgb"]}


def _table(rgba: Float[np.ndarray, "*shape 4"]) -> dict[str, Any]:
    """Red, green and blue as bytes, row by row."""
    rgb = np.rint(rgba[..., :3] * 255).astype(np.uint8)
    return {"shape": list(rgb.shape[:-1]), "rgb": base64.b64encode(rgb.tobytes()).decode()}
