"""Scores against scikit-learn and NumPy."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from factortopy.analysis import correlation, r_squared
from factortopy.errors import ShapeError


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


def test_constant_voxels_have_no_score(pair):
    responses, predictions = pair[0].copy(), pair[1]
    responses[:, 3] = 2.0
    assert np.isnan(r_squared(responses, predictions)[3])
    assert np.isnan(correlation(responses, predictions)[3])
    assert np.isfinite(np.delete(r_squared(responses, predictions), 3)).all()


def test_shapes_that_differ_are_refused(pair):
    with pytest.raises(ShapeError, match=r"\(30, 6\) and predictions \(29, 6\)"):
        r_squared(pair[0], pair[1][:29])
