"""Surrogates keep what they must, find what is there, and do not find what is not."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr

from factortopy.analysis import correlation_test, slope_test, surrogate_maps
from factortopy.analysis.hierarchy import nulls
from factortopy.analysis.hierarchy.nulls import moran_eigenvectors
from factortopy.errors import DataError, ShapeError

RADIUS = 100.0


@pytest.fixture(scope="module")
def cortex():
    """Part of a sphere with a straight edge: 160 places, evenly spread."""
    number = np.arange(1_400) + 0.5
    polar, angle = np.arccos(1 - number / 700), np.pi * (1 + 5**0.5) * number
    places = RADIUS * np.stack([np.cos(angle) * np.sin(polar), np.sin(angle) * np.sin(polar), np.cos(polar)], axis=1)
    return places[(places[:, 2] > 50) & (places[:, 0] > -20)][:160]


def smooth_maps(cortex, count, length, seed):
    covariance = np.exp(-(cdist(cortex, cortex) ** 2) / (2 * length**2)) + 1e-6 * np.eye(len(cortex))
    noise = np.random.default_rng(seed).normal(size=(len(cortex), count))
    return (np.linalg.cholesky(covariance) @ noise).T


def moran(values, cortex):
    """Moran's I with inverse distances, from its definition."""
    distance = cdist(cortex, cortex)
    weights = np.divide(1, distance, out=np.zeros_like(distance), where=distance > 0)
    centred = values - values.mean()
    return len(values) / weights.sum() * (centred @ weights @ centred) / (centred @ centred)


def test_surrogates_keep_mean_variance_and_autocorrelation(cortex):
    values = smooth_maps(cortex, 1, 20.0, 0)[0]
    drawn = surrogate_maps(values, cortex, 20)
    np.testing.assert_allclose(drawn.mean(axis=1), values.mean(), atol=1e-9)
    np.testing.assert_allclose(drawn.std(axis=1), values.std(), rtol=1e-9)
    np.testing.assert_allclose([moran(one, cortex) for one in drawn], moran(values, cortex), rtol=1e-9)
    assert np.abs(np.corrcoef(drawn)[np.triu_indices(20, 1)]).mean() < 0.6


def test_eigenvectors_and_surrogates_are_those_of_brainspace():
    """Its values stand beside this file, from ``brainspace_values.py``: of seven digits, their signs free."""
    text = Path(__file__).with_name("brainspace_values.json").read_text(encoding="utf-8")
    theirs = {name: np.array(value) for name, value in json.loads(text).items()}
    ours = moran_eigenvectors(theirs["coordinates"])
    weights = 1 / (cdist(theirs["coordinates"], theirs["coordinates"]) + np.diag(np.full(24, np.inf)))
    eigenvalues = np.einsum("ve,vw,we->e", ours, weights, ours)
    np.testing.assert_allclose(eigenvalues, np.sort(theirs["eigenvalues"]), atol=1e-6)
    order = theirs["eigenvalues"].argsort()
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs["eigenvectors"][:, order]), atol=2e-7)
    # Coefficients of a surrogate are the map's own, but for their signs.
    coefficients = np.abs(theirs["values"] @ ours)
    np.testing.assert_allclose(np.abs(theirs["surrogates"] @ ours), np.tile(coefficients, (3, 1)), atol=2e-6)
    drawn = surrogate_maps(theirs["values"], theirs["coordinates"], 3)
    np.testing.assert_allclose(np.abs(drawn @ ours), np.tile(coefficients, (3, 1)), atol=1e-9)


def test_the_unit_of_length_does_not_matter(cortex):
    np.testing.assert_allclose(np.abs(moran_eigenvectors(1e-3 * cortex)), np.abs(moran_eigenvectors(cortex)), atol=1e-6)


def test_independent_smooth_maps_are_called_related_in_five_per_cent(cortex):
    """Counting voxels calls most of them related; surrogates keep the rate they promise."""
    pairs = smooth_maps(cortex, 500, 20.0, 1).reshape(250, 2, -1)
    naive = [pearsonr(*pair).pvalue for pair in pairs]
    ours = [correlation_test(*pair, cortex, count=99, seed=i).p for i, pair in enumerate(pairs)]
    assert np.mean(np.array(naive) < 0.05) > 0.4
    # At a true rate of 5 %, 21 of 250 or fewer in 99 % of cases.
    assert np.mean(np.array(ours) <= 0.05) <= 21 / 250


def test_related_maps_are_found(cortex):
    maps = smooth_maps(cortex, 2, 8.0, 2)
    found = correlation_test(maps[0], maps[0] + 0.3 * maps[1], cortex, count=199)
    assert found.p == pytest.approx(1 / 200)
    assert found.low < 0 < found.high < found.value


def test_a_slope_along_the_cortex_is_found_and_one_of_noise_is_not(cortex):
    order = cortex[:, 1].argsort().argsort()
    rois = {name: order // 40 == place for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))}
    level = np.array([0.0, 0.33, 0.66, 1.0])[order // 40]
    noise = smooth_maps(cortex, 30, 8.0, 4)
    assert slope_test(level + 0.05 * noise[0], rois, cortex, count=199).value == pytest.approx(1, abs=0.1)
    tested = [slope_test(values, rois, cortex, count=99).p for values in noise]
    assert np.mean(np.array(tested) <= 0.05) <= 5 / 30


def test_bad_input_is_one_line(cortex):
    with pytest.raises(DataError, match="finite"):
        surrogate_maps(np.full(160, np.nan), cortex)
    with pytest.raises(DataError, match="one position"):
        surrogate_maps(np.zeros(160), np.zeros((160, 3)))
    with pytest.raises(ShapeError, match="need coordinates"):
        surrogate_maps(np.zeros(5), cortex)
    with pytest.raises(DataError, match="ten voxels"):
        correlation_test(np.full(160, np.nan), np.zeros(160), cortex)


@pytest.mark.parametrize("known", [9, 10])
def test_ten_voxels_are_enough(cortex, known):
    values = np.where(np.arange(160) < known, cortex[:, 0], np.nan)
    if known < 10:
        with pytest.raises(DataError, match="ten voxels or more with values, got 9"):
            correlation_test(values, cortex[:, 1], cortex, count=19)
    else:
        expected = np.corrcoef(values[:known], cortex[:known, 1])[0, 1]
        assert correlation_test(values, cortex[:, 1], cortex, count=19).value == pytest.approx(expected)


def test_a_test_is_of_the_statistic_of_every_surrogate(cortex, monkeypatch):
    maps, order = smooth_maps(cortex, 2, 15.0, 5), cortex[:, 1].argsort().argsort()
    surrogates = surrogate_maps(maps[0], cortex, 59, seed=3)
    null = [np.corrcoef(one, maps[1])[0, 1] for one in surrogates]
    found = correlation_test(*maps, cortex, count=59, seed=3)
    assert found.value == pytest.approx(np.corrcoef(*maps)[0, 1])
    assert found.p == pytest.approx((1 + (np.abs(null) >= abs(found.value)).sum()) / 60)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(null, [2.5, 97.5])))
    assert (found.surrogates, found.voxels) == (59, 160)
    levels = {"a": 0.0, "b": 0.4, "c": 1.0}
    rois = {name: order % 4 == place for place, name in enumerate("abcd")}
    used = ~rois["d"]
    x = np.select([rois[name] for name in "abc"], list(levels.values()))[used]
    slopes = [np.polyfit(x, one, 1)[0] for one in surrogate_maps(maps[0][used], cortex[used], 59, seed=3)]
    found = slope_test(maps[0], rois, cortex, levels, count=59, seed=3)
    assert found.voxels == 120
    assert found.value == pytest.approx(np.polyfit(x, maps[0][used], 1)[0])
    assert found.p == pytest.approx((1 + (np.abs(slopes) >= abs(found.value)).sum()) / 60)
    # Of more voxels than eigenvectors can be had of, some are drawn.
    monkeypatch.setattr(nulls, "MOST_VOXELS", 40)
    assert correlation_test(*maps, cortex, count=9).voxels == 40


def test_one_map_has_correlation_1_and_the_smallest_p(cortex):
    """The surrogates' equal is the map itself; its negative is as far from 0."""
    values = smooth_maps(cortex, 1, 15.0, 6)[0]
    for other in (values, -values):
        assert correlation_test(values, other, cortex, count=19).p == pytest.approx(1 / 20)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.1])
def test_a_map_that_does_not_vary_is_no_finding(cortex, level):
    """0.1 is not a sum of powers of two: its mean over voxels is off by rounding, which must not be correlated."""
    values, even = smooth_maps(cortex, 1, 15.0, 7)[0], np.full(160, level)
    for pair in ((even, values), (values, even), (even, even)):
        found = correlation_test(*pair, cortex, count=19)
        assert np.isnan([found.value, found.p, found.low, found.high]).all()
        assert (found.surrogates, found.voxels) == (19, 160)
    rois = {name: np.arange(160) // 40 == place for place, name in enumerate(("V1", "V2V3", "OPA", "EBA"))}
    found = slope_test(even, rois, cortex, count=19)
    assert (found.value, found.p, found.low, found.high) == (0, 1, 0, 0)
