"""``benchmarks/gpu.py`` in small on a CPU: what it measures of the read-out and of steps is right here too."""

from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks do not lie beside the tests (an sdist)")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    return gpu


def test_forms_and_steps_are_measured(script):
    sizes = script.Sizes(voxels=30, channels=4, components=3, grid=3, batches=(2,), repeats=1)
    found = script.forms(torch.device("cpu"), sizes)
    assert not found.pop("triton")
    assert {name for name, error in found.items() if error < 1e-5} == {"dense_fp32_error", "grouped_fp32_error"}
    assert all(0 < error < 0.02 for error in found.values())
    measured = script.steps(torch.device("cpu"), sizes)
    assert measured.pop("losses_differ_2") == measured.pop("resumed_losses_differ") == 0
    assert measured["paper_speedup"] == measured["plain_formula_ms_8"] / measured["paper_ms_8"]
    assert all(value > 0 for value in measured.values())
