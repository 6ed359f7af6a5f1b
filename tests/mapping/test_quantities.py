"""Confidence and best layer by hand."""

import numpy as np

from factortopy.mapping import best_layer, layer_confidence


def test_confidence_formula():
    weights = np.array([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]])
    np.testing.assert_allclose(layer_confidence(weights), [1.0, 0.0, 0.5], atol=1e-12)
    np.testing.assert_allclose(layer_confidence(np.array([[0.6, 0.6, -0.2, 0.0]])), [0.5])
    assert np.isnan(layer_confidence(np.full((1, 4), np.nan))).all()
    np.testing.assert_array_equal(layer_confidence(np.ones((2, 1))), [1.0, 1.0])


def test_best_layer_is_a_position_in_depth():
    weights = np.array([[0.1, 0.6, 0.3], [0.0, 0.0, 1.0], [np.nan, 0.5, 0.5]])
    np.testing.assert_array_equal(best_layer(weights), [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(best_layer(np.ones((2, 1))), [0.0, 0.0])
