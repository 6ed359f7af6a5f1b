"""Figures of a change of weights show what was planted: both networks, what each ROI lost and moved."""

import numpy as np
import pytest
from fake_mapping import fake_mapping_and_truth

from factortopy.analysis import change, layer_position
from factortopy.cortex import ALL_VOXELS
from factortopy.plot import change_bars, change_maps, to_png

AFTER = "timm/vit_test-finetuned-EuroSAT"


@pytest.fixture(scope="module")
def found():
    """R^2 falls by 30 % everywhere; half of each voxel's share moves two layers on, round the end."""
    before, _ = fake_mapping_and_truth()
    share, r2 = before.dataset["layer_share"].values, before.dataset["r2"].values
    moved = (share + np.roll(share, 2, axis=1)) / 2
    return change(with_draws(before, share, r2), with_draws(before, moved, 0.7 * r2, network=AFTER))


def with_draws(mapping, share, r2, **attributes):
    """A mapping of these shares and scores, with draws of both by region."""
    depth = layer_position(share)
    members = [*mapping.rois.values(), np.ones(len(r2), dtype=bool)]
    noise = np.random.default_rng(0).normal(0, 0.01, (200, 1))
    drawn = {
        f"drawn_{name}": (("draw", "region"), np.array([values[inside].mean() for inside in members]) + noise)
        for name, values in (("r2", r2), ("depth", depth))
    }
    variables = {"layer_share": (("voxel", "layer"), share), "depth": ("voxel", depth), "r2": ("voxel", r2)}
    dataset = mapping.dataset.assign(variables | drawn)
    dataset = dataset.assign_coords(region=np.array([*mapping.rois, ALL_VOXELS])).assign_attrs(**attributes)
    return type(mapping)(dataset)


def texts(figure):
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_maps_stand_beside_each_other_with_their_networks(found):
    figure = change_maps(found)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["before: timm/vit_test", f"after: {AFTER}"]
    assert "change of R²" in titles
    assert "SIMULATED SUBJECT" in texts(figure)
    assert len([axes for axes in figure.axes if axes.images and axes.get_gid() != "key"]) >= 4
    assert to_png(figure).startswith(b"\x89PNG")


def test_bars_show_the_planted_loss(found):
    figure = change_bars(found)
    scores, index, depth = figure.axes
    assert index.get_title(loc="left") == "forgetting index"
    shown = [line.get_xdata()[0] for line in index.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(shown, 0.3, atol=1e-6)
    predicted = found.regions["forgetting"].dropna()
    assert len(shown) == len(predicted) < len(found.regions)  # the others say that they were not predicted
    moved = [line.get_xdata()[0] for line in depth.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(moved, found.regions["depth_change"])
    squares = [line.get_xdata()[0] for line in scores.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(squares, found.regions["r2_before"])
    assert any(f"after: {AFTER}" in text and "slope" in text for text in texts(figure))
