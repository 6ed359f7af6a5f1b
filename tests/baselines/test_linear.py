"""Linear baselines against himalaya, scikit-learn and planted fields; the bootstrap against a loop."""

import numpy as np
import pytest
import torch
from planted_tokens import GRID, LAYERS, SPLIT, PlantedTokens, subject_of
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from factortopy.analysis import draw_roi_r2, r_squared
from factortopy.baselines import receptive_fields
from factortopy.baselines.features import PENALTIES, Field, field_weights, measure_features
from factortopy.baselines.linear import band_weightings, choose, fit_candidates, fit_linear
from factortopy.fitting import fit_settings, split_examples

COUNTS = {"train": 60, "validation": 25, "test": 20}


@pytest.fixture
def bands():
    """Two feature spaces; half of the voxels read one, half the other."""
    random = np.random.default_rng(0)
    spaces = [
        {side: random.normal(size=(count, 5)).astype(np.float32) for side, count in COUNTS.items()} for _ in range(2)
    ]
    weights = random.normal(size=(2, 5, 6))
    weights[0, :, 3:] = weights[1, :, :3] = 0
    responses = {
        side: (
            sum(space[side] @ part for space, part in zip(spaces, weights, strict=True))
            + random.normal(size=(count, 6))
            + 0.3
        ).astype(np.float32)
        for side, count in COUNTS.items()
    }
    return spaces, responses


def test_banded_ridge_equals_himalaya(bands):
    himalaya = pytest.importorskip("himalaya.ridge", reason="himalaya is an extra")
    spaces, responses = bands
    weightings = band_weightings(2, seed=3).astype(np.float32)
    both = [np.concatenate([space["train"], space["validation"]]) for space in spaces]
    observed = np.concatenate([responses["train"], responses["validation"]])
    fold = PredefinedSplit(np.r_[np.full(60, -1), np.zeros(25)])
    model = himalaya.GroupRidgeCV(
        groups="input", cv=fold, fit_intercept=True,
        solver_params={"n_iter": weightings, "alphas": PENALTIES, "progress_bar": False, "warn": False},
    ).fit(both, observed)  # fmt: skip
    score, penalty, weights = choose(spaces, responses, weightings, None)
    np.testing.assert_allclose(score, model.cv_scores_.max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.log(weights.T / penalty), model.deltas_, rtol=1e-4, atol=1e-4)
    assert weights[:3, 0].mean() > 0.75
    assert weights[3:, 1].mean() > 0.75


def test_predictions_are_those_of_ridge_on_the_training_images(bands):
    """The choice by hand: every penalty fitted with scikit-learn, the best on the validation images kept."""
    spaces, responses = bands
    found = fit_candidates([lambda space=space: [space] for space in spaces], responses)
    assert found.chosen.tolist() == [0, 0, 0, 1, 1, 1]
    for voxel in range(6):
        space, target = spaces[found.chosen[voxel]], responses["train"][:, voxel]
        fits = [Ridge(alpha=penalty).fit(space["train"], target) for penalty in PENALTIES]
        errors = [
            np.square(fit.predict(space["validation"]) - responses["validation"][:, voxel]).mean() for fit in fits
        ]
        expected = fits[int(np.argmin(errors))].predict(space["test"])
        np.testing.assert_allclose(found.predictions[:, voxel], expected, atol=1e-4)
        assert found.score[voxel] == pytest.approx(-min(errors), rel=1e-4)


def test_the_receptive_fields_planted_are_found():
    tokens = PlantedTokens()
    planted = [Field(-0.75, -0.75, 0.25), Field(0.75, -0.25, 0.25), Field(0.25, 0.75, 0.5)]
    random = np.random.default_rng(2)
    signal = [
        np.einsum("nkhw,hw->nk", tokens.local[layer], field_weights(field, GRID, GRID).numpy())
        @ random.normal(size=(tokens.local.shape[2], 3))
        for layer, field in enumerate(planted)
    ]
    subject = subject_of(np.concatenate(signal, axis=1))
    sides = split_examples(tokens, subject, SPLIT)
    responses = {side: images.responses[torch.arange(len(images))].numpy() for side, images in sides.items()}
    features = measure_features(sides, LAYERS, 36, fit_settings(), progress=False)
    found = fit_linear("fwrf", features, responses, progress=False)
    grid = features.fields()
    assert len(grid) == 3 * GRID * GRID
    assert [grid[number] for number in found.chosen] == [field for field in planted for _ in range(3)]
    assert r_squared(responses["test"], found.predictions).mean() > 0.9


def test_fields_in_closed_form_are_ridge_on_their_features(monkeypatch):
    """himalaya's choice and scikit-learn's regression on the features of every field, one by one."""
    pytest.importorskip("himalaya.ridge", reason="himalaya is an extra")
    monkeypatch.setattr(receptive_fields, "VOXELS", 4)  # in three rounds
    tokens, random = PlantedTokens(), np.random.default_rng(3)
    read = tokens.local[1, :, :, 2, 1] + 0.5 * tokens.global_[0]
    signal = read.astype(float) @ random.normal(size=(read.shape[1], 9)) + 7
    subject = subject_of(signal, noise=0.7)
    sides = split_examples(tokens, subject, SPLIT)
    responses = {side: images.responses[torch.arange(len(images))].numpy() for side, images in sides.items()}
    responses = {side: part + 0.4 for side, part in responses.items()}  # the intercept counts
    features = measure_features(sides, LAYERS, 36, fit_settings(), progress=False)
    some = features.fields()[::5]
    monkeypatch.setattr(type(features), "fields", lambda _: some)
    found = fit_linear("fwrf", features, responses, progress=False)
    expected = fit_candidates([lambda field=field: [features.of_field(field)] for field in some], responses)
    np.testing.assert_array_equal(found.chosen, expected.chosen)
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-4)
    np.testing.assert_allclose(found.predictions, expected.predictions, atol=1e-4)
    assert len(set(found.chosen)) > 1


def test_weights_of_a_field_follow_the_gaussian():
    weights = field_weights(Field(-0.5, 0.5, 0.5), 2, 2).numpy()
    assert weights.sum() == pytest.approx(1)
    assert weights[1, 0] / weights[0, 0] == pytest.approx(np.exp(1 / 0.5), rel=1e-5)
    assert weights[1, 0] / weights[0, 1] == pytest.approx(np.exp(2 / 0.5), rel=1e-5)


def test_all_baselines_have_equally_many_features():
    tokens = PlantedTokens()
    sides = split_examples(tokens, subject_of(np.random.default_rng(0).normal(size=(260, 2))), SPLIT)
    features = measure_features(sides, LAYERS, 36, fit_settings(), progress=False)
    assert features.of_layer(0, 36)["test"].shape == (40, 36)
    assert sum(features.of_layer(layer, 12)["test"].shape[1] for layer in range(LAYERS)) == 36
    assert features.of_field(Field(0, 0, 1))["test"].shape == (40, 36)
    assert features.of_field(Field(0, 0, 1))["train"].var(axis=0).mean() == pytest.approx(1, abs=1e-3)


def test_resampled_scores_equal_those_of_rows_drawn_again():
    random = np.random.default_rng(0)
    responses = random.normal(size=(24, 4)).astype(np.float32)
    predictions = (0.5 * responses + random.normal(size=(24, 4))).astype(np.float32)
    responses[:, 3] = 0  # a voxel without R^2 counts nowhere
    images = [f"image-{row // 2}" for row in range(24)]  # two trials of each
    rois = {"some": np.array([True, True, False, True]), "all": np.ones(4, bool)}
    found = draw_roi_r2(responses, predictions, images, rois, resamples=20)
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), 20)
    for counts, row in zip(drawn, found, strict=True):
        chosen = np.repeat(np.arange(24), np.repeat(counts, 2))
        errors = np.square(responses - predictions)[chosen, :3].sum(axis=0)
        spread = np.square(responses - responses.mean(axis=0))[chosen, :3].sum(axis=0)
        each = 1 - errors / spread
        np.testing.assert_allclose(row, [each[:2].mean(), each.mean()], atol=1e-4)
