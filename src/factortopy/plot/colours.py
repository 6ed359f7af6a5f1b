"""Colours of layers, places and scalars; every map has an alternative safe for colour-blind readers."""

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb, to_rgba_array
from skimage.color import lab2rgb, rgb2lab

from factortopy.errors import UnknownNameError

Palette = Literal["default", "colour-blind"]
"""Colours of every figure; the colour-blind ones are told apart without red or green cones as well."""
Quantity = Literal["scale", "score", "difference"]

# First to last layer, in equal steps of CAM02-UCS; both are told apart without red or green cones. The colour-blind
# ramp rises in lightness and in blue-yellow together, so that it is also read in grey; the default has more hues: it
# rises to yellow and falls to red, which the two kinds of dichromats see as dark.
LAYER_ANCHORS: dict[str, tuple[str, ...]] = {
    "default": (
        "#5907bb", "#5c3bd3", "#595de9", "#4c7cfa", "#2297f8", "#00a8de", "#00b2c4", "#00b8aa", "#46ba8e", "#77b675",
        "#a3ba6c", "#cfcb78", "#f9d77b", "#e5b84c", "#cf9b1a", "#c27e00", "#c16300", "#c24812",
    ),
    "colour-blind": (
        "#2440c8", "#385bd5", "#5075d9", "#787fd1", "#9682c6", "#ac86ba", "#c089ab", "#d58d99", "#e79683", "#eea36a",
        "#f1b554", "#f5d158", "#f8f06c",
    ),
}  # fmt: skip
# Differences, the middle white: arms of equal length in equal steps of CAM02-UCS, after Brewer's RdBu and PuOr.
DIFFERENCE_ANCHORS: dict[str, tuple[str, ...]] = {
    "default": (
        "#053061", "#124a85", "#2063a8", "#347fb9", "#509bc7", "#79b5d6", "#a5cfe3", "#d2e5f0", "#f7f6f6", "#fce0cf",
        "#f8bfa3", "#f09c7b", "#e17960", "#d15548", "#bd2e35", "#9c1128", "#760521",
    ),
    "colour-blind": (
        "#4b1e7a", "#5f3a91", "#70579f", "#7f72ac", "#968cbd", "#aea7cf", "#c6c3df", "#dedfed", "#f7f7f6", "#fbe9ce",
        "#fed39b", "#fdb863", "#ec9935", "#d87b12", "#bd6109", "#9e4d07", "#7f3b08",
    ),
}  # fmt: skip
# Corners of the image: top left, top right, bottom left, bottom right. The colour-blind square puts x on
# blue-yellow and y on lightness.
SPACE_CORNERS: dict[str, tuple[str, str, str, str]] = {
    "default": ("#0a9fe8", "#f4b400", "#5a22cc", "#e01a3c"),
    "colour-blind": ("#8fd0ff", "#fff06a", "#10208f", "#7a4a00"),
}
# Lightness added at the image's centre, where four hues meet in a grey that would look like bare cortex.
CENTRE_LIGHTNESS = {"default": 11.0, "colour-blind": 0.0}
SCALAR_MAPS: dict[str, dict[str, str]] = {
    "default": {"scale": "viridis", "score": "inferno"},
    "colour-blind": {"scale": "cividis", "score": "cividis"},
}
# Colours of regions, Okabe and Ito's (2008): neighbours in the list differ strongly, for any eyes.
ROI_COLOURS: dict[str, tuple[str, ...]] = dict.fromkeys(
    ("default", "colour-blind"),
    ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442", "#999999"),
)
# Twenty colours as far apart as they can be and from the grey of the cortex; the safe ones also for eyes
# without red or green cones. Neighbours in the list, clusters that are alike, differ most.
CLUSTER_COLOURS: dict[str, tuple[str, ...]] = {
    "default": (
        "#00ffc4", "#9d0089", "#147676", "#00ff00", "#b19d4e", "#d89dff", "#006200", "#ff0000", "#009deb",
        "#ff9d9d", "#004ed8", "#9deb62", "#ff8900", "#ff1476", "#ff00ff", "#ffd800", "#4e00ff", "#764e76",
        "#27ebff", "#9d2714",
    ),
    "colour-blind": (
        "#3b76b1", "#0000ff", "#b1b1ff", "#620000", "#b1b162", "#8989ff", "#ffebc4", "#d89d00", "#3b1462",
        "#0062ff", "#c42700", "#0000b1", "#629db1", "#ebeb76", "#004eb1", "#00b189", "#d8ff14", "#c43b4e",
        "#d8d8ff", "#62143b",
    ),
}  # fmt: skip
UNCOLOURED = np.array([0.93, 0.93, 0.95])
"""RGB of voxels without a class, and what uncertain ones fade to."""
# A vertex of no confidence keeps this share of its colour's lightness and chroma, so that it is dark and
# still not mistaken for the white of the page.
DARKEST = 0.24
STEEPNESS = 9.0
"""Brightness grows with log(1 + 9 x confidence), the same in all maps: soft selections are told apart as sure ones."""


def layer_colours(
    position: Float[np.ndarray, "*shape"],
    confidence: Float[np.ndarray, "*shape"] | None = None,
    palette: Palette = "default",
) -> Float[np.ndarray, "*shape 4"]:
    """Colour of a layer: hue from its position along depth, brightness from confidence.

    Steps along the ramp look equal, so neighbouring layers differ equally everywhere.

    Args:
        position: 0 first layer to 1 last layer; NaN becomes transparent.
        confidence: 0 dark to 1 full colour; None means 1.

    Returns:
        RGBA in 0..1.
    """
    position = np.asarray(position, dtype=float)
    anchors = _hex_to_lab(LAYER_ANCHORS[_checked(palette)])
    along, places = np.clip(np.nan_to_num(position), 0.0, 1.0), np.linspace(0, 1, len(anchors))
    lab = np.stack([np.interp(along, places, anchors[:, axis]) for axis in range(3)], axis=-1)
    if confidence is not None:
        rise = np.log1p(STEEPNESS * np.clip(np.nan_to_num(confidence), 0.0, 1.0)) / np.log1p(STEEPNESS)
        kept = DARKEST + (1.0 - DARKEST) * rise
        lab = lab * kept[..., None]
    return _rgba(lab, visible=np.isfinite(position))


def space_colours(space: Float[np.ndarray, "*shape 2"], palette: Palette = "default") -> Float[np.ndarray, "*shape 4"]:
    """Colour of a place in the image: the corners' colours mixed bilinearly in CIELAB, pale at the centre.

    Args:
        space: x (right) and y (down) in -1..1; places beyond are shown as the edge, NaN transparent.

    Returns:
        RGBA in 0..1.
    """
    space = np.asarray(space, dtype=float)
    corners = _hex_to_lab(SPACE_CORNERS[_checked(palette)])
    x, y = np.moveaxis((np.clip(np.nan_to_num(space), -1.0, 1.0) + 1.0) / 2.0, -1, 0)[..., None]
    top = (1.0 - x) * corners[0] + x * corners[1]
    bottom = (1.0 - x) * corners[2] + x * corners[3]
    lab = (1.0 - y) * top + y * bottom
    lab[..., :1] += CENTRE_LIGHTNESS[palette] * 16.0 * x * (1.0 - x) * y * (1.0 - y)
    return _rgba(lab, visible=np.isfinite(space).all(axis=-1))


def scalar_colormap(quantity: Quantity, palette: Palette = "default") -> Colormap:
    """The matplotlib colour map of a quantity; values that are NaN are transparent.

    Args:
        quantity: ``"scale"`` (local to global), ``"score"`` (R^2, noise ceiling) or ``"difference"``, which
            is white in the middle.

    Raises:
        UnknownNameError: if there is no such quantity.
    """
    maps = SCALAR_MAPS[_checked(palette)]
    if quantity == "difference":
        # An odd number of colours, so that no difference is the white in the middle.
        ramp = LinearSegmentedColormap.from_list("difference", DIFFERENCE_ANCHORS[palette], N=257)
        return ramp.with_extremes(bad=(0, 0, 0, 0))
    if quantity not in maps:
        raise UnknownNameError("quantity", quantity, get_args(Quantity))
    return colormaps[maps[quantity]].with_extremes(bad=(0, 0, 0, 0), under="#5b6670")


def scalar_colours(
    values: Float[np.ndarray, "*shape"], limits: tuple[float, float], colormap: Colormap
) -> Float[np.ndarray, "*shape 4"]:
    """Colour of a scalar between two limits.

    Args:
        values: any numbers; NaN becomes transparent, values below the limits slate grey (the first colour,
            of differences), above them the last colour.
        limits: values of the first and the last colour.
        colormap: from :func:`scalar_colormap`.

    Returns:
        RGBA in 0..1.
    """
    return np.asarray(colormap(Normalize(*limits)(np.ma.masked_invalid(values))), dtype=float)


def class_colours(
    count: int, palette: Palette = "default", named: MappingType[str, Sequence[str]] = ROI_COLOURS
) -> Float[np.ndarray, "roi 4"]:
    """RGBA of so many regions, or clusters (``CLUSTER_COLOURS``); after the last the colours come again, lighter."""
    base = to_rgba_array(named[_checked(palette)])
    lighter = np.arange(count) // len(base) / (1 + count // len(base))
    colours = base[np.arange(count) % len(base)]
    colours[:, :3] += (1 - colours[:, :3]) * lighter[:, None]
    return np.asarray(colours)


def _checked(palette: str) -> str:
    """The name of a palette, or an UnknownNameError."""
    if palette not in LAYER_ANCHORS:
        raise UnknownNameError("palette", palette, get_args(Palette))
    return palette


def _hex_to_lab(colours: tuple[str, ...]) -> Float[np.ndarray, "colour 3"]:
    return np.asarray(rgb2lab(np.array([to_rgb(colour) for colour in colours])))


def _rgba(lab: Float[np.ndarray, "*shape 3"], visible: np.ndarray) -> Float[np.ndarray, "*shape 4"]:
    # lab2rgb works along the last axis of arrays of at least two dimensions.
    rgb = np.clip(lab2rgb(lab.reshape(-1, 1, 3)), 0.0, 1.0).reshape(lab.shape)
    return np.concatenate([rgb, np.asarray(visible, dtype=float)[..., None]], axis=-1)
