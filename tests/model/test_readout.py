"""The forms of the read-out against each other and against numerical gradients."""

import pytest
import torch

from factortopy.model import Selection, read_out
from factortopy.model import readout as module
from factortopy.model.readout import interpolation


def case(voxels=7, layers=3, batch=2, width=4, height=3, columns=5, space=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    place = (
        torch.rand(voxels, 2, generator=generator, dtype=dtype) * 2 - 1 if space is None else space.to(dtype)
    )
    parts = (
        draw(layers, batch, width, height, columns),
        draw(layers, batch, width),
        place,
        draw(voxels, layers).softmax(dim=-1),
        draw(voxels).sigmoid(),
        draw(voxels, width),
    )
    return tuple(part.requires_grad_() for part in parts)


def run(parts, form):
    local, global_, space, layer, scale, channels = parts
    return read_out(local, global_, Selection(space, layer, scale), channels, form)


CORNERS = torch.tensor([[-1, -1], [1, 1], [-1, 1], [1, -1], [-1, 0.1], [0.3, 1], [0.0, 0.0]])
CASES = {
    "anywhere": {},
    "corners and borders": {"space": CORNERS},
    "one cell": {"space": torch.full((7, 2), 0.03)},
    "one voxel": {"voxels": 1},
    "one layer": {"layers": 1},
    "one image": {"batch": 1},
    "one token": {"height": 1, "columns": 1},
}


@pytest.mark.parametrize("kind", CASES)
def test_grouped_form_equals_plain_form_with_gradients(kind):
    parts = case(**CASES[kind])
    weight = torch.randn(run(parts, "plain").shape, dtype=torch.float64)
    results = []
    for form in ("plain", "grouped"):
        value = run(parts, form)
        results.append((value, *torch.autograd.grad((value * weight).sum(), parts)))
    for plain, grouped in zip(*results, strict=True):
        torch.testing.assert_close(grouped, plain, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["plain", "grouped"])
def test_gradients_equal_finite_differences(form):
    # Places stay off the lines between cells, where a bilinear surface has a kink.
    parts = case(space=torch.tensor([[-0.93, 0.9], [0.11, 0.23], [0.97, -0.95], [0.12, 0.2]]), voxels=4)

    def function(*values):
        return run(values, form)

    assert torch.autograd.gradcheck(function, parts, eps=1e-6, atol=1e-7)


def test_chunks_change_nothing(monkeypatch):
    parts = case(voxels=30, dtype=torch.float32)
    whole = run(parts, "grouped")
    whole_gradient = torch.autograd.grad(whole.square().sum(), parts)
    monkeypatch.setattr(module, "CHUNK_NUMBERS", 1)
    small = run(parts, "grouped")
    torch.testing.assert_close(small, whole, rtol=1e-6, atol=1e-6)
    for left, right in zip(torch.autograd.grad(small.square().sum(), parts), whole_gradient, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_corner_weights_sum_to_one_and_find_token_centres():
    cell, weights = interpolation(torch.tensor([[-0.75, -0.75], [-0.6, 0.2]]), height=4, width=4)
    assert torch.allclose(weights.sum(dim=1), torch.ones(2))
    # The first token's centre lies half a token from the image's edge: in padded cells, row 1, column 1.
    assert cell[0] == 5 * 1 + 1
    assert torch.allclose(weights[0], torch.tensor([1.0, 0, 0, 0]), atol=1e-6)


def test_read_out_leaves_its_inputs_alone():
    parts = case()
    before = [part.detach().clone() for part in parts]
    run(parts, "grouped").sum().backward()
    assert all(torch.equal(left, right) for left, right in zip(before, parts, strict=True))
