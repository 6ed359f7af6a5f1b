"""Scores against scikit-learn and NumPy."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from factortopy.analysis import algonauts_score, brain_score, correlation, r_squared
from factortopy.errors import DataError, ShapeError


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(30, 6))
    return responses, 0.5 * responses + rng.normal(size=(30, 6))


def test_r_squared_equals_scikit_learn(pair):
    np.testing.assert_allclose(r_squared(*pair), r2_score(*pair, multioutput="raw_values"))


def test_correlation_equals_numpy(pair):
    expected = [np.corrcoef(pair[0][:, i], pair[1][:, i])[0, 1] for i in range(6)]
    np.testing.assert_allclose(correlation(*pair), expected)


def test_the_mean_scores_zero_and_worse_is_negative(pair):
    responses, _ = pair
    mean = np.broadcast_to(responses.mean(axis=0), responses.shape)
    np.testing.assert_allclose(r_squared(responses, mean), 0, atol=1e-12)
    assert (r_squared(responses, -responses) < 0).all()


def test_the_unit_of_responses_does_not_matter(pair):
    small = [1e-4 * values for values in pair]
    np.testing.assert_allclose(r_squared(*small), r_squared(*pair))
    np.testing.assert_allclose(correlation(*small), correlation(*pair))


@pytest.mark.parametrize("value", [0.1, 0.7, 2.0, 1e3 / 3])
def test_constant_voxels_have_no_score(pair, value):
    """Also where the mean of equal numbers is not that number, as in single precision it seldom is."""
    responses, predictions = (values.astype(np.float32) for values in pair)
    responses[:, 3] = predictions[:, 4] = value
    r2, r = r_squared(responses, predictions), correlation(responses, predictions)
    assert np.flatnonzero(np.isnan(r2)).tolist() == [3]
    assert np.flatnonzero(np.isnan(r)).tolist() == [3, 4]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_whole_numbers_are_scored_as_numbers(pair, dtype):
    responses, predictions = (np.round(100 + 20 * values).astype(dtype) for values in pair)
    expected = r2_score(responses.astype(float), predictions.astype(float), multioutput="raw_values")
    np.testing.assert_allclose(r_squared(responses, predictions), expected, rtol=1e-5)
    for voxel, found in enumerate(correlation(responses, predictions)):
        expected = np.corrcoef(responses[:, voxel].astype(float), predictions[:, voxel])[0, 1]
        assert found == pytest.approx(expected, rel=1e-5)


def test_shapes_that_differ_are_refused(pair):
    with pytest.raises(ShapeError, match=r"\(30, 6\) and predictions \(29, 6\)"):
        r_squared(pair[0], pair[1][:29])
    with pytest.raises(ShapeError, match=r"must both be \(image, voxel\)"):
        correlation(pair[0][:, 0], pair[1][:, 0])


def test_algonauts_score_equals_the_challenge_step_by_step():
    rng = np.random.default_rng(4)
    r, ceiling = rng.uniform(-0.3, 0.9, 101), rng.uniform(0, 0.9, 101)
    ceiling[:5], r[7] = 0, np.nan
    accuracy = []
    for correlation_, limit in zip(r, ceiling, strict=True):
        if np.isnan(correlation_) or correlation_ <= 0:
            accuracy.append(0.0)
        elif limit == 0 or correlation_**2 > limit:
            accuracy.append(100.0)
        else:
            accuracy.append(100 * correlation_**2 / limit)
    assert algonauts_score(r, ceiling) == pytest.approx(sorted(accuracy)[50])
    assert 5 < algonauts_score(r, ceiling) < 95


def test_a_perfect_model_of_a_noisy_mean_scores_100_and_its_raw_r2_stays_at_the_ceiling():
    rng = np.random.default_rng(5)
    signal = rng.normal(size=(4000, 20))
    responses = signal + rng.normal(size=(3, 4000, 20)).mean(axis=0)
    ceiling = np.full(20, 1 / (1 + 1 / 3))
    assert algonauts_score(correlation(responses, signal), ceiling) == pytest.approx(100, abs=1.5)
    np.testing.assert_allclose(r_squared(responses, signal), 0.75, atol=0.04)
    # A prediction of the wrong scale loses raw R^2 and keeps the challenge's score.
    assert algonauts_score(correlation(responses, 9 * signal), ceiling) == pytest.approx(100, abs=1.5)
    assert r_squared(responses, 9 * signal).max() < 0


def test_algonauts_score_refuses_percentages_and_other_shapes():
    for ceiling in (50.0, 1.001, -0.001):
        with pytest.raises(DataError, match="divide percentages"):
            algonauts_score(np.full(3, 0.5), np.full(3, ceiling))
    assert algonauts_score(np.full(3, 0.5), np.ones(3)) == 25
    for r, ceiling in ((3, 4), ((3, 1), (3, 1)), (0, 0)):
        with pytest.raises(ShapeError, match=r"must both be \(voxel,\)"):
            algonauts_score(np.full(r, 0.5), np.full(ceiling, 0.5))


def test_the_brain_score_is_the_median_squared_over_the_median_of_the_ceilings_roots():
    r, ceiling = np.array([0.1, 0.3, 0.9]), np.array([0.25, 0.49, 0.81])
    assert brain_score(r, ceiling) == pytest.approx(0.3**2 / 0.7)
    for wrong in (np.full((3, 1), 0.5), np.zeros(0)):
        with pytest.raises(ShapeError, match="must both be"):
            brain_score(wrong, wrong)
