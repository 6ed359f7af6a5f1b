"""Leave-one-layer-out R^2 and the error of shares against sums written out and a bootstrap."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from factortopy.analysis import AlignedBatches, leave_out, shares
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens

LAYERS, CHANNELS, WIDTH, VOXELS, IMAGES = 3, 6, 4, 8, 150


@pytest.fixture(scope="module")
def tokens():
    generator = torch.Generator().manual_seed(0)
    local = tuple(2 + torch.randn(IMAGES, CHANNELS, 3, 3, generator=generator).double() for _ in range(LAYERS))
    return Tokens(local, tuple(5 + torch.randn(IMAGES, CHANNELS, generator=generator).double() for _ in range(LAYERS)))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    maps = [[ChannelMap(CHANNELS, WIDTH).double() for _ in range(LAYERS)] for _ in range(2)]
    selection = Selection(
        torch.rand(VOXELS, 2).double() - 0.5,
        torch.randn(VOXELS, LAYERS).double().softmax(dim=1),
        torch.rand(VOXELS).double(),
    )
    return FactorTopy(ChannelAlign(*maps), FixedSelectors(selection), torch.randn(VOXELS, WIDTH).double(), 0.5)


@pytest.fixture(scope="module")
def parts(model, tokens):
    """Each layer's part of the predictions: the difference to a model whose layer weight is 0."""
    selection = model.select()
    with torch.no_grad():
        whole = model(tokens)
        others = [selection.layer * (torch.arange(LAYERS) != layer) for layer in range(LAYERS)]
        return np.stack([whole - model(tokens, selection._replace(layer=held)) for held in others])


@pytest.fixture(scope="module")
def responses(parts):
    rng = np.random.default_rng(2)
    return parts.sum(axis=0) * 0.8 + rng.normal(size=parts.shape[1:]) + 3


def found_by(model, tokens, responses, parts, **kwargs):
    def batches():
        return (tokens[start : start + 40] for start in range(0, len(responses), 40))

    return leave_out(
        model,
        AlignedBatches(model, batches),
        torch.from_numpy(responses),
        torch.from_numpy(parts.sum(axis=0)),
        **kwargs,
    )


def test_drop_is_the_difference_of_two_r2(model, tokens, responses, parts):
    found = found_by(model, tokens, responses, parts)
    predicted = parts.sum(axis=0)
    for layer in range(LAYERS):
        without = predicted - parts[layer] + parts[layer].mean(axis=0)
        expected = r2_score(responses, predicted, multioutput="raw_values") - r2_score(
            responses, without, multioutput="raw_values"
        )
        # The mean residual is the bias's part of the error, the same with and without the layer.
        np.testing.assert_allclose(found.drop[:, layer], expected, atol=1e-10)


def test_the_unit_of_responses_does_not_matter(model, tokens, responses, parts):
    channels = 1e-3 * model.channels.detach()
    small = found_by(
        FactorTopy(model.align, model.selectors, channels, model.factor), tokens, 1e-3 * responses, 1e-3 * parts
    )
    for one, other in zip(small, found_by(model, tokens, responses, parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_error_of_a_share_is_that_of_a_bootstrap(model, tokens, responses, parts):
    found = found_by(model, tokens, responses, parts).share_error
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, IMAGES, IMAGES)
        some = parts[:, rows] - parts[:, rows].mean(axis=1, keepdims=True)
        whole = some.sum(axis=0)
        drawn.append((some * whole).sum(axis=1) / np.square(whole).sum(axis=0))
    np.testing.assert_allclose(found.T, np.std(drawn, axis=0), rtol=0.15)


def test_trials_of_one_image_are_one_draw(model, tokens, responses, parts):
    """Every image shown three times tells no more about the share than shown once."""
    once = found_by(model, tokens, responses, parts).share_error
    rows = np.repeat(np.arange(IMAGES), 3)
    more = tokens[torch.from_numpy(rows)]
    found = found_by(model, more, responses[rows], parts[:, rows], repeats=torch.full((3 * IMAGES,), 3.0))
    np.testing.assert_allclose(found.share_error, once, rtol=1e-8)


def test_constant_responses_and_predictions_have_none(model, tokens, responses, parts):
    """Also where the mean of equal numbers is not that number."""
    changed = responses.copy()
    changed[:, 1] = 0.1
    assert torch.isnan(found_by(model, tokens, changed, parts).drop[1]).all()
    silent = FactorTopy(model.align, model.selectors, model.channels.detach().clone(), model.factor)
    silent.channels.data[2], silent.bias.data[2] = 0, 0.1
    aligned = [silent.align(tokens)]
    predictions = shares(silent, aligned).predictions
    found = leave_out(silent, aligned, torch.from_numpy(responses), predictions)
    assert torch.isnan(found.share_error[2]).all()
    np.testing.assert_allclose(found.drop[2], 0)
