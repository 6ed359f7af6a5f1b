"""With few images predictions are drawn towards the mean, by as much as left-out images say."""

import numpy as np
import pytest
import torch

from factortopy.fitting.solved import shrinkage
from factortopy.fitting.solved.candidates import Channels, read_blocks, select_and_solve
from factortopy.fitting.solved.shrinkage import predict, shrink
from factortopy.model import Selection
from factortopy.networks import Tokens

IMAGES, VOXELS, LAYERS, COMPONENTS = 40, 6, 2, 3


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    local = tuple(torch.randn(IMAGES, COMPONENTS, 4, 4, generator=generator) for _ in range(LAYERS))
    return Tokens(local, tuple(torch.randn(IMAGES, COMPONENTS, generator=generator) for _ in range(LAYERS)))


def known(voxels, factor, mean):
    """Channels that read the same place with the same weights, but for a factor."""
    generator = torch.Generator().manual_seed(1)
    layer = torch.rand(voxels, LAYERS, generator=generator).softmax(dim=1)
    space = torch.rand(voxels, 2, generator=generator) - 0.5
    selection = Selection(space, layer, torch.full((voxels,), 0.3), torch.full((voxels,), 0.5))
    coefficients = torch.randn(voxels, 2 * LAYERS * COMPONENTS, generator=generator, dtype=torch.float64)
    return Channels(selection, factor * coefficients, mean, torch.zeros(voxels, dtype=torch.float64))


def test_predictions_are_those_of_the_formula(tokens):
    channels = known(VOXELS, 1.0, torch.arange(VOXELS, dtype=torch.float64))
    found, (space, layer, scale, size) = predict(channels, tokens), channels.selection
    at = np.array([-0.75, -0.25, 0.25, 0.75])
    expected = np.zeros((IMAGES, VOXELS))
    for i in range(VOXELS):
        squared = (at[:, None] - float(space[i, 1])) ** 2 + (at[None] - float(space[i, 0])) ** 2
        pool = np.exp(-squared / (2 * float(size[i]) ** 2))
        local = [np.einsum("nchw,hw->nc", part.numpy(), pool / pool.sum()) for part in tokens.local]
        blocks = [float((1 - scale[i]) * layer[i, number]) * local[number] for number in range(LAYERS)]
        blocks += [float(scale[i] * layer[i, number]) * tokens.global_[number].numpy() for number in range(LAYERS)]
        expected[:, i] = np.concatenate(blocks, axis=1) @ channels.coefficients[i].numpy() + i
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_is_said_too_loudly_is_halved_in_its_group_alone(tokens):
    """Responses are the signal in one group, half of it or more in others, beside a mean; all are solved as whole."""
    groups, repeats = np.repeat([3, 7, 8], VOXELS // 3), torch.arange(IMAGES) % 3 + 1.0
    truth = predict(known(VOXELS, 1.0, torch.zeros(VOXELS, dtype=torch.float64)), tokens)
    truth -= (repeats.double() @ truth) / repeats.sum()
    said = torch.tensor([1.0, 1.0, 0.5, 0.5, 1.5, 1.5], dtype=torch.float64)
    responses = 5 + said * truth
    seen = []

    def fit(some, few):
        """The whole signal about the mean of the images that it is given, which no other image tells."""
        seen.append(some)
        own, trials = responses[some][:, few], repeats[some].double()
        whole = known(VOXELS, 1.0, torch.zeros(VOXELS, dtype=torch.float64))
        mean = trials @ own / trials.sum() - trials @ predict(whole, tokens[some])[:, few] / trials.sum()
        return Channels(whole.selection.map(lambda part: part[few]), whole.coefficients[few], mean, whole.score[few])

    found = shrink(fit, tokens, responses, repeats, groups, progress=False)
    factor = (found.coefficients / known(VOXELS, 1.0, found.bias).coefficients).numpy()
    np.testing.assert_allclose(factor, np.repeat(factor[:, :1], factor.shape[1], axis=1))
    assert factor[:2] == pytest.approx(1.0, abs=0.02)
    assert factor[2:4] == pytest.approx(0.5, abs=0.03)
    assert (factor[4:] == 1).all()  # never said louder
    mean = (repeats.double() @ responses) / repeats.sum()
    np.testing.assert_allclose((repeats.double() @ predict(found, tokens)) / repeats.sum(), mean, atol=1e-5)
    parts = [set(range(IMAGES)) - set(some.tolist()) for some in seen[:-1]]
    assert sorted(image for part in parts for image in part) == list(range(IMAGES))
    assert all(len(part) == IMAGES // shrinkage.PARTS for part in parts)
    assert seen[-1].tolist() == list(range(IMAGES))


def test_noise_is_drawn_to_its_mean_and_a_signal_is_not(tokens):
    generator = torch.Generator().manual_seed(2)
    blocks, _ = read_blocks(tokens, known(1, 1.0, torch.zeros(1)).selection.map(torch.Tensor.double))
    clean = (blocks @ torch.randn(blocks.shape[1], VOXELS, generator=generator, dtype=torch.float64)).float()
    noise = torch.randn(IMAGES, VOXELS, generator=generator)
    groups, repeats = np.zeros(VOXELS, int), torch.ones(IMAGES)
    factors = []
    for responses in (clean, noise):

        def fit(some, few, responses=responses):
            own = responses[some][:, few]
            return select_and_solve(tokens[some], own, repeats[some], groups[few], lambda selection: selection, False)

        alone = fit(torch.arange(IMAGES), torch.arange(VOXELS))
        found = shrink(fit, tokens, responses, repeats, groups, progress=False)
        factors.append(float(found.coefficients.norm() / alone.coefficients.norm().clamp(min=1e-9)))
    assert factors[0] > 0.95
    assert factors[1] < 0.7
