"""The forms of the read-out against each other and against numerical gradients."""

import pytest
import torch

from factortopy.model import Selection, read_out
from factortopy.model.readout import CHUNK_NUMBERS, choose_form, interpolation


def case(voxels=7, layers=3, batch=2, width=4, height=3, columns=5, space=None, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    place = torch.rand(voxels, 2, generator=generator, dtype=dtype) * 2 - 1 if space is None else space.to(dtype)
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


FAST = ("grouped", "dense")


@pytest.mark.parametrize("form", FAST)
@pytest.mark.parametrize("kind", CASES)
def test_fast_forms_equal_the_plain_form_with_gradients(kind, form):
    parts = case(**CASES[kind])
    weight = torch.randn(run(parts, "plain").shape, dtype=torch.float64)
    results = []
    for name in ("plain", form):
        value = run(parts, name)
        results.append((value, *torch.autograd.grad((value * weight).sum(), parts)))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-11)


SMOOTH = {
    # Places stay off the lines between cells, where a bilinear surface has a kink; -0.93 and 0.97 lie in the
    # outermost cells, whose corners are partly outside the grid.
    "corners and borders": {"space": [[-0.93, 0.9], [0.97, 0.96], [-0.95, -0.94], [0.97, 0.2]]},
    "one cell": {"space": [[0.11, 0.23], [0.12, 0.2], [0.13, 0.21], [0.115, 0.22]]},
    "one voxel": {"space": [[0.11, 0.23]]},
    "one layer": {"space": [[0.11, 0.23], [-0.6, 0.5]], "layers": 1},
    "one channel": {"space": [[0.11, 0.23], [-0.6, 0.5]], "width": 1},
}


@pytest.mark.parametrize("form", ["plain", *FAST])
@pytest.mark.parametrize("kind", SMOOTH)
def test_gradients_equal_finite_differences(kind, form):
    space = torch.tensor(SMOOTH[kind]["space"])
    parts = case(**{**SMOOTH[kind], "space": space, "voxels": len(space)})
    assert torch.autograd.gradcheck(lambda *values: run(values, form), parts, eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", FAST)
def test_float32_agrees_with_float64_to_the_stated_bound(form):
    sizes = {"voxels": 500, "layers": 6, "batch": 4, "width": 32, "height": 8, "columns": 8}
    exact = run(case(**sizes), "plain")
    found = run([part.detach().float() for part in case(**sizes)], form)
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() < 1e-5 * exact.abs().max()


@pytest.mark.parametrize("form", FAST)
def test_bfloat16_tokens_stay_within_the_stated_bound(form):
    sizes = {"voxels": 500, "layers": 6, "batch": 4, "width": 32, "height": 8, "columns": 8}
    parts = case(**sizes)
    exact = run(parts, "plain")
    gradient = torch.autograd.grad(exact.square().sum(), parts)
    narrow = [part.detach().float().requires_grad_() for part in parts]
    local, global_, *others = narrow
    found = run((local.bfloat16(), global_.bfloat16(), *others), form)
    assert found.dtype == torch.float32
    difference = (found - exact).detach()
    assert difference.abs().max() < 0.02 * exact.abs().max()
    assert difference.square().mean().sqrt() < 0.005 * exact.square().mean().sqrt()
    for left, right in zip(torch.autograd.grad(found.square().sum(), narrow), gradient, strict=True):
        assert left.dtype == torch.float32
        assert (left - right).norm() < 0.02 * right.norm()


@pytest.mark.parametrize("form", FAST)
def test_chunks_change_nothing(monkeypatch, form):
    parts = case(voxels=30, dtype=torch.float32)
    whole = run(parts, form)
    whole_gradient = torch.autograd.grad(whole.square().sum(), parts)
    monkeypatch.setitem(CHUNK_NUMBERS, form, 1)
    small = run(parts, form)
    torch.testing.assert_close(small, whole, rtol=1e-6, atol=1e-6)
    for left, right in zip(torch.autograd.grad(small.square().sum(), parts), whole_gradient, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-5)


def test_dense_form_never_asks_the_device_for_a_value():
    """Tensors of the device "meta" have shapes but no values: reading one would raise an error."""
    parts = [part.detach().to("meta").requires_grad_() for part in case(dtype=torch.float32)]
    run(parts, "dense").sum().backward()
    assert all(part.grad is not None and part.grad.shape == part.shape for part in parts)
    with pytest.raises((RuntimeError, NotImplementedError)):
        run(parts, "grouped")


@pytest.mark.parametrize(
    ("device", "grid", "form"),
    [
        ("cpu", (8, 8), "grouped"),
        ("cpu", (1, 1), "dense"),
        ("cuda", (8, 8), "dense"),
        ("mps", (8, 8), "dense"),
    ],
)
def test_the_form_follows_device_and_grid(device, grid, form):
    assert choose_form(torch.device(device), *grid) == form


def test_corner_weights_sum_to_one_and_find_token_centres():
    corners = interpolation(torch.tensor([[-0.75, -0.75], [-0.6, 0.2]]), height=4, width=4)
    assert torch.allclose(corners.weights.sum(dim=1), torch.ones(2))
    # The first token's centre lies half a token from the image's edge.
    assert (int(corners.row[0]), int(corners.column[0])) == (0, 0)
    assert torch.allclose(corners.weights[0], torch.tensor([1.0, 0, 0, 0]), atol=1e-6)


@pytest.mark.parametrize("form", ["plain", *FAST])
def test_read_out_leaves_its_inputs_alone(form):
    parts = case()
    before = [part.detach().clone() for part in parts]
    run(parts, form).sum().backward()
    assert all(torch.equal(left, right) for left, right in zip(before, parts, strict=True))
