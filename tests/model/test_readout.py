"""The forms of the read-out against each other and against numerical gradients."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from factortopy.machine import threads
from factortopy.model import Selection, read_out
from factortopy.model.places import interpolation
from factortopy.model.readout import CHUNK_NUMBERS, TRITON_VOXELS, _cells, _chunks, _pieces, choose_form, triton_wins


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
    local, global_, space, layer, scale, channels, *size = parts
    return read_out(local, global_, Selection(space, layer, scale, *size), channels, form)


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


def sized(**sizes):
    parts = case(**sizes)
    generator = torch.Generator().manual_seed(1)
    size = 0.05 + 2 * torch.rand(len(parts[-1]), generator=generator, dtype=torch.float64)
    return *parts, size.requires_grad_()


@pytest.mark.parametrize("kind", CASES)
def test_with_sizes_every_form_pools_by_the_gaussian_of_the_formula(kind):
    parts = sized(**CASES[kind])
    local, global_, space, layer, scale, channels, size = (part.detach().numpy() for part in parts)
    height, width = local.shape[-2:]
    expected = np.zeros((local.shape[1], len(channels)))
    for voxel, (u, s, w, a, omega) in enumerate(zip(space, size, layer, scale, channels, strict=True)):
        # Word for word, one token after the other.
        pool = np.zeros((height, width))
        for row in range(height):
            for column in range(width):
                x, y = (2 * column + 1) / width - 1, (2 * row + 1) / height - 1
                pool[row, column] = np.exp(-((x - u[0]) ** 2 + (y - u[1]) ** 2) / (2 * s**2))
        pool /= pool.sum()
        for tokens, whole, weight in zip(local, global_, w, strict=True):
            pooled = (tokens * pool).sum(axis=(2, 3))
            expected[:, voxel] += weight * ((1 - a) * pooled + a * whole) @ omega
    for form in ("plain", "grouped", "dense"):
        np.testing.assert_allclose(run(parts, form).detach(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("form", ["plain", "dense"])
def test_gradients_with_sizes_equal_finite_differences(form):
    parts = sized(voxels=3, layers=2)
    assert torch.autograd.gradcheck(lambda *values: run(values, form), parts, eps=1e-6, atol=1e-7)


def test_a_small_pool_on_a_token_reads_that_token_and_a_large_one_the_mean():
    local = torch.arange(6.0).view(1, 1, 1, 2, 3)
    centre, one = torch.tensor([[0.0, 0.5]] * 2), torch.ones(2, 1)
    selection = Selection(centre, one, torch.zeros(2), torch.tensor([0.01, 1e4]))
    read = read_out(local, torch.zeros(1, 1, 1), selection, one)
    torch.testing.assert_close(read, torch.tensor([[4.0, 2.5]]))


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
def test_a_place_that_diverged_is_nan_for_its_voxel_alone(form):
    parts = [part.detach() for part in case()]
    sound = run(parts, form)
    parts[2][2] = float("nan")
    found = run(parts, form)
    others = torch.arange(7) != 2
    assert found[:, 2].isnan().all()
    torch.testing.assert_close(found[:, others], sound[:, others])


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
        ("cpu", (2, 2), "dense"),  # as many tokens as the grouped form reads
        ("cpu", (1, 5), "grouped"),
        ("cuda", (8, 8), "dense"),
        ("mps", (8, 8), "dense"),
    ],
)
def test_the_form_follows_device_and_grid(device, grid, form):
    assert choose_form(torch.device(device), *grid) == form


class OnGpu(torch.Tensor):
    """Tokens that say they lie on a GPU."""

    device = torch.device("cuda")


def wins(voxels=TRITON_VOXELS, width=16, dtype=torch.bfloat16, size=None, kind=OnGpu):
    tokens = torch.zeros(2, 1, width, 3, 3, dtype=dtype).as_subclass(kind)
    sizes = None if size is None else torch.full((voxels,), size)
    return triton_wins(tokens, Selection(torch.zeros(voxels, 2), torch.zeros(voxels, 2), torch.zeros(voxels), sizes))


def test_triton_is_taken_for_many_voxels_and_tokens_of_16_bits_on_a_gpu_that_runs_it(monkeypatch):
    module = "factortopy.model.triton_readout"
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(triton_runs=lambda *_: True))
    assert wins()
    assert all(wins(width=width) for width in (32, 64, 128))
    assert wins(dtype=torch.float16)
    assert not wins(voxels=TRITON_VOXELS - 1)
    assert not any(wins(width=width) for width in (8, 17, 24, 256))
    assert not wins(dtype=torch.float32)
    assert not wins(size=0.5)
    assert not wins(kind=torch.Tensor)
    for lacking in (None, SimpleNamespace(triton_runs=lambda *_: False)):  # not installed; does not run here
        monkeypatch.setitem(sys.modules, module, lacking)
        assert not wins()


def test_slices_hold_no_more_numbers_than_a_chunk_and_every_voxel_once(monkeypatch):
    for form in FAST:
        monkeypatch.setitem(CHUNK_NUMBERS, form, 100)
    cell = torch.tensor([0] * 40 + [3] + [4] * 15)
    slices = [voxels for voxels, _ in _cells(cell, 3, 7)]
    assert [voxel for each in slices for voxel in range(56)[each]] == list(range(56))
    assert max(each.stop - each.start for each in slices) == 14  # 14 x 7 numbers are 98
    assert all(len(set(cell[each].tolist())) == 1 for each in slices)
    # A piece of work ends with the slice that brings it to a quarter of a chunk.
    cell = torch.repeat_interleave(torch.arange(6), torch.tensor([10, 14, 1, 24, 6, 3]))
    pieces = [[voxels.stop - voxels.start for voxels, _ in piece] for piece in _pieces(cell, 3, 1)]
    assert pieces == [[10, 14, 1], [24, 6], [3]]
    assert [voxel for each in _chunks(30, 7) for voxel in range(30)[each]] == list(range(30))
    assert [each.stop - each.start for each in _chunks(28, 7)] == [14, 14]
    assert [each.stop - each.start for each in _chunks(2, 1_000)] == [1, 1]  # one voxel at least


def test_corner_weights_sum_to_one_and_find_token_centres():
    row, column, weights = interpolation(torch.tensor([[-0.75, -0.75], [-0.6, 0.2]]), height=4, width=4)
    assert torch.allclose(weights.sum(dim=1), torch.ones(2))
    # The first token's centre lies half a token from the image's edge.
    assert (int(row[0]), int(column[0])) == (0, 0)
    assert torch.allclose(weights[0], torch.tensor([1.0, 0, 0, 0]), atol=1e-6)


@pytest.mark.parametrize("form", ["plain", *FAST])
def test_read_out_leaves_its_inputs_alone(form):
    parts = case()
    before = [part.detach().clone() for part in parts]
    run(parts, form).sum().backward()
    assert all(torch.equal(left, right) for left, right in zip(before, parts, strict=True))


@pytest.mark.parametrize("batch", [2, 7])
def test_threads_change_no_bit(monkeypatch, batch):
    """Cells share corners of the grid: what several threads add up there is added in one order."""
    monkeypatch.setitem(CHUNK_NUMBERS, "grouped", 400)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    parts, results = case(voxels=60, batch=batch, dtype=torch.float32), []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "processors", lambda count=count: count)
        value = run(parts, "grouped")
        results.append((value, *torch.autograd.grad(value.square().sum(), parts)))
    assert all(torch.equal(*pair) for other in results[1:] for pair in zip(results[0], other, strict=True))
