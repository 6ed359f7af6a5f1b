"""Hierarchy slope against SciPy's regression and planted lines."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import linregress

from factortopy.analysis import PAPER_LEVELS, fit_slope, hierarchy_slope, layer_position
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping


@pytest.fixture
def rois():
    index = np.arange(50)
    return {
        "V1": index < 5,
        "V2V3": (index >= 5) & (index < 20),
        "OPA": (index >= 20) & (index < 30),
        "EBA": index >= 40,
    }


def levels_of(rois):
    return np.sum([level * rois[name] for name, level in PAPER_LEVELS.items()], axis=0)


def test_slope_equals_scipy(rois):
    rng = np.random.default_rng(0)
    depth = rng.random(50)
    inside = np.any(list(rois.values()), axis=0)
    expected = linregress(levels_of(rois)[inside], depth[inside])
    found = fit_slope(depth, rois)
    assert found.slope == pytest.approx(expected.slope)
    assert found.b0 == pytest.approx(expected.intercept)
    assert found.b1 == pytest.approx(expected.intercept + expected.slope)
    assert found.voxels == {"V1": 5, "V2V3": 15, "OPA": 10, "EBA": 10}


def test_planted_line_is_found_past_nan(rois):
    depth = 0.2 + 0.6 * levels_of(rois)
    depth[[2, 45]] = np.nan
    found = fit_slope(depth, rois)
    assert (found.slope, found.b0, found.b1) == pytest.approx((0.6, 0.2, 0.8))
    assert found.voxels["V1"] == 4


def test_layer_position_runs_from_zero_to_one():
    np.testing.assert_allclose(layer_position(np.eye(5)), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(layer_position(np.full((2, 4), 0.25)), 0.5)
    np.testing.assert_allclose(layer_position(np.ones((3, 1))), 0)


def test_a_missing_roi_is_named(rois):
    del rois["OPA"]
    with pytest.raises(UnknownNameError, match="unknown ROI 'OPA'"):
        fit_slope(np.zeros(50), rois)


def test_one_level_has_no_slope(rois):
    with pytest.raises(DataError, match="two levels"):
        fit_slope(np.zeros(50), rois, {"V1": 0.0})


def test_slope_of_share_and_selector_are_told_apart(rois):
    eye = np.eye(4)
    share = eye[np.round(levels_of(rois) * 3).astype(int)]
    dataset = xr.Dataset(
        {
            "space": (("voxel", "axis"), np.zeros((50, 2))),
            "layer": (("voxel", "layer"), np.full((50, 4), 0.25)),
            "scale": (("voxel",), np.zeros(50)),
            "r2": (("voxel",), np.zeros(50)),
            "layer_share": (("voxel", "layer"), share),
        },
        coords={f"roi_{name}": (("voxel",), inside) for name, inside in rois.items()},
    )
    assert hierarchy_slope(Mapping(dataset)).slope == pytest.approx(1, abs=0.02)
    assert hierarchy_slope(Mapping(dataset), "layer").slope == pytest.approx(0, abs=1e-9)
    with pytest.raises(UnknownNameError, match="source of depth"):
        hierarchy_slope(Mapping(dataset), "depth")
