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


@pytest.mark.parametrize("layers", [1, 2])
def test_softness_penalty_of_few_layers(layers):
    """Of one layer nothing can be soft, of two a coin of even sides is as soft as can be."""
    even = Selection(torch.zeros(4, 2), torch.full((4, layers), 1 / layers), torch.tensor([0.5, 0.0, 1.0, 0.5]))
    assert softness_penalty(even).item() == pytest.approx(0.125 - (layers == 2))


def test_softness_penalty_has_a_finite_gradient_at_one_hot_weights():
    layer = torch.eye(4).requires_grad_()
    softness_penalty(Selection(torch.zeros(4, 2), layer, torch.zeros(4))).backward()
    assert torch.isfinite(layer.grad).all()


def test_departures_are_sums_before_tanh_softmax_and_sigmoid():
    generator = torch.Generator().manual_seed(0)
    raw = [[torch.randn(5, count, generator=generator).double() for count in (2, 4, 1)] for _ in range(2)]
    whole = [one + other for one, other in zip(*raw, strict=True)]
    own, by, expected = (
        Selection(space.tanh(), layer.softmax(dim=1), scale[:, 0].sigmoid()) for space, layer, scale in (*raw, whole)
    )
    for found, wanted in zip(own.departed(by)[:3], expected[:3], strict=True):
        torch.testing.assert_close(found, wanted)


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
    found, blocks, one = [], [], selectors._block
    monkeypatch.setattr(selectors, "_block", lambda ctx, code: blocks.append(len(code)) or one(ctx, code))
    for block in (selectors.BLOCK, 7):
        assert not blocks
        monkeypatch.setattr(selectors, "BLOCK", block)
        with torch.autocast("cpu", dtype=precision or torch.bfloat16, enabled=precision is not None):
            space, layer, scale, _ = made()
        total = (weight * (space.sum(dim=1) + layer[:, 1] + scale)).sum()
        found.append((space, layer, scale, *torch.autograd.grad(total, list(made.parameters()))))
    # Three selectors, forward and backward.
    assert sorted(blocks) == sorted([7, 7, 7, 7, 7, 7, 7, 1] * 6)
    for whole, parts in zip(*found, strict=True):
        assert whole.dtype == parts.dtype == torch.float32
        assert (whole - parts).norm() <= (1e-5 if precision is None else 2e-2) * whole.norm()
    with torch.inference_mode():
        torch.testing.assert_close(made().space, found[0][0], rtol=1e-2, atol=1e-2)
