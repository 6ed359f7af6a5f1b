"""Ridge in closed form against fits without each image, against scikit-learn, and on planted Gaussian patches."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from factortopy.fitting import fit_settings
from factortopy.fitting.build import build_solved_model
from factortopy.fitting.examples import Examples, distinct_images
from factortopy.fitting.reduction import TokenReduction
from factortopy.fitting.solved.candidates import candidates, design, select_and_solve
from factortopy.fitting.solved.closed_form import (
    PENALTIES,
    centre,
    decompose,
    dual_weights,
    leave_folds_out,
    leave_one_out,
)
from factortopy.fitting.solved.prior import posterior
from factortopy.model import gaussian_pool
from factortopy.networks import Tokens

torch.manual_seed(0)


def regression(images, features):
    generator = torch.Generator().manual_seed(1)
    x = 1 + torch.randn(images, features, generator=generator, dtype=torch.float64)
    y = x[:, :3] @ torch.randn(3, 4, generator=generator, dtype=torch.float64)
    y = y + torch.randn(images, 4, generator=generator, dtype=torch.float64) + 2
    return x, y, torch.randint(1, 4, (images,), generator=generator)


@pytest.mark.parametrize(("images", "features"), [(20, 6), (20, 50)])
@pytest.mark.parametrize("repeated", [False, True])
def test_leave_one_out_equals_fits_without_all_trials_of_each_image(images, features, repeated):
    x, y, repeats = regression(images, features)
    repeats = repeats if repeated else torch.ones_like(repeats)
    weight = repeats.double()
    spectrum = decompose(centre(x, weight)[0], weight)
    scores = leave_one_out(spectrum, centre(y, weight)[0])
    rows = np.repeat(np.arange(images), repeats)  # one row a trial, all trials of an image alike
    design, observed = x.numpy()[rows], y.numpy()[rows]
    for index in (3, 7, 10):
        penalty = float(PENALTIES[index] / spectrum.factor)
        error, total = 0, 0
        for image in range(images):
            others, own = rows != image, rows == image
            model = Ridge(penalty).fit(design[others], observed[others])
            error = error + np.square(observed[own] - model.predict(design[own])).sum(axis=0)
            total = total + np.square(observed[own] - observed[others].mean(axis=0)).sum(axis=0)
        np.testing.assert_allclose(scores[index], 1 - error / total, rtol=1e-8)


@pytest.mark.parametrize(("images", "features"), [(20, 6), (20, 50)])
def test_leave_folds_out_equals_fits_without_each_fold(images, features):
    x, y, repeats = regression(images, features)
    weight, folds = repeats.double(), torch.tensor([0, 1, 2, 2, 0] * (images // 5))
    spectrum = decompose(centre(x, weight)[0], weight)
    scores = leave_folds_out(spectrum, centre(y, weight)[0], folds)
    rows = np.repeat(np.arange(images), repeats)
    design, observed, fold = x.numpy()[rows], y.numpy()[rows], folds.numpy()[rows]
    for index in (3, 7, 10):
        penalty = float(PENALTIES[index] / spectrum.factor)
        error, total = 0, 0
        for number in range(3):
            own, others = fold == number, fold != number
            model = Ridge(penalty).fit(design[others], observed[others])
            error = error + np.square(observed[own] - model.predict(design[own])).sum(axis=0)
            total = total + np.square(observed[own] - observed[others].mean(axis=0)).sum(axis=0)
        np.testing.assert_allclose(scores[index], 1 - error / total, rtol=1e-8)
    alone = leave_folds_out(spectrum, centre(y, weight)[0], torch.arange(images))
    torch.testing.assert_close(alone, leave_one_out(spectrum, centre(y, weight)[0]))


@pytest.mark.parametrize(("images", "features"), [(20, 6), (20, 50)])
def test_coefficients_are_those_of_scikit_learn_averaged_over_penalties(images, features):
    x, y, _ = regression(images, features)
    ones = torch.ones(images, dtype=torch.float64)
    centred, _ = centre(x, ones)
    spectrum = decompose(centred, ones)
    weights = torch.zeros(len(PENALTIES), 4, dtype=torch.float64)
    weights[4], weights[8] = 0.3, 0.7
    coefficients = centred.T @ dual_weights(spectrum, centre(y, ones)[0], weights)
    one, other = (Ridge(float(PENALTIES[index] / spectrum.factor)).fit(x, y).coef_.T for index in (4, 8))
    np.testing.assert_allclose(coefficients, 0.3 * one + 0.7 * other, rtol=1e-7, atol=1e-10)


def test_constant_responses_and_features_score_nothing_and_harm_nothing():
    ones = torch.ones(9, dtype=torch.float64)
    spectrum = decompose(torch.zeros(9, 4, dtype=torch.float64), ones)
    responses = torch.stack([torch.zeros(9), torch.randn(9)], dim=1).double()
    scores = leave_one_out(spectrum, centre(responses, ones)[0])
    np.testing.assert_allclose(scores, 0, atol=1e-12)


def test_the_prior_is_that_of_the_group_and_pulls_undecided_voxels():
    scores = torch.zeros(3, 12)
    scores[0, :5], scores[1, 6:11] = 0.2, 0.2  # voxels 5 and 11 have seen nothing
    apart = posterior(scores, 100, np.repeat([0, 1], 6))
    assert apart[0, 5] > 0.9
    assert apart[1, 11] > 0.9
    together = posterior(scores, 100, np.zeros(12, int))
    assert abs(together[0, 5] - together[1, 5]) < 0.05
    torch.testing.assert_close(together.sum(dim=0), torch.ones(12))


@pytest.mark.parametrize(("layers", "grid"), [(9, (8, 8)), (1, (8, 8)), (3, (1, 1)), (4, (3, 7)), (12, (14, 14))])
def test_candidates_of_any_grid_are_distinct_and_no_smaller_than_a_cell(layers, grid):
    tried = candidates(layers, *grid)
    table = torch.cat([part.reshape(len(tried.scale), -1) for part in tried], dim=1)
    assert len(table.unique(dim=0)) == len(table) <= 250
    assert tried.size.min() >= min(0.8 * 2 / max(grid), 1)
    torch.testing.assert_close(tried.layer.norm(dim=1), torch.ones(len(table)))
    assert tried.space.abs().max() < 1


LAYERS, COMPONENTS, GRID = 3, 5, (6, 8)


def planted(images=250, noise=1.0):
    """Units that read a Gaussian patch of one layer, tokens that are smooth over the grid as those of photographs."""
    generator = torch.Generator().manual_seed(2)
    near = torch.cdist(*[torch.cartesian_prod(torch.arange(6.0), torch.arange(8.0))] * 2).div(-1.5).exp()
    local = tuple(
        (torch.randn(images, COMPONENTS, 48, generator=generator) @ near).unflatten(2, GRID) for _ in range(LAYERS)
    )
    tokens = Tokens(local, tuple(layer.mean(dim=(2, 3)) for layer in local))
    space = torch.tensor([[-0.5, -0.5], [0.5, 0.4], [0.0, 0.5], [-0.4, 0.3]]).repeat(3, 1)
    pool = gaussian_pool(space, torch.full((12,), 0.3), *GRID)
    read = torch.einsum("nkp,ip->nik", local[1].flatten(2), pool)
    read = (read - read.mean(dim=0)) / read.std(dim=0)
    signal = torch.einsum("nik,ik->ni", read, torch.randn(12, COMPONENTS, generator=generator))
    signal = signal / signal.std(dim=0)
    return tokens, signal + noise * torch.randn(signal.shape, generator=generator), space


def found(tokens, responses, repeats=None, groups=None, change=lambda selection: selection):
    repeats = torch.ones(len(responses)) if repeats is None else repeats
    groups = np.zeros(responses.shape[1], int) if groups is None else groups
    return select_and_solve(tokens, responses, repeats, groups, change, progress=False)


def test_units_that_read_a_patch_are_found_within_a_cell():
    tokens, responses, space = planted()
    channels = found(tokens, responses)
    cells = (channels.selection.space - space).abs() * torch.tensor([GRID[1], GRID[0]]) / 2
    assert cells.median() < 0.5
    assert cells.max() < 1
    assert channels.selection.size.median() < 0.5
    assert channels.score.mean() > 0.35  # a ceiling of 0.5


def test_noise_is_predicted_by_its_mean():
    tokens, responses, _ = planted()
    noise = torch.randn(responses.shape, generator=torch.Generator().manual_seed(3))
    train, test = slice(0, 150), slice(150, None)
    channels = found(tokens[train], noise[train])
    fitted = predict(channels, tokens[test])
    r2 = 1 - (noise[test] - fitted).square().sum(dim=0) / (noise[test] - noise[train].mean(dim=0)).square().sum(dim=0)
    assert abs(r2.mean()) < 0.01


def predict(channels, tokens):
    """Predictions voxel by voxel from what each selects."""
    columns = []
    for voxel in range(len(channels.bias)):
        one = channels.selection.map(lambda part, row=voxel: part[row : row + 1].double())
        read = design(tokens, one, torch.ones(len(tokens)))
        raw = read.features / (read.factor * read.weight) + read.mean
        columns.append((raw * read.weight) @ channels.coefficients[voxel] + channels.bias[voxel])
    return torch.stack(columns, dim=1)


def test_the_solved_model_predicts_from_raw_tokens_what_was_solved_for():
    tokens, responses, _ = planted(images=80)
    raw = Tokens(tuple(3 + 2 * layer for layer in tokens.local), tuple(1 - layer for layer in tokens.global_))
    reduction = TokenReduction.measure([raw], len(raw), 4, 1.0)
    channels = found(reduction.apply(raw), responses)
    model = build_solved_model(fit_settings(), channels, reduction)
    with torch.no_grad():
        np.testing.assert_allclose(model(raw), predict(channels, reduction.apply(raw)), atol=2e-4)
    assert model.channels.shape == (12, 12)


def test_what_is_changed_of_the_selection_is_what_channels_are_solved_for():
    tokens, responses, _ = planted(images=60)
    uniform = torch.full((12, LAYERS), 1 / LAYERS)
    channels = found(tokens, responses, change=lambda selection: selection._replace(layer=uniform))
    torch.testing.assert_close(channels.selection.layer, uniform)


def test_trials_count_as_their_mean_with_their_number():
    tokens, responses, _ = planted(images=60)
    image = np.array([5, 0, 5, 9, 0, 5])
    examples = Examples(lambda rows: tokens[rows], responses[:6], image=image)
    plain = Examples(lambda rows: tokens[6 + rows], responses[6:10])
    images, repeats = distinct_images(examples, plain)
    assert repeats.tolist() == [2, 3, 1, 1, 1, 1, 1]
    expected = torch.stack([responses[[1, 4]].mean(0), responses[[0, 2, 5]].mean(0), *responses[[3, 6, 7, 8, 9]]])
    torch.testing.assert_close(images.all_responses(), expected)
    torch.testing.assert_close(images.read(torch.tensor([4, 0, 1, 6])).global_[0], tokens.global_[0][[7, 1, 0, 9]])
