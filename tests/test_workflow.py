"""Fit from a token store and a subject: what comes out belongs together, what does not fit is refused."""

import tracemalloc
from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from factortopy.errors import DataError, UnknownNameError
from factortopy.fitting import History, default_split, fit_settings, training
from factortopy.fitting.solved import scan
from factortopy.images import Split, split_images
from factortopy.machine import Machine
from factortopy.mapping import facts
from factortopy.storage import checkpoint
from factortopy.subjects import load_arrays
from factortopy.tokens import TokenStore
from factortopy.workflow import costs, estimate_fit, fit, fit_model, fit_to_folder, reckon_fit

IMAGES, VOXELS = 48, 30
FAST = {"steps": 6, "validate_every": 3, "width": 4, "batch_size": 16}


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (4, 4), tuple(f"scene-{i // 4}" for i in range(IMAGES)))


@pytest.fixture
def subject(tokens):
    return make_subject(tokens.image_ids)


def make_subject(ids, seed=1):
    rng = np.random.default_rng(seed)
    return load_arrays(
        responses=(5 + 3 * rng.normal(size=(len(ids), VOXELS))).astype(np.float32),
        image_ids=ids,
        coordinates=rng.uniform(0, 100, size=(VOXELS, 3)),
        name="arrays",
    )


@pytest.mark.parametrize("recipe", ["default", "paper"])
def test_scores_are_those_of_the_kept_model_on_the_test_images(tokens, subject, recipe):
    split = split_images(tokens.image_ids, tokens.image_groups, (8 / 12, 1 / 12, 3 / 12))  # twelve test images
    result = fit_model(tokens, subject, fit_settings(recipe, **FAST), split=split, progress=False)
    rows = [subject.image_ids.index(image) for image in result.split.test]
    with torch.no_grad():
        predicted = result.model(tokens.read(rows)).numpy()
    train = subject.responses[[subject.image_ids.index(image) for image in result.split.train]]
    scored = (subject.responses[rows] - train.mean(axis=0)) / train.std(axis=0)
    expected = r2_score(scored, predicted, multioutput="raw_values")
    data = result.mapping.dataset
    np.testing.assert_allclose(data["r2"], expected, atol=1e-3)
    np.testing.assert_allclose(data["layer"].sum("layer"), 1, atol=1e-5)
    np.testing.assert_allclose(data["layer_share"].sum("layer"), 1, atol=1e-2)
    position = np.linspace(0, 1, data.sizes["layer"])
    told = data["predicted"].values > 0
    depth = np.where(told | ~told.any(), data["layer_share"].values @ position, np.nan)
    np.testing.assert_allclose(data["depth"], depth, atol=1e-5)
    for name in ("r2", "depth", "scale_share", "layer_share"):
        assert not (data[f"{name}_low"] > data[f"{name}_high"]).any()
    assert data["drawn_r2"].shape == (1000, 1)
    raw = result.model.select()
    assert ("layer_raw" in data) == (recipe == "paper")
    if recipe == "paper":
        np.testing.assert_array_equal(data["layer_raw"], raw.layer.detach())
        np.testing.assert_array_equal(data["channels_raw"], result.mapping.parameters["channels"])
    assert not np.allclose(data["layer"], raw.layer.detach(), atol=1e-4)
    assert data.attrs["recipe"] == recipe
    assert data.attrs["images_test"] == len(result.split.test)
    assert not result.mapping.simulated
    assert result.mapping.provenance["split"] == result.split.digest


@pytest.mark.parametrize("memory_gb", [None, 1e-9])
def test_test_tokens_are_read_once_where_they_fit_in_memory(tokens, subject, monkeypatch, memory_gb):
    rows = []
    read = TokenStore.read
    monkeypatch.setattr(TokenStore, "read", lambda store, indices: rows.extend(indices) or read(store, indices))
    machine = Machine.choose("cpu", "fp32", memory_gb)
    result = fit_model(tokens, subject, fit_settings(**FAST), machine=machine, yardstick=False, progress=False)
    times = {rows.count(tokens.image_ids.index(image)) for image in result.split.test}
    # So few test images have no limits, which would take a fifth look.
    assert times == ({1} if memory_gb is None else {4})


def test_scenes_stay_on_one_side(tokens, subject):
    split = fit_model(tokens, subject, fit_settings(**FAST), progress=False).split
    scene = dict(zip(tokens.image_ids, tokens.image_groups, strict=True))
    sides = [{scene[image] for image in side} for side in (split.train, split.validation, split.test)]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_order_of_images_does_not_matter(tokens, subject):
    """Responses are matched to tokens by image id, not by row."""
    split = Split(subject.image_ids[:32], subject.image_ids[32:40], subject.image_ids[40:])
    order = np.random.default_rng(0).permutation(IMAGES)
    shuffled = load_arrays(
        responses=subject.responses[order],
        image_ids=[subject.image_ids[i] for i in order],
        coordinates=subject.voxels.coordinates,
    )
    one, other = (fit(tokens, who, split=split, progress=False, **FAST) for who in (subject, shuffled))
    np.testing.assert_allclose(one.dataset["r2"], other.dataset["r2"], atol=1e-5)


def test_images_without_tokens_are_named(tokens):
    ids = (*tokens.image_ids[:-1], "image-99")
    with pytest.raises(DataError, match=r"1 of 48 images of 'arrays' have no tokens.*'image-99'"):
        fit(tokens, make_subject(ids), progress=False, **FAST)


def test_images_of_a_split_without_tokens_are_named(tokens):
    ids = (*tokens.image_ids[:-1], "image-99")
    split = Split(ids[:40], ids[40:44], ids[44:])
    with pytest.raises(DataError, match=r"1 of 48 images of 'arrays' have no tokens.*'image-99'"):
        fit(tokens, make_subject(ids), split=split, progress=False, **FAST)


def test_a_split_of_other_images_is_refused(tokens, subject):
    split = Split(("image-00",), ("image-01",), ("nowhere",))
    with pytest.raises(DataError, match=r"1 images without responses \(first: 'nowhere'\)"):
        fit(tokens, subject, split=split, progress=False, **FAST)


def test_unknown_settings_are_refused(tokens, subject):
    with pytest.raises(UnknownNameError, match="did you mean 'steps'"):
        fit(tokens, subject, stepps=3)


class Killed(Exception):  # noqa: N818 (it stands for a power cut)
    """The process was killed."""


def test_a_fit_that_was_killed_ends_as_one_that_was_not(tokens, subject, tmp_path, monkeypatch):
    changes = {**FAST, "device": "cpu", "precision": "fp32", "progress": False}
    whole = fit(tokens, subject, **changes)
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(training, "mean_r2", _kill_at_the_second(training.mean_r2))
        with pytest.raises(Killed):
            fit(tokens, subject, **changes, checkpoint=tmp_path / "state")
    resumed = fit(tokens, subject, **changes, checkpoint=tmp_path / "state")
    for name, values in whole.dataset.variables.items():
        np.testing.assert_array_equal(resumed.dataset[name], values, err_msg=str(name))


def _kill_at_the_second(function):
    calls = []

    def or_kill(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return function(*arguments)

    return or_kill


def of_other_layers(tokens):
    """The same store under other names of layers, as one of other layers of the same shapes."""
    other = copy(tokens)
    other.layers = tuple(f"other {layer}" for layer in tokens.layers)
    return other


@pytest.mark.parametrize("change", ["seed", "steps", "responses", "precision", "layers", "outliers"])
def test_a_checkpoint_of_another_fit_is_refused(tokens, subject, tmp_path, change):
    settings = {**FAST, "device": "cpu", "precision": "fp32", "checkpoint": tmp_path / "state"}
    fit(tokens, subject, **settings, progress=False)
    other = make_subject(tokens.image_ids, seed=2) if change == "responses" else subject
    changed = {"seed": {"seed": 3}, "steps": {"steps": 9}, "precision": {"precision": "bf16"}}.get(change, {})
    store = of_other_layers(tokens) if change == "layers" else copy(tokens)
    store.outliers = "masked" if change == "outliers" else tokens.outliers
    with pytest.raises(DataError, match="belongs to another fit"):
        fit(store, other, **{**settings, **changed}, progress=False)


def test_the_mapping_says_where_and_how_it_was_computed(tokens, subject):
    mapping = fit(tokens, subject, **FAST, device="cpu", precision="fp32", memory_gb=0, progress=False)
    found = mapping.provenance
    assert (found["device"], found["precision"]) == ("cpu", "fp32")
    assert 0 < found["training"]["waited"] < found["training"]["seconds"]


def test_a_penalty_at_the_edge_of_its_grid_is_one_of_the_facts(tokens, subject, monkeypatch):
    """Noise alone asks for more than so short a grid has; the paper's recipe has none."""
    monkeypatch.setattr(scan, "RIDGES", (0.5, 1.0, 2.0))
    mapping = fit(tokens, subject, progress=False, **FAST)
    assert mapping.provenance["training"]["ridge"] == pytest.approx(2)
    assert "2, the largest tried" in facts(mapping.dataset)["penalty"]
    assert "penalty" not in facts(fit(tokens, subject, recipe="paper", progress=False, **FAST).dataset)


def test_a_fit_to_a_folder_is_made_once_and_never_mistaken(tokens, subject, tmp_path, monkeypatch):
    settings = fit_settings(**FAST)
    mapping = fit_to_folder(tokens, subject, tmp_path / "mapping", settings, bootstrap=0, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mapping"]
    (tmp_path / "mapping.checkpoint").mkdir()
    (users := tmp_path / "mapping.checkpoint" / "diary.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("factortopy.workflow.folder.fit_model", None)  # nothing is fitted again
        again = fit_to_folder(tokens, subject, tmp_path / "mapping", settings, bootstrap=0, progress=False)
    np.testing.assert_array_equal(again.dataset["r2"], mapping.dataset["r2"])
    other = fit_settings(**{**FAST, "width": 5})
    moved = replace(subject, voxels=replace(subject.voxels, coordinates=subject.voxels.coordinates[::-1]))
    drawn = replace(subject, voxels=replace(subject.voxels, rois={"V1": np.arange(VOXELS) < 3}))
    limited = replace(subject, noise_ceiling=np.full(VOXELS, 0.25, np.float32))
    for some, whose, how in (
        (tokens, subject, other),
        (tokens, moved, settings),
        (tokens, drawn, settings),
        (tokens, limited, settings),
        (of_other_layers(tokens), subject, settings),
    ):
        with pytest.raises(DataError, match="is a mapping of something else"):
            fit_to_folder(some, whose, tmp_path / "mapping", how, progress=False)
    # Of a mapping of an earlier version responses and places are compared.
    earlier = {name: fact for name, fact in mapping.provenance.items() if name != "subject_hash"}
    replace(mapping, provenance=earlier).save(tmp_path / "mapping")
    assert "subject_hash" not in fit_to_folder(tokens, subject, tmp_path / "mapping", settings).provenance
    with pytest.raises(DataError, match="is a mapping of something else"):
        fit_to_folder(tokens, moved, tmp_path / "mapping", settings)
    replaced = fit_to_folder(tokens, subject, tmp_path / "mapping", other, overwrite=True, bootstrap=0, progress=False)
    assert replaced.settings["width"] == 5
    assert list(users.parent.iterdir()) == [users]


@pytest.mark.parametrize("placed", [True, False])
def test_what_data_change_of_the_settings_is_kept_with_the_mapping_and_makes_no_other_fit(
    tokens, subject, tmp_path, monkeypatch, placed
):
    """More steps where images ask for them, and what is solved where no coordinates are known."""
    if not placed:
        subject = load_arrays(subject.responses, tokens.image_ids, name="arrays")
    settings, images = fit_settings(**FAST, passes=9.0), len(default_split(tokens, subject).train)
    mapping = fit_to_folder(tokens, subject, tmp_path / "mapping", settings, bootstrap=0, progress=False)
    assert mapping.settings["steps"] == -(-9 * images // 16) > FAST["steps"]
    assert mapping.settings["topology"] is placed
    monkeypatch.setattr("factortopy.workflow.folder.fit_model", None)  # nothing is fitted again
    again = fit_to_folder(tokens, subject, tmp_path / "mapping", settings, bootstrap=0, progress=False)
    np.testing.assert_array_equal(again.dataset["r2"], mapping.dataset["r2"])
    monkeypatch.setattr(costs, "_seconds", lambda tokens, subject, settings, *_: settings.steps)
    assert estimate_fit(tokens, subject, device="cpu", **FAST, passes=9.0).seconds == mapping.settings["steps"]


def test_a_fits_cost_is_known_before(tokens, subject):
    cost = estimate_fit(tokens, subject, device="cpu", **FAST)
    assert cost.facts["voxels"] == str(VOXELS)
    assert 0 < cost.seconds < 600
    assert cost.memory > 600e6
    assert cost.disk > 4 * VOXELS * FAST["width"]
    with pytest.raises(UnknownNameError, match="stepps"):
        estimate_fit(tokens, subject, stepps=3)


def test_a_large_fit_is_reckoned_in_little_memory_and_timed_on_few_layers(monkeypatch):
    timed = []
    monkeypatch.setattr(costs, "_seconds", lambda tokens, *_: timed.append(len(tokens.layers)) or 7.0)
    sizes, settings, machine = ((8, 8), 2_000, 6_000, 20_000), fit_settings(), Machine.choose("cpu")
    tracemalloc.start()
    cost = reckon_fit([384] * 24, *sizes, settings, machine)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4.0 * 6_000 * 20_000 / 10  # of the responses
    assert (timed, cost.seconds) == ([6], 4 * 7.0)
    few, all_ = (reckon_fit([384] * count, *sizes, settings, machine, timed=False) for count in (6, 24))
    assert (cost.memory, cost.disk) == (all_.memory, all_.disk)
    assert few.disk < cost.disk


def test_what_does_not_grow_with_images_is_not_multiplied_by_them(tokens, subject, monkeypatch):
    """Of a fit of 2 s, 10 ms an image and 0.1 s a step: here the clock is that formula."""
    clock, called = [0.0], []

    def fitted(tokens, subject, settings, *, split, **options):
        called.append(len(split.train))
        steps = 0.1 * (settings.steps + len(split.validation) / 64 / 3)
        clock[0] += (5.0 if len(called) == 1 else 0.0) + 2 + 0.01 * len(split.train) + steps
        return SimpleNamespace(history=History(step=[settings.steps], seconds=steps))

    monkeypatch.setattr(costs, "fit_model", fitted)
    monkeypatch.setattr(costs, "_ridge_seconds", lambda *_: 0.0)
    monkeypatch.setattr(costs, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    names = tuple(f"{number:05d}" for number in range(9_200))
    split = Split(names[:9_000], names[9_000:9_100], names[9_100:])
    settings = fit_settings(steps=300, validate_every=300, batch_size=64, components=64)
    looks = 100 / 64 / 3 * 0.1
    for bootstrap, factor in ((0, 1.0), (1_000, 1 + costs.SIMULATED)):  # for limits, all steps are taken once more
        called.clear()
        seconds = costs._seconds(tokens, subject, settings, split, Machine.choose("cpu"), bootstrap)
        assert seconds == pytest.approx(2 + 0.01 * 9_000 + factor * (0.1 * 300 + looks))


def test_only_simulated_voxels_take_memory_beside_the_responses():
    """Of an image more, a voxel takes its response, one in twelve a prediction and a residual as well, in float32."""
    machine, settings = Machine.choose("cpu"), fit_settings()

    def memory(images, voxels):
        return reckon_fit([384] * 6, (8, 8), images, images, voxels, settings, machine, timed=False).memory

    (a, b), (c, d) = ([memory(images, voxels) for voxels in (12_000, 24_000)] for images in (20_000, 24_000))
    assert (d - c - b + a) / (4_000 * 12_000) == pytest.approx(4 * (1 + 2 / 12))
