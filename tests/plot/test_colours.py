"""Colours under normal and under simulated colour-blind sight (Machado, Oliveira and Fernandes 2009)."""

import numpy as np
import pytest
from matplotlib import colormaps
from skimage.color import deltaE_ciede2000, rgb2lab

from factortopy.errors import UnknownNameError
from factortopy.plot import class_colours, layer_colours, scalar_colormap, scalar_colours, space_colours

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


def ucs(rgba):
    """CAM02-UCS (Luo, Cui and Li 2006), in which equal distances look equal."""
    colorspacious = pytest.importorskip("colorspacious", reason="an independent CAM02-UCS; factortopy[test] has it")
    return colorspacious.cspace_convert(np.asarray(rgba)[:, :3], "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
@pytest.mark.parametrize("name", ["layers", "scale", "score", "difference"])
def test_equal_steps_of_a_value_look_equal(name, palette):
    """No step is twice another; of the map "jet" one is nine times another, which this must find."""
    values = np.linspace(0, 1, 65)
    colours = layer_colours(values, palette=palette) if name == "layers" else scalar_colormap(name, palette)(values)
    steps, worst = (np.linalg.norm(np.diff(ucs(row), axis=0), axis=1) for row in (colours, colormaps["jet"](values)))
    assert steps.max() < 1.8 * steps.min()
    assert steps.std() < 0.15 * steps.mean()
    assert worst.max() > 4 * worst.min()
    assert steps.sum() > 80  # and they are large enough to be told apart


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_differences_are_alike_on_both_sides_of_white(palette):
    colours = ucs(scalar_colormap("difference", palette)(np.linspace(0, 1, 65)))
    reach = np.linalg.norm(colours - colours[32], axis=1)
    np.testing.assert_allclose(reach[:32][::-1], reach[33:], rtol=0.15, atol=2)
    lightness = colours[:, 0]
    assert (np.diff(lightness[:33]) > 0).all()
    assert (np.diff(lightness[32:]) < 0).all()


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_layers_stay_apart(palette, sight):
    distance = pairwise(seen(layer_colours(np.linspace(0, 1, 12), palette=palette), sight))
    apart = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    assert distance[apart >= 1].min() > 3  # any two, well above a just noticeable difference of 1
    assert distance[apart >= 2].min() > 7
    assert distance[apart >= 3].min() > 10
    assert distance[0, -1] > 40


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_layers_of_the_colour_blind_palette_only_go_away_from_the_first(sight):
    distance = pairwise(seen(layer_colours(np.linspace(0, 1, 12), palette="colour-blind"), sight))
    assert np.all(np.diff(distance[0]) > 0)


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_both_ends_of_a_difference_are_told_apart(palette, sight):
    """By sight of any kind, at equal strength: no red is a blue."""
    colours = seen(scalar_colormap("difference", palette)(np.linspace(0, 1, 65)), sight)
    distance = deltaE_ciede2000(colours[:32][::-1], colours[33:])
    assert distance[4:].min() > 8


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_regions_are_told_apart(sight):
    distance = pairwise(seen(class_colours(8), sight))
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > 6


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
def test_colour_blind_layers_rise_in_lightness(sight):
    lightness = seen(layer_colours(np.linspace(0, 1, 24), palette="colour-blind"), sight)[:, 0]
    assert np.all(np.diff(lightness) > 0)
    assert lightness[-1] - lightness[0] > 40


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_neighbouring_layers_differ_for_normal_sight(palette):
    distance = pairwise(seen(layer_colours(np.linspace(0, 1, 12), palette=palette), "normal"))
    assert np.diag(distance, 1).min() > 7


@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_confidence_is_brightness(palette):
    position = np.repeat(np.linspace(0, 1, 6)[:, None], 9, axis=1)
    confidence = np.repeat(np.linspace(0, 1, 9)[None], 6, axis=0)
    colours = layer_colours(position, confidence, palette)
    lightness = seen(colours, "normal")[:, 0].reshape(6, 9)
    assert np.all(np.diff(lightness, axis=1) > 0)
    np.testing.assert_allclose(colours[:, -1], layer_colours(position[:, 0], palette=palette))


@pytest.mark.parametrize("sight", ["normal", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("palette", ["default", "colour-blind"])
def test_space_keeps_both_axes(palette, sight):
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4)), axis=-1).reshape(-1, 2)
    distance = pairwise(seen(space_colours(grid, palette), sight))
    np.fill_diagonal(distance, np.inf)
    assert distance.min() > (4 if palette == "default" else 6)


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
