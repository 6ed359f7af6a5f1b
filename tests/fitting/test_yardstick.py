"""The yardstick against scikit-learn and himalaya on the same features, and its sample of voxels."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from factortopy.errors import DataError
from factortopy.fitting import Examples, TokenReduction, fit_yardstick, image_folds, sample_voxels, yardstick
from factortopy.fitting.solved.closed_form import PENALTIES
from factortopy.networks import Tokens

LAYERS, CHANNELS, GRID, VOXELS = 2, 5, (3, 2), 6
COUNTS = {"train": 40, "validation": 10, "test": 25}
MEMORY = 10**9


@pytest.fixture(scope="module")
def tokens():
    generator = torch.Generator().manual_seed(0)
    count = sum(COUNTS.values())
    spread = torch.tensor([30.0, 3.0, 1.0, 1.0, 0.2])
    local = tuple(2 + torch.randn(count, CHANNELS, *GRID, generator=generator) * spread[:, None, None] for _ in "ab")
    return Tokens(local, tuple(torch.randn(count, CHANNELS, generator=generator) * spread - 1 for _ in "ab"))


@pytest.fixture(scope="module")
def responses(tokens):
    """Some voxels read a layer's tokens, the rest nothing, with noise and a mean."""
    generator = torch.Generator().manual_seed(1)
    read = tokens.local[1].flatten(1)
    signal = ((read - read.mean(0)) / read.std(0)) @ torch.randn(read.shape[1], VOXELS, generator=generator)
    signal[:, 4:] = 0
    return 0.4 + signal / 5.5 + 0.3 * torch.randn(signal.shape, generator=generator)


def sides(tokens, responses, trials=1):
    """Sides of a split; training images in so many trials of one response each."""
    found, start = {}, 0
    for name, count in COUNTS.items():
        rows = np.repeat(np.arange(start, start + count), trials if name == "train" else 1)
        found[name] = Examples(
            lambda chosen, rows=rows: tokens[torch.from_numpy(rows)[chosen]], responses[rows], image=rows
        )
        start += count
    return found


def features(tokens, repeats=None):
    """By hand: all tokens of standardised channels, blocks of one mean square over the fitted images."""
    fitted = COUNTS["train"] + COUNTS["validation"]
    blocks = []
    for kind, share in ((tokens.local, 0.75), (tokens.global_, 0.25)):
        for layer in kind:
            values = layer.double().flatten(2) if layer.ndim > 2 else layer.double()[:, :, None]
            # Channels are standardised by the training images, as the components of a fit are.
            training = values[: COUNTS["train"]]
            values = (values / training.std(dim=(0, 2), correction=0)[:, None]).flatten(1).numpy()
            values = values - np.average(values[:fitted], axis=0, weights=repeats)
            blocks.append(values * np.sqrt(share / LAYERS / np.square(values[:fitted]).sum(1).mean()))
    return np.concatenate(blocks, axis=1)


def reduction(tokens):
    return TokenReduction.measure([tokens[: COUNTS["train"]]], COUNTS["train"], CHANNELS, 0.1)


def predicted(tokens, examples, scenes=None):
    return fit_yardstick(reduction(tokens), examples, scenes, torch.device("cpu"), MEMORY).numpy()


def by_hand(x, y, parts, images=None):
    """Penalty of every voxel by the squared error of left-out folds, then a fit to all; scikit-learn's Ridge."""
    fitted = len(y)
    errors = np.zeros((len(PENALTIES), y.shape[1]))
    factor = np.square(x[:fitted]).sum() / (images or fitted)
    for left, out in parts:
        for index, penalty in enumerate(PENALTIES.numpy() * factor):
            errors[index] += np.square(Ridge(penalty).fit(x[left], y[left]).predict(x[out]) - y[out]).sum(0)
    best = errors.argmin(0)
    assert len(set(best)) > 1
    each = [Ridge(float(PENALTIES[index]) * factor).fit(x[:fitted], y[:, voxel]) for voxel, index in enumerate(best)]
    return np.stack([model.predict(x[fitted:]) for model in each], axis=1)


@pytest.mark.parametrize("scenes", [None, [f"scene {number // 4}" for number in range(75)]])
def test_predictions_are_those_of_scikit_learn(tokens, responses, scenes):
    fitted = COUNTS["train"] + COUNTS["validation"]
    y = responses[:fitted].double().numpy()
    groups = np.arange(fitted) if scenes is None else scenes[:fitted]
    parts = list(GroupKFold(10).split(y, groups=groups))
    expected = by_hand(features(tokens), y, parts)
    np.testing.assert_allclose(predicted(tokens, sides(tokens, responses), scenes), expected, atol=5e-3)


def test_predictions_are_close_to_those_of_himalaya(tokens, responses):
    """On the same folds and penalties; himalaya knows no intercept of a fold, so single penalties may differ."""
    library = pytest.importorskip("himalaya.kernel_ridge", reason="himalaya is an extra")
    fitted, x = COUNTS["train"] + COUNTS["validation"], features(tokens)
    y = responses.double().numpy()
    mean, parts = y[:fitted].mean(0), GroupKFold(10).split(y[:fitted], groups=np.arange(fitted))
    model = library.KernelRidgeCV(alphas=PENALTIES.numpy(), kernel="precomputed", cv=list(parts))
    model.fit(x[:fitted] @ x[:fitted].T, y[:fitted] - mean)
    theirs = model.predict(x[fitted:] @ x[:fitted].T) + mean
    ours = predicted(tokens, sides(tokens, responses))
    # Most voxels have the same penalty, and then the same predictions.
    assert (np.abs(ours - theirs).max(axis=0) < 2e-3).sum() >= 4
    assert all(np.corrcoef(pair)[0, 1] > 0.9 for pair in zip(ours.T[:4], theirs.T[:4], strict=True))


def test_trials_of_an_image_count_together(tokens, responses):
    """Two equal trials of every training image are two rows that are never parted."""
    rows = np.r_[np.repeat(np.arange(40), 2), 40:50]
    x, y = features(tokens, np.bincount(rows)), responses.double().numpy()
    parts = [
        (np.flatnonzero(~np.isin(rows, out)), np.flatnonzero(np.isin(rows, out)))
        for _, out in GroupKFold(10).split(y[:50], groups=np.arange(50))
    ]
    expected = by_hand(np.concatenate([x[rows], x[50:]]), y[rows], parts, images=50)
    np.testing.assert_allclose(predicted(tokens, sides(tokens, responses, trials=2)), expected, atol=5e-3)


def folds(scenes):
    numbers = np.arange(len(scenes))
    return image_folds(Examples(lambda _: None, torch.zeros(len(scenes), 1), image=numbers), scenes)


def test_scenes_stay_whole_in_the_folds():
    scenes = [f"scene {number % 7}" for number in range(70)]
    found = folds(scenes).tolist()
    assert len(set(found)) == 7
    assert all(len({found[i] for i in range(70) if scenes[i] == scene}) == 1 for scene in scenes)
    assert folds([str(number) for number in range(95)]).bincount().tolist() == [10] * 5 + [9] * 5
    with pytest.raises(DataError, match="of one scene"):
        folds(["one"] * 5)


def test_the_sample_is_spread_over_rois_and_follows_the_seed():
    rois = [np.arange(10_000) < 600, (np.arange(10_000) >= 500) & (np.arange(10_000) < 3_000)]
    found = sample_voxels(rois, 10_000, seed=0)
    assert len(set(found)) == 1_000
    # Evenly over the four patterns of membership: one voxel more or less.
    for inside in (rois[0], rois[1], rois[0] & rois[1], ~(rois[0] | rois[1])):
        assert abs(inside[found].sum() - inside.sum() / 10) <= 2
    assert (sample_voxels(rois, 10_000, seed=0) == found).all()
    assert (sample_voxels(rois, 10_000, seed=1) != found).any()
    assert sample_voxels([], 30, seed=0).tolist() == list(range(30))


def test_what_it_takes_grows_with_square_and_cube_of_the_images():
    few, many = (yardstick.yardstick_seconds(100, count, 20, torch.device("cpu")) for count in (300, 12_000))
    assert many > 40**2 * few / 10
    least = yardstick.yardstick_memory(12, 64, 9_000, 10_000, 64)
    assert least > 2 * 12 * 65 * 64 * 10_000 + 4 * 9_000 * 10_000


def test_little_memory_takes_fewer_components_and_too_little_is_named(tokens, responses, monkeypatch):
    examples = sides(tokens, responses)
    needed = yardstick.yardstick_memory(LAYERS, GRID[0] * GRID[1], 50, 75, 2)
    read = []
    monkeypatch.setattr(TokenReduction, "undamped", lambda self, count: read.append(count) or self)
    fit_yardstick(reduction(tokens), examples, None, torch.device("cpu"), int(needed) + 1)
    assert read == [2]
    with pytest.raises(DataError, match="its kernel of 50 images takes"):
        fit_yardstick(reduction(tokens), examples, None, torch.device("cpu"), 1_000)


def test_components_that_a_fit_still_holds_are_not_reduced_again(tokens, responses, monkeypatch):
    """As it holds them: damped, in half precision, more of them than the ridge takes."""
    monkeypatch.setattr(yardstick, "COMPONENTS", 3)
    whole, by = sides(tokens, responses, trials=2), reduction(tokens)

    def components(rows, read):
        found = by.apply(read(rows))
        return Tokens(*(tuple(layer.half() for layer in kind) for kind in (found.local, found.global_)))

    held = {
        name: replace(side, read=partial(components, read=side.read)) if name != "test" else side
        for name, side in whole.items()
    }
    cpu = torch.device("cpu")
    found = fit_yardstick(by, held, None, cpu, MEMORY, True).numpy()
    np.testing.assert_allclose(found, fit_yardstick(by, whole, None, cpu, MEMORY).numpy(), atol=3e-3)
