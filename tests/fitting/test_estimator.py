"""The scikit-learn face: its habits, its scale, its refusals."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score

from factortopy.errors import DataError, ShapeError
from factortopy.fitting import FactorTopyRegressor
from factortopy.networks import Tokens

IMAGES, VOXELS = 240, 60
# Six channels of two layers. What patches read of a layer and scale is told by shares, not by selectors.
FAST = {"steps": 150, "width": 12, "components": 6, "validate_every": 25, "patches": False}


@pytest.fixture(scope="module")
def data():
    """Voxels that read the global token of one of two layers."""
    generator = torch.Generator().manual_seed(0)
    tokens = Tokens(
        tuple(torch.randn(IMAGES, 6, 3, 3, generator=generator) for _ in range(2)),
        tuple(torch.randn(IMAGES, 6, generator=generator) for _ in range(2)),
    )
    weights = torch.randn(6, VOXELS, generator=generator)
    late = torch.arange(VOXELS) >= VOXELS // 2
    signal = torch.where(late, tokens.global_[1] @ weights, tokens.global_[0] @ weights)
    responses = 40 + 7 * (signal + 0.5 * torch.randn(signal.shape, generator=generator)).numpy()
    along = np.linspace(0, 100, VOXELS)
    return tokens, responses, np.stack([along, 0 * along, 0 * along], axis=1)


@pytest.fixture(scope="module")
def fitted(data):
    tokens, responses, coordinates = data
    model = FactorTopyRegressor(**FAST)
    return model.fit(tokens[:200], responses[:200], coordinates=coordinates)


def test_it_predicts_held_out_responses_on_their_own_scale(data, fitted):
    tokens, responses, _ = data
    predicted = fitted.predict(tokens[200:])
    assert predicted.shape == (40, VOXELS)
    assert r2_score(responses[200:], predicted) > 0.75  # 0.96 without the noise
    assert fitted.score(tokens[200:], responses[200:]) == pytest.approx(r2_score(responses[200:], predicted))


def test_it_finds_layer_and_scale(fitted):
    late = fitted.selection_.layer[:, 1]
    assert late[: VOXELS // 2 - 8].mean() < 0.3
    assert late[VOXELS // 2 + 8 :].mean() > 0.7
    assert fitted.selection_.scale.mean() > 0.7


def test_it_clones_and_refuses_to_predict_unfitted(data, fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert copy.set_params(steps=7, seed=2).get_params() == {**fitted.get_params(), "steps": 7, "seed": 2}
    with pytest.raises(NotFittedError):
        copy.predict(data[0])


def test_bad_input_is_named(data):
    tokens, responses, coordinates = data
    model = FactorTopyRegressor(**FAST)
    with pytest.raises(ShapeError, match=r"responses \(239, 60\).*240 images"):
        model.fit(tokens, responses[:-1], coordinates=coordinates)
    with pytest.raises(ShapeError, match=r"coordinates \(60, 2\) must be \(60, 3\)"):
        model.fit(tokens, responses, coordinates=coordinates[:, :2])
    broken = responses.copy()
    broken[3, 4] = np.nan
    with pytest.raises(DataError, match="responses hold NaN"):
        model.fit(tokens, broken, coordinates=coordinates)
    with pytest.raises(DataError, match="leaves 0 to validate"):
        FactorTopyRegressor(validation_fraction=0.0).fit(tokens, responses, coordinates=coordinates)


def test_coordinates_may_be_a_view_from_behind(data):
    tokens, responses, coordinates = data
    bounds = np.array([[100.0, 0, 0], [0, 0, 0]])
    model = FactorTopyRegressor(**{**FAST, "steps": 2})
    model.fit(tokens, responses[:, ::-1], coordinates=coordinates[::-1], coordinate_bounds=bounds[::-1])
    assert model.predict(tokens[:2]).shape == (2, VOXELS)


@pytest.mark.slow
def test_scikit_learns_cross_validation(data):
    tokens, responses, coordinates = data
    where, folds, model = {"coordinates": coordinates}, KFold(2), FactorTopyRegressor(steps=5)
    scores = cross_val_score(model, tokens, responses, cv=folds, params=where, error_score="raise")
    predicted = cross_val_predict(model, tokens, responses, cv=folds, params=where)
    for score, (train, test) in zip(scores, folds.split(responses), strict=True):
        fitted = clone(model).fit(tokens[train], responses[train], coordinates=coordinates)
        np.testing.assert_array_equal(predicted[test], fitted.predict(tokens[test]))
        assert score == fitted.score(tokens[test], responses[test])


def test_rows_of_tokens_by_number_mask_and_list(data):
    tokens = data[0]
    joined = Tokens.join([tokens[5], tokens[np.int64(2)], tokens[[7, 3]]])
    for found, expected in zip(joined.local + joined.global_, tokens.local + tokens.global_, strict=True):
        assert torch.equal(found, expected[[5, 2, 7, 3]])
    mask = np.arange(IMAGES) % 3 == 0
    for rows in (mask, mask.tolist(), torch.from_numpy(mask)):
        assert torch.equal(tokens[rows].local[0], tokens.local[0][::3])
