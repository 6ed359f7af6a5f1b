"""Confidence and the regulariser against SciPy and at their limits."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from factortopy.model import Selection, confidence, softness_penalty


@pytest.fixture
def layer():
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(2).softmax(dim=-1)


def test_confidence_equals_equation_2(layer):
    np.testing.assert_allclose(confidence(layer), 1 - entropy(layer.numpy(), axis=1) / np.log(5), atol=1e-12)


def test_confidence_of_one_hot_uniform_and_single_layers():
    assert confidence(torch.eye(4)).tolist() == [1, 1, 1, 1]
    assert confidence(torch.full((1, 4), 0.25)).item() == pytest.approx(0, abs=1e-6)
    assert confidence(torch.ones(2, 1)).tolist() == [1, 1]


def test_softness_penalty_equals_the_formula(layer):
    scale = torch.linspace(0, 1, 6, dtype=torch.float64)
    expected = -entropy(layer.numpy(), axis=1).mean() / np.log(5) + ((scale.numpy() - 0.5) ** 2).mean()
    assert softness_penalty(Selection(torch.zeros(6, 2), layer, scale)).item() == pytest.approx(expected, abs=1e-10)


def test_softness_penalty_has_a_finite_gradient_at_one_hot_weights():
    layer = torch.eye(4).requires_grad_()
    softness_penalty(Selection(torch.zeros(4, 2), layer, torch.zeros(4))).backward()
    assert torch.isfinite(layer.grad).all()
