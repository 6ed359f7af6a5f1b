"""The align is trained in fewer components where it overfits, and then means the same in all of them."""

import pytest
import torch

from factortopy.fitting import Examples, align, expected_trainings, fit_settings, measure_reduction, train_model
from factortopy.fitting.grain import Grain
from factortopy.fitting.solved.scan import Noise
from factortopy.fitting.task import Task
from factortopy.fitting.training import History
from factortopy.machine import Machine
from factortopy.networks import Tokens
from factortopy.storage import Checkpoint, Part
from factortopy.workflow.parametric_bootstrap import Remembered

LAYERS, CHANNELS, IMAGES, VOXELS = 2, 70, 300, 60
PARTS = slice(0, 220), slice(220, 260), slice(260, 300)
BOUNDS = torch.tensor([[0.0, 0, 0], [100, 0, 0]])
COORDINATES = torch.stack([torch.linspace(0, 100, VOXELS), torch.zeros(VOXELS), torch.zeros(VOXELS)], dim=1)
SETTINGS = fit_settings(
    width=4, steps=40, validate_every=10, hold_steps=5, closed_form=False, parcels=0, learning_rate=0.05
)


@pytest.fixture(scope="module")
def sides():
    """Responses to a few varied channels of the first layer, the same in all places, and noise."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.linspace(3.0, 0.5, CHANNELS)
    layers = tuple(spread * torch.randn(IMAGES, CHANNELS, generator=generator) for _ in range(LAYERS))
    tokens = Tokens(tuple(layer[:, :, None, None].expand(-1, -1, 2, 2) for layer in layers), layers)
    read = layers[0][:, :6] @ torch.randn(6, VOXELS, generator=generator)
    responses = read / read.std(dim=0) + torch.randn(IMAGES, VOXELS, generator=generator)
    responses = (responses - responses.mean(dim=0)) / responses.std(dim=0)
    return [Examples(lambda rows, part=part: tokens[part][rows], responses[part]) for part in PARTS]


def r2(model, images):
    with torch.no_grad():
        residual = (images.responses - model(images.read(torch.arange(len(images))))).square().sum(dim=0)
    return float((1 - residual / (images.responses - images.responses.mean(dim=0)).square().sum(dim=0)).mean())


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize(
    ("signal", "scores", "chosen"),
    [
        (0.5, {55: (40, 0.3)}, 55),
        (0.5, {55: (30, 0.3)}, 55),
        (0.5, {55: (20, 0.3), 27: (20, 0.2)}, 55),
        (0.5, {55: (20, 0.3), 27: (20, 0.3)}, 55),
        (0.5, {55: (20, 0.3), 27: (40, 0.4)}, 27),
        (0.5, {55: (10, 0.3), 27: (10, 0.4)}, 27),
        (0.17, {55: (40, 0.3)}, 55),
        (0.16, {55: (40, 0.3), 27: (40, 0.2)}, 55),
        (0.09, {55: (40, 0.3), 27: (40, 0.4)}, 27),
        (0.09, {55: (40, 0.3), 27: (40, 0.295)}, 27),
        (0.09, {55: (20, 0.3), 27: (20, 0.293)}, 55),
        (0.17, {55: (20, 0.3), 27: (20, 0.299)}, 55),
        (-0.1, {55: (40, -0.3), 27: (40, -0.301)}, 55),
        (-0.1, {55: (40, 0.3), 27: (40, 0.4)}, 27),
    ],
    ids=[
        "best at the end",
        "best at three quarters",
        "half is worse",
        "half is no better",
        "half is better",
        "13: too few",
        "signal enough",
        "too noisy, half is worse",
        "too noisy, half is better",
        "too noisy, half is as good to a hair",
        "too noisy, half is worse by more than a hair",
        "signal enough, half is as good to a hair",
        "nothing is predicted, half is as good to a hair",
        "nothing but noise",
    ],
)
def test_components_are_halved_while_that_predicts_better(monkeypatch, sides, signal, scores, chosen, starts):
    tried = []

    def train(task, grain, reduction, selectors, count):
        tried.append(count)
        step, score = scores[count]
        return count, History(step=[step], validation_r2=[score], best_step=step, seconds=1.0)

    monkeypatch.setattr(align, "_train", train)
    kept, settings = Remembered(), SETTINGS.model_copy(update={"starts": starts})
    task = Task(
        settings, *sides[:2], None, None, torch.nn.Identity(), None, True, Machine.choose("cpu"), kept, False, ""
    )
    reduction = measure_reduction(sides[0], 55, SETTINGS.damping)
    (model, history), *others = align.train_starts(task, Grain(Noise(1.0, signal), 1.0, sides[:2]), reduction)
    assert tried == [*scores, *[chosen] * (starts - 1)]
    assert [count for count, _ in others] == [chosen] * (starts - 1)
    assert model == history.components == kept.parts["components"].facts["count"] == chosen
    assert history.seconds == len(scores)
    # What is known is not asked again: simulated responses are fitted likewise.
    tried.clear()
    assert align.train_starts(task, Grain(Noise(1.0, signal), 1.0, sides[:2]), reduction)[0][1].components == chosen
    assert tried == [chosen] * starts


def test_components_that_are_left_out_weigh_nothing_and_the_others_as_trained(sides):
    known = Remembered(parts={"components": Part({}, {"count": 20})})
    trained = train_model(SETTINGS, *sides[:2], COORDINATES, BOUNDS, checkpoint=known, progress=False)
    history, reduction = trained.history, measure_reduction(sides[0], 55, SETTINGS.damping)
    # The model takes whole tokens: it predicts as the one that was trained in twenty components of them.
    assert r2(trained.model.cpu(), sides[1]) == pytest.approx(max(history.validation_r2), abs=1e-3)
    assert max(history.validation_r2) > 0.1
    unit = trained.model.align.local[0].weight @ torch.linalg.pinv(reduction.local[0].projection)
    assert unit.shape[1] == 55
    assert unit[:, :20].norm() > 1e3 * unit[:, 20:].norm()


@pytest.mark.parametrize("when", [pytest.param("second training", marks=pytest.mark.slow), "channels"])
def test_a_stopped_fit_goes_on_among_the_halves(monkeypatch, sides, tmp_path, when):
    """The same model and history as without a stop."""
    monkeypatch.setattr(align, "OVERFITTED", 2.0)
    done = align._train

    def better_by_fewer(*arguments):
        model, history = done(*arguments)
        history.validation_r2 = [score - arguments[-1] for score in history.validation_r2]
        return model, history

    def stop(*arguments, **_):
        if when == "channels" or arguments[-1] == 27:
            raise KeyboardInterrupt
        return better_by_fewer(*arguments)

    def fitted(folder):
        checkpoint = Checkpoint(tmp_path / folder, "x")
        return train_model(SETTINGS, *sides[:2], COORDINATES, BOUNDS, checkpoint=checkpoint, progress=False)

    monkeypatch.setattr(align, "_train", better_by_fewer)
    whole = fitted("whole")
    assert whole.history.components == 27
    with monkeypatch.context() as patched:
        patched.setattr(
            *("factortopy.fitting.recipes.replace", stop) if when == "channels" else (align, "_train", stop)
        )
        with pytest.raises(KeyboardInterrupt):
            fitted("stopped")
    assert (tmp_path / "stopped" / "components-27").exists() == (when == "channels")
    again = fitted("stopped")
    # Nothing of a first training is left in a second one.
    known = Remembered(parts={"components": Part({}, {"count": 27})})
    alone = train_model(SETTINGS, *sides[:2], COORDINATES, BOUNDS, checkpoint=known, progress=False)
    assert again.history.validation_r2 == whole.history.validation_r2
    assert again.history.components == 27
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
        assert torch.equal(value, alone.model.state_dict()[name]), name


@pytest.mark.parametrize(("images", "often"), [(100, 1), (160, 2), (300, 3), (1_400, 3), (2_300, 1)])
def test_few_images_let_expect_more_trainings(images, often):
    """Of 25, 40 (20), 75 (37, 18), and 256 components, three times at most."""
    assert expected_trainings(fit_settings(), images) == often
