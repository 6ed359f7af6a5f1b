"""Voxels whose held-out responses never change have no R^2: what they seem to read is neither painted nor averaged."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_mappings import VOXELS, tiny_mapping

from factortopy.analysis import estimate, fit_slope, hierarchy_slope, voxel_values
from factortopy.analysis.estimates.bootstrap import PredictedParts, uncertainty
from factortopy.mapping import Mapping
from factortopy.plot.style import chosen, values_of
from factortopy.reporting.pages import roi_rows

NOTHING = np.isin(np.arange(VOXELS), [3, 7, 21, 50])


@pytest.fixture
def pair():
    """Two mappings that differ in nothing but what voxels without R^2 seem to read."""
    r2, depth = np.where(NOTHING, np.nan, 0.3), np.linspace(0.1, 0.9, VOXELS)
    return tuple(tiny_mapping(r2, depth=np.where(NOTHING, wild, depth), drawn=False) for wild in (0.0, 1.0))


def test_nothing_that_is_read_depends_on_them(pair):
    one, other = pair
    for mapping in pair:
        assert np.array_equal(np.isnan(voxel_values(mapping, "depth")), NOTHING)
        assert np.array_equal(np.isnan(voxel_values(mapping, "x")), NOTHING)
        assert np.array_equal(np.isnan(values_of(mapping, "space")).any(axis=1), NOTHING)
        assert np.array_equal(np.isnan(chosen(mapping, "layer", "selector")[0]).any(axis=1), NOTHING)
    assert estimate(one, "depth", "V1") == estimate(other, "depth", "V1")
    assert roi_rows(one) == roi_rows(other)
    assert hierarchy_slope(one) == hierarchy_slope(other)
    kept = {name: inside & ~NOTHING for name, inside in one.rois.items()}
    expected = fit_slope(np.linspace(0.1, 0.9, VOXELS), kept)
    assert hierarchy_slope(one).slope == pytest.approx(expected.slope)
    assert hierarchy_slope(one).voxels == {name: int(inside.sum()) for name, inside in kept.items()}


def test_they_are_not_painted(pair):
    from factortopy.plot.keys import LayerKey

    weights, _ = chosen(pair[0], "layer", "share")
    rgba = LayerKey(pair[0].layers).colours(weights)
    np.testing.assert_array_equal(rgba[:, 3] == 0, NOTHING)


def test_imported_weights_without_any_r2_keep_what_they_read(pair):
    mapping = Mapping(pair[0].dataset.assign(r2=("voxel", np.full(VOXELS, np.nan))))
    assert np.isfinite(voxel_values(mapping, "depth")).all()


def test_draws_leave_them_out():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(30, VOXELS)) for _ in range(4)]
    rois = tiny_mapping(0.1).rois
    names = [f"{row}" for row in range(30)]
    whole = PredictedParts(parts[0], parts[1], parts[2], parts[3], names, rois)
    constant = replace(whole, responses=np.where(NOTHING, 2.0, parts[0]))
    without = replace(whole, rois={name: inside & ~NOTHING for name, inside in rois.items()})
    found, expected = (uncertainty(measured, resamples=12) for measured in (constant, without))
    for name in ("drawn_slope", "drawn_b0"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)
    for name in ("drawn_r2", "drawn_depth", "drawn_scale"):
        np.testing.assert_allclose(found[name][:, :-1], expected[name][:, :-1], atol=1e-6)
    assert np.array_equal(np.isnan(found["depth_low"]), NOTHING)
