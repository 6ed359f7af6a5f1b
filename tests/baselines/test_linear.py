"""Linear baselines against himalaya, scikit-learn and planted fields; the bootstrap against a loop."""

import numpy as np
import pytest
import torch
from planted_tokens import GRID, LAYERS, SPLIT, PlantedTokens, subject_of
from sklearn.linear_model import Ridge

from factortopy.analysis import draw_roi_r2, r_squared
from factortopy.baselines.features import Field, field_weights, measure_features
from factortopy.baselines.linear import fit_linear
from factortopy.fitting import PENALTIES, fit_settings, split_examples

SCENES = [f"scene {number // 3}" for number in range(260)]


def measured(signal, noise=0.5, scenes=None, tokens=None, count=6):
    """Features of planted tokens, and z-scored responses to all sides."""
    tokens = tokens or PlantedTokens()
    sides = split_examples(tokens, subject_of(signal, noise=noise), SPLIT)
    features = measure_features(sides, count, fit_settings(), scenes, torch.device("cpu"), progress=False)
    return features, {name: side.all_responses().numpy() for name, side in sides.items()}


def read_layer(tokens, layer, voxels=5, seed=2):
    """Responses that read one layer at all places."""
    read = tokens.local[layer].reshape(260, -1).astype(float)
    return read @ np.random.default_rng(seed).normal(size=(read.shape[1], voxels))


def fold_by_fold(kernels, features, y):
    """Best kernel and penalty of every voxel by scikit-learn's ridge on left-out folds; predictions of all rows."""
    count, parts = len(features.repeats), features.folds.numpy()
    best = np.full(y.shape[1], np.inf)
    predictions, chosen = np.zeros((len(features.tokens) - count, y.shape[1])), np.zeros(y.shape[1], int)
    for number, kernel in enumerate(kernels):
        values, axes = np.linalg.eigh(kernel[:count].numpy().astype(float))
        rows = axes * np.sqrt(values.clip(0))
        held_out = kernel[count:].numpy().astype(float) @ axes * np.where(values > 1e-6, values.clip(1e-6) ** -0.5, 0)
        scale = np.square(rows).sum(axis=1).mean()
        for penalty in PENALTIES.numpy() * scale:
            error = np.zeros(y.shape[1])
            for fold in np.unique(parts):
                model = Ridge(penalty).fit(rows[parts != fold], y[parts != fold])
                error += np.square(model.predict(rows[parts == fold]) - y[parts == fold]).sum(axis=0)
            better = error < best
            if not better.any():
                continue
            best[better], chosen[better] = error[better], number
            predictions[:, better] = Ridge(penalty).fit(rows, y[:, better]).predict(held_out).reshape(-1, better.sum())
    return chosen, predictions


@pytest.mark.parametrize("scenes", [None, SCENES])
def test_choice_and_predictions_are_those_of_ridges_fitted_fold_by_fold(scenes):
    tokens = PlantedTokens()
    signal = np.concatenate([read_layer(tokens, 0), read_layer(tokens, 2)], axis=1)
    features, responses = measured(signal, noise=1.5, scenes=scenes)
    y = np.concatenate([responses["train"], responses["validation"]]).astype(float)
    chosen, predictions = fold_by_fold(features.layer_kernels, features, y)
    found = fit_linear("ridge-best-layer", features, progress=False)
    np.testing.assert_array_equal(found.chosen, chosen)
    np.testing.assert_allclose(found.predictions, predictions, atol=0.02)
    assert set(chosen[:5]) == {0}
    assert set(chosen[5:]) == {2}


def test_ridge_on_all_layers_is_close_to_himalayas():
    library = pytest.importorskip("himalaya.kernel_ridge", reason="himalaya is for tests only")
    tokens = PlantedTokens()
    features, responses = measured(read_layer(tokens, 0) + read_layer(tokens, 1), noise=1.0)
    kernel, count = features.kernel([1 / LAYERS] * LAYERS).numpy().astype(float), 220
    y = np.concatenate([responses["train"], responses["validation"]]).astype(float)
    model = library.KernelRidgeCV(alphas=PENALTIES.numpy(), kernel="precomputed", cv=10)
    model.fit(kernel[:count], y - y.mean(axis=0))
    theirs = model.predict(kernel[count:]) + y.mean(axis=0)
    ours = fit_linear("ridge-all-layers", features, progress=False).predictions
    scores = [r_squared(responses["test"], values.astype(np.float32)).mean() for values in (ours, theirs)]
    assert scores[0] == pytest.approx(scores[1], abs=0.02)
    assert scores[0] > 0.1


def test_banded_ridge_wins_where_one_layer_is_read_and_equals_ridge_by_equal_weights():
    tokens = PlantedTokens()
    features, responses = measured(read_layer(tokens, 1), noise=1.0)
    r2 = {
        name: r_squared(responses["test"], fit_linear(name, features, progress=False).predictions).mean()
        for name in ("training-mean", "ridge-all-layers", "banded-ridge", "ridge-best-layer")
    }
    assert r2["training-mean"] == pytest.approx(-(1 / 40 + 1 / 220), abs=0.05)
    assert r2["training-mean"] < r2["ridge-all-layers"] < r2["banded-ridge"]
    assert r2["ridge-best-layer"] > r2["ridge-all-layers"]


def test_noise_is_predicted_by_its_mean():
    """Few images, and a layer and penalty for every voxel: still not worse than nothing."""
    noise = np.random.default_rng(4).normal(size=(260, 60))
    features, responses = measured(noise, noise=0.0)
    mean = r_squared(responses["test"], fit_linear("training-mean", features, progress=False).predictions).mean()
    for name in ("ridge-all-layers", "ridge-best-layer", "banded-ridge"):
        r2 = r_squared(responses["test"], fit_linear(name, features, progress=False).predictions).mean()
        assert mean - 0.03 < r2 < 0.01, name


def test_the_receptive_fields_planted_are_found():
    tokens = PlantedTokens()
    planted = [Field(-0.75, -0.75, 0.25), Field(0.75, -0.25, 0.25), Field(0.25, 0.75, 0.5)]
    random = np.random.default_rng(2)
    signal = [
        np.einsum("nkhw,hw->nk", tokens.local[layer], field_weights(field, GRID, GRID).numpy())
        @ random.normal(size=(tokens.local.shape[2], 3))
        for layer, field in enumerate(planted)
    ]
    features, responses = measured(np.concatenate(signal, axis=1), noise=0.2)
    found = fit_linear("fwrf", features, progress=False)
    grid = features.fields()
    assert len(grid) == 3 * GRID * GRID
    assert [grid[number] for number in found.chosen] == [field for field in planted for _ in range(3)]
    assert r_squared(responses["test"], found.predictions).mean() > 0.9


def test_places_where_nothing_varies_are_not_blown_up():
    """As in pictures with an empty margin: only test images have something there."""
    tokens = PlantedTokens()
    tokens.local[:, :220, :, 0, 0] = 0.5
    tokens.local[:, :220, :, 0, 0] += 1e-3 * tokens.local[:, :220, :, 1, 1]
    features, responses = measured(read_layer(tokens, 0), noise=2.0, tokens=tokens)
    found = fit_linear("fwrf", features, progress=False)
    assert r_squared(responses["test"], found.predictions).mean() > -0.1


def test_features_of_a_field_are_the_weighed_tokens_and_the_global_ones():
    features, _ = measured(np.random.default_rng(0).normal(size=(260, 2)))
    field = Field(-0.5, 0.5, 0.5)
    rows = features.of_field(field).numpy()
    assert rows.shape == (260, 2 * LAYERS * 6)
    np.testing.assert_allclose(rows[:220].mean(axis=0), 0, atol=1e-3)
    local, whole = np.square(rows[:220]).sum(axis=0).reshape(2, LAYERS * 6).sum(axis=1) / 220
    assert whole == pytest.approx(0.25, abs=1e-3)
    assert local == pytest.approx(0.75 * float(field_weights(field, GRID, GRID).square().sum()), rel=0.15)
    read = np.einsum("nkhw,hw->nk", features.tokens.local[1].float(), field_weights(field, GRID, GRID))
    for component in range(6):
        assert abs(np.corrcoef(rows[:, 6 + component], read[:, component])[0, 1]) > 0.9999


def test_weights_of_a_field_follow_the_gaussian():
    weights = field_weights(Field(-0.5, 0.5, 0.5), 2, 2).numpy()
    assert weights.sum() == pytest.approx(1)
    assert weights[1, 0] / weights[0, 0] == pytest.approx(np.exp(1 / 0.5), rel=1e-5)
    assert weights[1, 0] / weights[0, 1] == pytest.approx(np.exp(2 / 0.5), rel=1e-5)


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


def test_penalties_at_the_ends_of_the_grid_are_told():
    """Pure noise asks for the largest penalty, a response that reads one layer for none at an end."""
    tokens = PlantedTokens()
    noise = np.random.default_rng(5).normal(size=(260, 6))
    told = fit_linear("ridge-all-layers", measured(noise, noise=0.0)[0], progress=False)
    assert (told.penalty == len(PENALTIES) - 1).any()
    assert "of 6 voxels take the largest penalty tried (next to the mean)" in str(told.at_edge())
    inside = fit_linear("ridge-best-layer", measured(read_layer(tokens, 0), noise=0.5)[0], progress=False)
    assert ((inside.penalty > 0) & (inside.penalty < len(PENALTIES) - 1)).all()
    assert inside.at_edge() is None
    assert fit_linear("training-mean", measured(noise)[0], progress=False).at_edge() is None
