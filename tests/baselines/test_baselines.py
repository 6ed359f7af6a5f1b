"""All methods on a planted subject: each ablation loses where what it lacks was planted."""

import csv
import json

import numpy as np
import pytest
from planted_tokens import SPLIT, PlantedTokens, one_layer_one_place, subject_of

from factortopy.baselines import METHODS, BaselineScores, run, run_baselines
from factortopy.baselines.methods import shuffled
from factortopy.errors import DataError, UnknownNameError

SETTINGS = {
    "steps": 150,
    "width": 4,
    "components": 6,
    "batch_size": 45,
    "validate_every": 30,
    "learning_rate": 2e-2,
    "selector_learning_rate": 5e-3,
    "patches": False,
}
MACHINE = {"device": "cpu", "precision": "fp32", "memory_gb": 1}
COMMON = {**SETTINGS, **MACHINE, "split": SPLIT, "features": 6, "progress": False}


@pytest.fixture(scope="module")
def planted():
    tokens = PlantedTokens()
    signal, layers, by_global = one_layer_one_place(tokens)
    rois = {"local": ~by_global, "global": by_global}
    return tokens, subject_of(signal, rois=rois), layers


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture(scope="module")
def comparison(planted, output):
    tokens, subject, _ = planted
    return run_baselines(tokens, subject, output, untrained=PlantedTokens(seed=9), **COMMON)


@pytest.fixture(scope="module")
def score(comparison):
    return {(row.method, row.roi): row for row in comparison.table().itertuples()}


def test_every_method_is_scored_in_every_roi(comparison, score):
    assert comparison.methods == list(METHODS)
    assert comparison.rois == ["local", "global", "all voxels"]
    assert len(score) == 3 * len(METHODS)
    assert all(row.r2_low <= row.r2 <= row.r2_high for row in score.values())


@pytest.mark.parametrize(
    ("method", "roi"),
    [("without-space", "local"), ("global-only", "local"), ("local-only", "global"), ("without-layers", "all voxels")],
)
def test_an_ablation_loses_where_what_it_lacks_was_planted(score, method, roi):
    assert score["factortopy", roi].r2 > 0.7
    assert score[method, roi].r2 < score["factortopy", roi].r2 - 0.15
    assert score[method, roi].difference_high < -0.1


def test_an_ablation_loses_little_where_nothing_of_the_kind_was_planted(score):
    assert score["local-only", "local"].r2 > score["factortopy", "local"].r2 - 0.1
    assert score["without-space", "global"].r2 > score["factortopy", "global"].r2 - 0.1


def test_methods_worse_than_the_training_mean_are_named(comparison):
    worse = comparison.worse_than_the_mean()
    assert "FactorTopy" not in worse
    assert "training mean" not in worse
    lost = BaselineScores(comparison.dataset.copy(deep=True))
    number = comparison.methods.index("fwrf")
    lost.dataset["resampled"][number] -= 2
    assert "fwRF" in lost.worse_than_the_mean()


def test_controls_predict_nothing(score):
    assert score["shuffled-images", "all voxels"].r2 < 0.02
    assert score["untrained-network", "all voxels"].r2 < 0.02


def test_ridge_finds_the_planted_layer(planted, output, comparison):
    from safetensors.numpy import load_file

    chosen = load_file(output / "methods" / "ridge-best-layer.safetensors")["chosen"]
    assert (chosen == planted[2]).mean() > 0.9


def test_table_and_json_say_the_same(comparison, output):
    found = json.loads((output / "baselines.json").read_text())
    with (output / "baselines.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(found["rows"]) == len(comparison.table())
    assert [float(row["r2"]) for row in table] == [row["r2"] for row in found["rows"]]
    assert found["images_test"] == 40
    assert found["simulated"] is False


def test_what_is_done_is_not_fitted_again(planted, output, comparison, monkeypatch):
    def never(*arguments, **named):
        raise AssertionError("fitted again")

    monkeypatch.setattr(run, "fit_model", never)
    monkeypatch.setattr(run, "fit_linear", never)
    tokens, subject, _ = planted
    again = run_baselines(tokens, subject, output, untrained=PlantedTokens(seed=9), **COMMON)
    np.testing.assert_array_equal(again.dataset["r2"], comparison.dataset["r2"])
    with pytest.raises(DataError, match="belongs to another fit"):
        run_baselines(tokens, subject, output, which=["fwrf"], **{**COMMON, "features": 5})


def test_shuffling_moves_training_responses_only(planted):
    _, subject, _ = planted
    moved = shuffled(subject, SPLIT, seed=0)
    training = np.isin(subject.image_ids, SPLIT.train)
    np.testing.assert_array_equal(moved.responses[~training], subject.responses[~training])
    assert (moved.responses[training] != subject.responses[training]).any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(
        np.sort(moved.responses[training], axis=0), np.sort(subject.responses[training], axis=0)
    )


def test_bad_input_is_one_line(planted, tmp_path):
    tokens, subject, _ = planted
    with pytest.raises(UnknownNameError, match="unknown method 'fwrff'; did you mean 'fwrf'"):
        run_baselines(tokens, subject, tmp_path, which=["fwrff"], **COMMON)
    with pytest.raises(DataError, match="needs tokens of the same images with random weights"):
        run_baselines(tokens, subject, tmp_path, which=["untrained-network"], **COMMON)
    with pytest.raises(DataError, match="by-hand has the weights of by-hand"):
        run_baselines(tokens, subject, tmp_path, untrained=PlantedTokens(), **COMMON)
    with pytest.raises(DataError, match="features are 0"):
        run_baselines(tokens, subject, tmp_path, which=["fwrf"], **{**COMMON, "features": 0})
    assert not any(tmp_path.iterdir())
