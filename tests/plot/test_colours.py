"""Colours under normal and under simulated colour-blind sight (Machado, Oliveira and Fernandes 2009)."""

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from factortopy.errors import UnknownNameError
from factortopy.plot import layer_colours, scalar_colormap, scalar_colours, space_colours

# Severity 1.0, for linear RGB; table of the paper.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def seen(rgba, sight):
    """CIELAB of what a viewer with the given sight sees."""
    rgb = np.asarray(rgba)[..., :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if sight != "normal":
        linear = np.clip(linear @ np.array(BLINDNESS[sight]).T, 0, 1)
    gamma = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(gamma.reshape(-1, 1, 3)).reshape(-1, 3)


def pairwise(lab):
    return deltaE_ciede2000(lab[:, None], lab[None, :])


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_colour_blind_layers_stay_apart(sight):
    lab = seen(layer_colours(np.linspace(0, 1, 12), palette="colour-blind"), sight)
    distance = pairwise(lab)
    assert np.diag(distance, 1).min() > 3  # neighbours, well above a just noticeable difference of 1
    assert np.diag(distance, 3).min() > 9
    assert distance[0, -1] > 60
    # The further apart two layers, the further apart their colours: no layer returns to an earlier colour.
    assert np.all(np.diff(distance[0]) > 0)


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_colour_blind_layers_rise_in_lightness(sight):
    lightness = seen(layer_colours(np.linspace(0, 1, 24), palette="colour-blind"), sight)[:, 0]
    assert np.all(np.diff(lightness) > 0)
    assert lightness[-1] - lightness[0] > 40


def test_default_layers_fail_where_the_alternative_holds():
    """The alternative is needed: under deuteranopia two distant layers of the default look nearly alike."""
    far_apart = np.abs(np.subtract.outer(np.arange(12), np.arange(12))) >= 3
    smallest = {
        palette: pairwise(seen(layer_colours(np.linspace(0, 1, 12), palette=palette), "deuteranopia"))[far_apart].min()
        for palette in ("default", "colour-blind")
    }
    assert smallest["colour-blind"] > smallest["default"]


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_neighbouring_layers_differ_for_normal_sight(palette):
    distance = pairwise(seen(layer_colours(np.linspace(0, 1, 12), palette=palette), "normal"))
    assert np.diag(distance, 1).min() > 5


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_confidence_is_brightness(palette):
    position = np.repeat(np.linspace(0, 1, 6)[:, None], 9, axis=1)
    confidence = np.repeat(np.linspace(0, 1, 9)[None], 6, axis=0)
    colours = layer_colours(position, confidence, palette)
    lightness = seen(colours, "normal")[:, 0].reshape(6, 9)
    assert np.all(np.diff(lightness, axis=1) > 0)
    np.testing.assert_allclose(colours[:, -1], layer_colours(position[:, 0], palette=palette))


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_colour_blind_space_keeps_both_axes(sight):
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4)), axis=-1).reshape(-1, 2)
    distance = pairwise(seen(space_colours(grid, palette="colour-blind"), sight))
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 5


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_space_colours_hold_the_corners_and_edge(palette):
    inside = space_colours(np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]), palette)
    beyond = space_colours(np.array([[-3.0, -1.0], [1.0, 7.0]]), palette)
    np.testing.assert_allclose(inside[:2], beyond)
    assert pairwise(seen(inside, "normal"))[0, 1] > 40


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("quantity", ["scale", "score"])
@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_scalars_rise_in_lightness(quantity, palette, sight):
    colours = scalar_colours(np.linspace(0, 1, 20), (0.0, 1.0), scalar_colormap(quantity, palette))
    assert np.all(np.diff(seen(colours, sight)[:, 0]) > 0)


def test_values_that_are_missing_are_transparent_and_below_are_marked():
    colours = scalar_colours(np.array([np.nan, -0.5, 0.0]), (0.0, 1.0), scalar_colormap("score"))
    assert colours[0, 3] == 0
    assert np.allclose(colours[1], scalar_colormap("score").get_under())
    assert not np.allclose(colours[1], colours[2])
    assert layer_colours(np.array([np.nan, 0.3]))[:, 3].tolist() == [0, 1]
    assert space_colours(np.array([[np.nan, 0.0], [0.0, 0.0]]))[:, 3].tolist() == [0, 1]


def test_unknown_palette_names_the_known_ones():
    with pytest.raises(UnknownNameError, match="colour-blind"):
        layer_colours(np.zeros(1), palette="color-blind")
