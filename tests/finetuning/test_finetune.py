"""Fine-tuning trains what it says and nothing else, learns, resumes bit for bit, and is read again."""

import csv
import json
import math

import pytest
import torch
from small_network import Small, coloured_images, small_network

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.finetuning import FinetuneSettings, Trainer, finetune
from factortopy.networks import load_network, network_from_function, read_weights
from factortopy.networks.preprocessing import IMAGENET_PREPROCESSING
from factortopy.storage import checkpoint as checkpoints

QUICK = {"per_class": 8, "validation_per_class": 4, "steps": 30, "validate_every": 10}


def weights(network):
    return {name: value.clone() for name, value in network.module.state_dict().items()}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def run(output, network=None, images=None, **changes):
    network = network or small_network()
    images = images or coloured_images()
    return finetune(network, images, output, device="cpu", precision="fp32", progress=False, **(QUICK | changes))


def test_the_recipe_is_the_papers():
    settings = FinetuneSettings.checked()
    assert (settings.learning_rate, settings.weight_decay) == (3e-5, 0.01)
    assert (settings.batch_size, settings.steps, settings.per_class) == (4, 3000, 50)


def test_all_that_gives_tokens_is_trained_and_nothing_else(tmp_path):
    network = small_network()
    before = weights(network)
    run(tmp_path / "out", network)
    trained = {f"{part}.{kind}" for part in ("first.0", "first.1", "second.0") for kind in ("weight", "bias")}
    assert changed(before, weights(network)) == trained  # no old classifier, no statistics of the batch


def test_frozen_parameters_stay(tmp_path):
    network = small_network()
    network.module.first.requires_grad_(False)
    before = weights(network)
    run(tmp_path / "out", network)
    assert changed(before, weights(network)) == {"second.0.weight", "second.0.bias"}


def test_one_step_is_that_of_adamw_written_out(tmp_path):
    """From the gradient by autograd of the formula, with torch's moments at step 1."""
    images, settings = coloured_images(), FinetuneSettings.checked(**QUICK, learning_rate=0.01, weight_decay=0.1)
    trainer = Trainer(small_network(), images, settings, "fp32", progress=False)
    model = trainer.model
    places = next(trainer.training_order())
    pixels = torch.stack([model.network.preprocessing(images.images.image(place)) for place in places])
    labels = torch.tensor([images.labels[place] for place in places])

    module = Small().eval()
    linear = torch.nn.Linear(12, 3)
    linear.load_state_dict(model.linear.state_dict())
    token = module.second(module.first(pixels)).mean((2, 3))
    token = (token - token.mean(1, keepdim=True)) / (token.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    logits = linear(token)
    loss = -logits.log_softmax(1)[range(4), labels].mean()
    weight = module.second[0].weight
    (gradient,) = torch.autograd.grad(loss, weight)
    # The first step's moments are the gradient and its square, bias-corrected: a step of one learning rate.
    expected = weight * (1 - 0.01 * 0.1) - 0.01 * gradient / (gradient.abs() + 1e-8)

    trainer.advance(pixels, labels)
    assert float(trainer.losses[0]) == pytest.approx(float(loss.detach()), rel=1e-5)
    found = model.network.module.second[0].weight
    assert torch.allclose(found, expected, atol=1e-5)


def test_every_image_trains_once_before_any_twice():
    settings = FinetuneSettings.checked(**QUICK | {"steps": 12, "batch_size": 4})
    trainer = Trainer(small_network(), coloured_images(), settings, "fp32", progress=False)
    order, split = list(trainer.training_order()), trainer.split
    assert [len(places) for places in order] == [4] * 12
    seen = [place for places in order for place in places]
    assert sorted(seen[:24]) == sorted(seen[24:]) == sorted(split.training)
    assert seen[:24] != seen[24:]


def test_it_learns_colours_and_says_so(tmp_path):
    tuned = run(tmp_path / "out", steps=200, learning_rate=0.01, validate_every=50)
    history = tuned.history
    assert history.step == [0, 50, 100, 150, 200]
    assert tuned.accuracy == history.accuracy[-1] >= 0.9
    assert history.accuracy[0] < 0.7  # the head that was not trained
    assert history.loss[0] is None
    assert history.loss[-1] < 0.5 * math.log(3)
    rows = list(csv.DictReader((tmp_path / "out" / "history.csv").open()))
    assert [float(row["validation_accuracy"]) for row in rows] == history.accuracy


class Stopped(Exception):  # noqa: N818 (it stands for a power cut)
    """The training was killed."""


@pytest.mark.parametrize("steps", [1, 10, 17])
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, steps, monkeypatch):
    whole = run(tmp_path / "whole")
    advance, done = Trainer.advance, []

    def advance_or_stop(self, *batch):
        if len(done) == steps:
            raise Stopped
        done.append(1)
        advance(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "SECONDS", 0.0)
        patch.setattr(Trainer, "advance", advance_or_stop)
        with pytest.raises(Stopped):
            run(tmp_path / "out")
    torch.rand(3)  # other random numbers, as in another process
    resumed = run(tmp_path / "out")
    for file in ("weights.safetensors", "classifier.safetensors"):
        expected, found = (read_weights(tmp_path / folder / file) for folder in ("whole", "out"))
        assert not changed(expected, found)
    assert resumed.history.loss == whole.history.loss
    assert resumed.history.accuracy == whole.history.accuracy
    assert not (tmp_path / "out.checkpoint").exists()


def test_a_checkpoint_of_other_images_is_refused(tmp_path, monkeypatch):
    def stop(self):
        raise Stopped

    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "look", lambda self: stop(self) if self.step else self.history.step.append(0))
        with pytest.raises(Stopped):
            run(tmp_path / "out")
    with pytest.raises(DataError, match="belongs to another"):
        run(tmp_path / "out", images=coloured_images(seed=1))


def test_seeds_decide_the_result(tmp_path):
    one, again, other = (run(tmp_path / str(name), seed=seed) for name, seed in enumerate((1, 1, 2)))
    assert one.network.weights_hash == again.network.weights_hash != other.network.weights_hash


def test_what_is_finished_is_read_and_nothing_else_overwrites_it(tmp_path, monkeypatch):
    first = run(tmp_path / "out")
    monkeypatch.setattr(Trainer, "run", None)  # nothing is trained again
    second = run(tmp_path / "out")
    assert second.network.weights_hash == first.network.weights_hash
    assert second.network.name == "small-finetuned-colours"
    assert second.accuracy == first.accuracy
    with pytest.raises(DataError, match="another fine-tuning"):
        run(tmp_path / "out", seed=3)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "diary.txt").write_text("mine")
    with pytest.raises(DataError, match="no fine-tuned network"):
        run(tmp_path / "notes")
    assert (tmp_path / "notes" / "diary.txt").read_text() == "mine"


def test_a_folder_that_happens_to_be_called_as_the_checkpoint_keeps_what_is_in_it(tmp_path):
    (tmp_path / "out.checkpoint").mkdir()
    (tmp_path / "out.checkpoint" / "diary.txt").write_text("mine")
    run(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out.checkpoint").iterdir()] == ["diary.txt"]


def test_provenance_names_both_sides_and_the_network_before(tmp_path):
    network = small_network()
    before = network.weights_hash
    run(tmp_path / "out", network)
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert record["made_of"]["weights_hash_before"] == before
    assert record["weights_hash"] == network.weights_hash != before
    assert len(record["training_ids"]) == 24
    assert not set(record["training_ids"]) & set(record["validation_ids"])


def test_a_diverged_training_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="diverged before step"):
        run(tmp_path / "out", learning_rate=1e30)


def test_bad_input_is_refused_before_training(tmp_path):
    function = network_from_function(lambda images: {"x": images}, IMAGENET_PREPROCESSING, "mine")
    with pytest.raises(UnavailableError, match="mine cannot be trained"):
        run(tmp_path / "out", function)
    with pytest.raises(UnknownNameError, match="step"):
        run(tmp_path / "out", step=3)
    with pytest.raises(DataError, match="learning_rate = -1"):
        run(tmp_path / "out", learning_rate=-1)
    with pytest.raises(DataError, match=r"red has 12.*--per-class"):
        run(tmp_path / "out", per_class=12)
    assert not any(tmp_path.iterdir())


def test_a_module_of_ones_own_says_how_it_is_read(tmp_path):
    tuned = run(tmp_path / "out")
    with pytest.raises(DataError, match="module of one's own"):
        load_network(str(tmp_path / "out"))
    again = load_network(
        Small(), layers=["first", "second"], weights=tmp_path / "out" / "weights.safetensors", device="cpu"
    )
    assert again.weights_hash == tuned.network.weights_hash
