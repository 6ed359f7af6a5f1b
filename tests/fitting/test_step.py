"""A training step asks nothing of the device, and gives the same when it is recorded and replayed."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from factortopy.fitting import build_paper_model, fit_settings
from factortopy.fitting.training import _Run
from factortopy.machine import Machine, Replayed
from factortopy.model import FreeSelectors
from factortopy.networks import Tokens

LAYERS, CHANNELS, VOXELS, IMAGES, STEPS = 2, 5, 20, 8, 12
CPU = torch.device("cpu")
WAITS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "is_nonzero", "equal")
"""Operations whose result, or the shape of it, the host must wait for."""


def training(precision="fp32", **changes):
    settings = fit_settings("paper", width=4, steps=STEPS, softness_steps=8, softness=0.5, warmup_steps=3, **changes)
    model = build_paper_model(settings, FreeSelectors(VOXELS, LAYERS), VOXELS, (CHANNELS,) * LAYERS)
    model.form = "dense"  # as on a GPU
    return _Run(model, settings, Machine(CPU, precision, 0))


def batches():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    for _ in range(STEPS):
        local = tuple(draw(IMAGES, CHANNELS, 3, 3) for _ in range(LAYERS))
        yield Tokens(local, tuple(draw(IMAGES, CHANNELS) for _ in range(LAYERS))), draw(IMAGES, VOXELS)


class Refuses(TorchDispatchMode):
    """Fails where the host would wait for the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not any(name in str(func) for name in WAITS), f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


class Recorder(TorchDispatchMode):
    """Records operations on tensors as a CUDA graph does: with the host's numbers as they are now."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self):
        for func, args, kwargs, result in self.calls:
            again = func(*args, **kwargs)
            for kept, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(kept, torch.Tensor) and kept is not value:
                    kept.detach().copy_(value)


def record_on_a_cpu(run):
    """A stand-in for a CUDA graph: work is recorded without being done."""

    def record(work):
        moments = [value for state in run.optimiser.state.values() for value in state.values()]
        changed = [*run.model.parameters(), *moments]
        before = [value.detach().clone() for value in changed]
        recorder = Recorder()
        with recorder:
            loss = work()
        with torch.no_grad():
            for value, old in zip(changed, before, strict=True):
                value.copy_(old)

        def replay():
            recorder.replay()
            return loss

        return replay

    return record


def trained(run):
    for batch in batches():
        run.advance(batch)
    return torch.stack(run.losses), dict(run.model.named_parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_never_waits_for_the_device(precision):
    run, loaded = training(precision), list(batches())
    run.advance(loaded[0])
    with Refuses():
        for batch in loaded[1:]:
            run.advance(batch)
    with pytest.raises(AssertionError, match="waits for the device"), Refuses():
        float(run.losses[0])


@pytest.mark.parametrize("loss", ["squared", "smooth_l1"])
def test_a_loss_that_is_kept_holds_no_other_memory(loss):
    """Between two looks some hundred are kept: each would hold a number for every image and voxel."""
    run = training(loss=loss)
    losses, _ = trained(run)
    assert len(losses) == STEPS
    assert {kept.untyped_storage().nbytes() for kept in run.losses} == {losses.element_size()}


@pytest.mark.parametrize("cosine", [True, False])
def test_a_recorded_step_gives_what_the_step_gives(cosine):
    """Rates and the weight of the penalty change from step to step, and must not be recorded as numbers."""
    plain, recorded = training(cosine=cosine), training(cosine=cosine)
    for group in recorded.optimiser.param_groups:
        group["lr"] = torch.tensor(group["lr"])  # as on a GPU
    record = record_on_a_cpu(recorded)
    for soft, step in recorded.steps.items():
        recorded.steps[soft] = Replayed(step._function, CPU, record)
    losses, parameters = trained(plain)
    again, others = trained(recorded)
    assert all(step._replay is not None for step in recorded.steps.values())
    torch.testing.assert_close(again, losses, rtol=1e-5, atol=1e-6)
    for name, value in parameters.items():
        torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-5)
    assert losses.std() > 1e-3


def test_what_cannot_be_recorded_is_called_as_it_is(capsys):
    def refuses(work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    double = Replayed(lambda value: 2 * value, CPU, refuses)
    assert [float(double(torch.tensor(float(number)))) for number in range(6)] == [0, 2, 4, 6, 8, 10]
    assert capsys.readouterr().err.count("not permitted when stream is capturing") == 1
