"""Confidence and the regulariser against SciPy and at their limits."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from factortopy.machine import threads
from factortopy.model import PositionEncoding, Selection, TopologicalSelectors, confidence, selectors, softness_penalty


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


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_blocks_of_voxels_in_threads_give_what_all_at_once_give(monkeypatch, precision):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "processors", lambda: 3)
    generator = torch.Generator().manual_seed(0)
    places = 100 * torch.rand(50, 3, generator=generator)
    made = TopologicalSelectors(places, PositionEncoding(np.array([[0.0, 0, 0], [100, 100, 100]])), 4)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    weight = torch.randn(50, generator=generator)
    found = []
    for block in (selectors.BLOCK, 7):
        monkeypatch.setattr(selectors, "BLOCK", block)
        with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
            space, layer, scale, _ = made()
        total = (weight * (space.sum(dim=1) + layer[:, 1] + scale)).sum()
        found.append((space, layer, scale, *torch.autograd.grad(total, list(made.parameters()))))
    for whole, blocks in zip(*found, strict=True):
        assert whole.dtype == blocks.dtype == torch.float32
        assert (whole - blocks).norm() <= (1e-5 if precision is None else 2e-2) * whole.norm()
    with torch.inference_mode():
        torch.testing.assert_close(made().space, found[0][0], rtol=1e-2, atol=1e-2)
