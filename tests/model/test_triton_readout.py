"""Triton's kernels in Triton's interpreter, which runs them on a CPU, against the plain form in float64."""

import os
import subprocess
import sys

import pytest
import torch

from factortopy.model import Selection, read_out
from factortopy.model.readout import TRITON_VOXELS, triton_wins

CORNERS = torch.tensor([[-1, -1], [1, 1], [-1, 1], [1, -1], [-1, 0.1], [0.3, 1], [0.0, 0.0]])
CHILD = os.environ.get("TRITON_INTERPRET") == "1"
in_child = pytest.mark.skipif(not CHILD, reason="runs in the child of the first test: Triton asks when it is loaded")


@pytest.mark.skipif(CHILD, reason="this is the child")
def test_all_of_this_in_a_child_with_the_interpreter():
    pytest.importorskip("triton", reason="Triton is not installed: it comes with PyTorch for NVIDIA's GPUs")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "6 passed, 1 skipped" in done.stdout


def case(voxels=7, layers=2, batch=3, width=16, space=None):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    place = 2 * torch.rand(voxels, 2, generator=generator) - 1 if space is None else space
    parts = draw(layers, batch, width, 3, 4), draw(layers, batch, width), place, draw(voxels, layers).softmax(-1)
    return [part.requires_grad_() for part in (*parts, draw(voxels).sigmoid(), draw(voxels, width))]


def run(parts, form):
    local, global_, space, layer, scale, channels = parts
    return read_out(local, global_, Selection(space, layer, scale), channels, form)


@in_child
@pytest.mark.parametrize(
    "sizes",
    [
        {"space": CORNERS},
        # More than one tile of a cell, and of images.
        {"voxels": 150, "space": torch.full((150, 2), 0.03), "layers": 1, "batch": 70},
        {"voxels": 1, "layers": 1, "batch": 1},
    ],
    ids=["corners and borders", "one cell, many tiles", "one of each"],
)
def test_the_kernels_equal_the_plain_form_with_gradients(sizes):
    parts = case(**sizes)
    exact = [part.detach().double().requires_grad_() for part in parts]
    expected, found = run(exact, "plain"), run(parts, "triton")
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad((found * weight).sum(), parts)
    for left, right in zip(gradients, torch.autograd.grad((expected * weight).sum(), exact), strict=True):
        assert (left - right).abs().max() <= 1e-5 * right.abs().max().clamp(min=1)


def test_with_sizes_it_hands_over_to_the_dense_form():
    local, global_, space, layer, scale, channels = case()
    selection = Selection(space, layer, scale, torch.full((7,), 0.3))
    read = [read_out(local, global_, selection, channels, form) for form in ("triton", "plain")]
    torch.testing.assert_close(*read, rtol=1e-4, atol=1e-4)


def test_on_a_cpu_or_for_few_voxels_it_is_not_chosen():
    local, _, space, layer, scale, _ = case()
    assert not triton_wins(local.bfloat16(), Selection(space, layer, scale))
    many = Selection(*(torch.zeros(TRITON_VOXELS, size) for size in (2, 2)), torch.zeros(TRITON_VOXELS))
    assert not triton_wins(local.bfloat16(), many)


@in_child
def test_a_device_that_triton_cannot_compile_for_is_left_to_the_dense_form(monkeypatch):
    from factortopy.model import triton_readout as interpreter

    cpu = torch.device("cpu")
    assert interpreter.triton_runs(cpu, torch.float32, 16)
    assert not interpreter.triton_runs(cpu, torch.float32, 24)  # no power of two: a kernel's error
    interpreter.triton_runs.cache_clear()
    monkeypatch.setattr(interpreter, "read_triton", lambda *_: torch.zeros(1))
    assert not interpreter.triton_runs(cpu, torch.float32, 16)
