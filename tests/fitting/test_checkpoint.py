"""A fit that was stopped ends with the very numbers of one that was not."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from factortopy.errors import DataError
from factortopy.fitting import Examples, fit_settings, train_model
from factortopy.fitting import training as training_module
from factortopy.machine import Machine
from factortopy.model import FixedSelectors, Selection
from factortopy.networks import Tokens
from factortopy.storage import Checkpoint
from factortopy.storage import checkpoint as module

IMAGES, VOXELS, LAYERS, CHANNELS = 90, 40, 2, 6
BOUNDS = torch.tensor([[0.0, 0, 0], [100, 0, 0]])
COORDINATES = torch.stack([torch.linspace(0, 100, VOXELS), torch.zeros(VOXELS), torch.zeros(VOXELS)], dim=1)


class Stopped(Exception):  # noqa: N818 (it stands for a power cut)
    """The fit was killed."""


@pytest.fixture(scope="module")
def sides():
    generator = torch.Generator().manual_seed(0)
    tokens = Tokens(
        tuple(torch.randn(IMAGES, CHANNELS, 3, 3, generator=generator) for _ in range(LAYERS)),
        tuple(torch.randn(IMAGES, CHANNELS, generator=generator) for _ in range(LAYERS)),
    )
    weight = torch.randn(CHANNELS, VOXELS, generator=generator)
    responses = tokens.global_[1] @ weight + torch.randn(IMAGES, VOXELS, generator=generator)
    parts = [slice(0, 60), slice(60, 90)]
    return [Examples(lambda rows, part=part: tokens[part][rows], responses[part]) for part in parts]


def run(sides, recipe, folder=None, identity="fit", precision="fp32", memory=10**9, **changes):
    settings = fit_settings(recipe, width=4, steps=24, batch_size=7, validate_every=5, components=5, **changes)
    return train_model(
        settings,
        *sides,
        COORDINATES,
        BOUNDS,
        machine=Machine(torch.device("cpu"), precision, memory),
        checkpoint=None if folder is None else Checkpoint(folder, identity),
        progress=False,
    )


@pytest.fixture(scope="module")
def undisturbed(sides):
    """Of each recipe, a fit that was not stopped: the same for all that are compared with it."""
    return {recipe: run(sides, recipe) for recipe in ("default", "paper")}


def stop_after(monkeypatch, steps):
    """Kill the training after so many steps of this run; states are written after every step."""
    monkeypatch.setattr(module, "SECONDS", 0.0)
    advance = training_module._Run.advance
    done = []

    def advance_or_stop(self, batch):
        if len(done) == steps:
            raise Stopped
        done.append(1)
        advance(self, batch)

    monkeypatch.setattr(training_module._Run, "advance", advance_or_stop)


def more(steps):
    """The paper's recipe is stopped there in every run, by the same loop."""
    return pytest.param("default", steps, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [*(("paper", steps) for steps in (1, 9, 10, 23)), more(1), ("default", 9), more(10), ("default", 23)],
)
def test_a_stopped_fit_goes_on_bit_for_bit(sides, undisturbed, tmp_path, recipe, steps):
    whole, expected, *_ = undisturbed[recipe]
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(Stopped):
            run(sides, recipe, tmp_path / "state")
    # Torch's own random numbers are elsewhere now, as in another process.
    torch.rand(5)
    resumed, history, *_ = run(sides, recipe, tmp_path / "state")
    assert history.step == expected.step
    assert history.loss == expected.loss
    assert history.validation_r2 == expected.validation_r2
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_fit_that_stopped_in_its_second_start_goes_on_bit_for_bit(sides, tmp_path):
    whole, *_ = run(sides, "default", starts=2)
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 24 + 9)
        with pytest.raises(Stopped):
            run(sides, "default", tmp_path / "state", starts=2)
    resumed, *_ = run(sides, "default", tmp_path / "state", starts=2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_a_fit_that_stopped_after_it_diverged_keeps_its_lower_rates(sides, tmp_path, monkeypatch):
    advance = training_module._Run.advance

    def diverge_once(self, batch):
        advance(self, batch)
        if self.step == 7 and self.history.diverged is None:
            with torch.no_grad():
                self.model.channels.fill_(float("nan"))

    monkeypatch.setattr(training_module._Run, "advance", diverge_once)
    whole, expected, *_ = run(sides, "paper")
    assert expected.diverged is not None
    assert expected.diverged["step"] == 10
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 14)
        with pytest.raises(Stopped):
            run(sides, "paper", tmp_path / "state")
    resumed, history, *_ = run(sides, "paper", tmp_path / "state")
    assert (history.diverged, history.loss) == (expected.diverged, expected.loss)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_losses_of_a_state_go_to_the_device_of_the_parameters(tmp_path):
    """A state holds those since the last look; those of the next steps are of the device, here "meta"."""

    def training(device):
        model = torch.nn.Linear(2, 1, device=device)
        return module.ResumableTraining(torch.optim.AdamW(model.parameters(), 1e-3), model=model)

    before, after, kept = training("cpu"), training("meta"), Checkpoint(tmp_path, "fit")
    before.losses = [torch.tensor(0.5), torch.tensor(0.25)]
    kept.save("state", before.state({}))
    after.resume(kept.load("state"))
    after.losses.append(torch.zeros((), device="meta"))
    assert after.state({}).tensors["losses"].shape == (3,)


def test_a_fit_that_is_done_is_not_trained_again(sides, tmp_path, monkeypatch):
    first, *_ = run(sides, "default", tmp_path / "state")
    stop_after(monkeypatch, 0)
    again, *_ = run(sides, "default", tmp_path / "state")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_patience_ends_a_resumed_fit_too(sides, tmp_path, monkeypatch):
    changes = {"patience": 1, "learning_rate": 30.0, "cosine": False, "decay_by_noise": False}
    _, expected, *_ = run(sides, "default", **changes)
    assert expected.step[-1] < 24
    run(sides, "default", tmp_path / "state", **changes)
    stop_after(monkeypatch, 0)
    _, history, *_ = run(sides, "default", tmp_path / "state", **changes)
    assert history.step == expected.step


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_tokens_on_disk_train_the_very_same_model(sides, recipe):
    halves = [
        Examples(lambda rows, side=side: side.read(rows).to(dtype=torch.float16), side.responses) for side in sides
    ]
    in_memory, *_ = run(halves, recipe, memory=10**9)
    on_disk, history, *_ = run(halves, recipe, memory=0)
    assert all(torch.equal(a, b) for a, b in zip(in_memory.parameters(), on_disk.parameters(), strict=True))
    assert 0 < history.waited < history.seconds


def test_bfloat16_trains_nearly_the_same_model(sides, undisturbed):
    _, exact, *_ = undisturbed["default"]
    _, narrow, *_ = run(sides, "default", precision="bf16")
    assert narrow.validation_r2 != exact.validation_r2
    assert np.allclose(narrow.validation_r2, exact.validation_r2, atol=0.02)


def test_another_fits_checkpoint_is_refused(sides, tmp_path):
    run(sides, "paper", tmp_path / "state", identity="one")
    with pytest.raises(DataError, match="belongs to another fit"):
        run(sides, "paper", tmp_path / "state", identity="other")


def test_a_damaged_checkpoint_is_one_clear_line(sides, tmp_path):
    run(sides, "paper", tmp_path / "state")
    file = tmp_path / "state" / "training.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot be read .* delete .* to start anew"):
        run(sides, "paper", tmp_path / "state")


def test_a_state_without_this_programs_facts_is_refused(sides, tmp_path):
    run(sides, "paper", tmp_path / "state")
    file = tmp_path / "state" / "training.safetensors"
    save_file(load_file(file), file)
    with pytest.raises(DataError, match="belongs to another fit"):
        run(sides, "paper", tmp_path / "state")


def test_only_what_a_checkpoint_wrote_is_removed(tmp_path):
    own, other = Checkpoint(tmp_path / "state", "one"), Checkpoint(tmp_path / "state" / "other", "two")
    for checkpoint in (own, own.within("start"), own.within("start").within("half"), other):
        checkpoint.save("training", module.Part({"x": torch.zeros(2)}, {}))
    (own.folder / "start" / ".training.safetensors.0a1b2c3d.partial").write_bytes(b"killed")
    save_file({"x": torch.zeros(2)}, own.folder / "mine.safetensors")
    (own.folder / "broken.safetensors").write_bytes(b"no tensors")
    (own.folder / "mine").mkdir()
    own.remove()
    left = {path.relative_to(own.folder).as_posix() for path in own.folder.rglob("*")}
    assert left == {"mine", "mine.safetensors", "broken.safetensors", "other", "other/training.safetensors"}
    other.remove()
    assert not other.folder.exists()


class NothingFromHost(TorchDispatchMode):
    """Refuses copies of whole arrays from one device to another, which a GPU cannot record."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default):
            source = args[1] if func is torch.ops.aten.copy_.default else args[0]
            assert source.device == made.device, "copied from another device"
        return made


@pytest.mark.parametrize("given", ["nothing", "points", "sizes"])
def test_a_training_step_neither_asks_the_device_for_a_value_nor_copies_to_it(sides, given):
    """Tensors of the device "meta" have no values: whatever waits for one raises an error."""
    settings = fit_settings("default", width=4, batch_size=7, components=5, gradient_clip=0.5, steps=1)
    machine = Machine(torch.device("cpu"), "fp32", 10**9)
    size = torch.full((VOXELS,), 0.4) if given == "sizes" else None
    selection = Selection(torch.zeros(VOXELS, 2), torch.full((VOXELS, LAYERS), 0.5), torch.full((VOXELS,), 0.5), size)
    selectors = None if given == "nothing" else FixedSelectors(selection)
    model, *_ = train_model(settings, *sides, COORDINATES, BOUNDS, selectors, machine=machine, progress=False)
    model.to("meta")
    run = training_module._Run(model, settings, machine)
    rows = torch.arange(7)
    batch = sides[0].read(rows).to("meta"), sides[0].responses[rows].to("meta")
    with NothingFromHost():
        run.advance(batch)
        run.advance(batch)
    assert run.step == 2
