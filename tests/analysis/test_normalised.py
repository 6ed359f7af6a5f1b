"""Scores against the noise ceiling: formulas by hand, masks that are counted, planted truth."""

import numpy as np
import pytest
import xarray as xr

from factortopy.analysis import ceiling_facts, normalised, r_squared, roi_scores
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping
from factortopy.subjects import noise_ceiling_from_ncsnr


def mapping(r2, ceiling=None, attributes=None, provenance=None, **rois):
    voxels = len(r2)
    variables = {
        "space": (("voxel", "axis"), np.zeros((voxels, 2))),
        "layer": (("voxel", "layer"), np.ones((voxels, 1))),
        "scale": ("voxel", np.zeros(voxels)),
        "r2": ("voxel", np.asarray(r2, float)),
    }
    if ceiling is not None:
        variables["ceiling"] = ("voxel", np.asarray(ceiling, float))
    coordinates = {f"roi_{name}": ("voxel", np.asarray(inside, bool)) for name, inside in rois.items()}
    facts = {"rois": list(rois)} | (attributes or {})
    return Mapping(xr.Dataset(variables, coordinates, facts), provenance=provenance or {})


def test_divides_where_the_ceiling_reaches_the_threshold_and_clips_nothing():
    r2 = np.array([0.1, -0.2, 0.3, 0.02, 0.1, np.nan])
    ceiling = np.array([0.2, 0.4, 0.2, 0.04, 0.05, 0.5])
    found = normalised(r2, ceiling, threshold=0.05)
    np.testing.assert_allclose(found.values, [0.5, -0.5, 1.5, np.nan, 2.0, np.nan])
    assert found.masked == 2
    assert found.threshold == 0.05
    assert normalised(r2, ceiling, threshold=0.3).masked == 5
    ends = normalised(np.full(2, 0.5), np.array([0.0, 1.0]), threshold=1.0)
    np.testing.assert_array_equal(ends.values, [np.nan, 0.5])


def test_a_perfect_model_has_normalised_score_1():
    random, voxels, images = np.random.default_rng(0), 300, 2_000
    ncsnr = random.uniform(0.4, 2, voxels)
    signal = random.standard_normal((images, voxels)) * ncsnr
    repeats = random.integers(1, 4, images)
    responses = signal + random.standard_normal((images, voxels)) / np.sqrt(repeats)[:, None]
    ceiling = noise_ceiling_from_ncsnr(ncsnr, np.bincount(repeats)[1:])
    found = normalised(r_squared(responses, signal), ceiling)
    assert np.nanmean(found.values) == pytest.approx(1, abs=0.01)


def test_rois_in_their_order_then_all():
    table = roi_scores(
        mapping([0.1, 0.2, 0.3, np.nan], [0.2, 0.01, 0.5, 0.5], B=[0, 1, 1, 0], A=[1, 0, 0, 1], none=[0] * 4)
    )
    scores = list(table.itertuples())
    assert [score.roi for score in scores] == ["B", "A", "none", "all voxels"]
    assert [score.voxels for score in scores] == [2, 2, 0, 4]
    assert scores[0].r2 == pytest.approx(0.25)
    assert scores[0].ceiling == pytest.approx(0.255)
    assert scores[0].normalised == pytest.approx(0.6)
    assert [score.masked for score in scores] == [1, 1, 0, 2]
    assert np.isnan(scores[2].r2)
    assert scores[3].r2 == pytest.approx(0.2)
    assert scores[3].normalised == pytest.approx((0.5 + 0.6) / 2)


def test_the_ceiling_of_an_roi_is_of_the_voxels_that_have_a_score():
    """A dead voxel's ceiling of 0 would put R² above the ceiling of the others."""
    table = roi_scores(mapping([0.4, 0.4, np.nan, np.nan], [0.5, 0.5, 0, 0], A=[1, 1, 1, 0]))
    assert table["ceiling"].tolist() == pytest.approx([0.5, 0.5])
    assert not (table["r2"] > table["ceiling"]).any()


def test_without_a_ceiling_only_raw_scores():
    (score,) = roi_scores(mapping([0.1, 0.3])).itertuples()
    assert (score.r2, score.masked) == (pytest.approx(0.2), 2)
    assert np.isnan([score.ceiling, score.normalised]).all()


def test_facts_of_the_ceiling():
    made = mapping([0.1], [0.2], {"repeats_test": [3, 0, 7]}, {"subject": {"noise_ceiling": "a formula"}})
    assert ceiling_facts(made) == ("a formula", {1: 3, 3: 7})
    assert ceiling_facts(mapping([0.1], [0.2])) == ("as the subject gave it", {})


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones(2), np.ones(3)), ShapeError, "same voxels"),
        ((np.ones(2), np.ones(2), 0.0), DataError, "above 0"),
        ((np.ones(2), np.ones(2), 1.5), DataError, "at most 1"),
        ((np.ones(2), np.array([0.5, 50])), DataError, "divide percentages"),
    ],
)
def test_errors_say_what_to_do(arguments, error, message):
    with pytest.raises(error, match=message):
        normalised(*arguments)
