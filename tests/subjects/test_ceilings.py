"""Noise ceilings against their definitions on simulated trials, and against the published formulas."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.analysis import r_squared
from factortopy.errors import DataError, ShapeError
from factortopy.subjects import (
    noise_ceiling_at,
    noise_ceiling_from_ncsnr,
    noise_ceiling_from_percent,
    repeat_counts,
    repeat_variance,
)
from factortopy.subjects.ceilings import check_ceiling, mean_inverse

SHARED = os.environ.get("FACTORTOPY_SHARED_DATA")
SIGNAL, NOISE = 1.5, 2.5
"""Variances that are planted."""


def simulate(repeats, voxels=400, seed=0):
    """Trials with a planted signal and noise; trial order is random."""
    random = np.random.default_rng(seed)
    image = random.permutation(np.repeat(np.arange(len(repeats)), repeats))
    signal = random.normal(5.0, np.sqrt(SIGNAL), (len(repeats), voxels))
    return signal, signal[image] + random.normal(0, np.sqrt(NOISE), (len(image), voxels)), image


def test_published_formula_of_nsd():
    ncsnr = np.array([0.0, 0.5, 1.2, np.nan])
    # The manual's own form in per cent, for three repeats and for A, B, C images with 1, 2 and 3.
    expected = 100 * ncsnr**2 / (ncsnr**2 + 1 / 3)
    np.testing.assert_allclose(100 * noise_ceiling_from_ncsnr(ncsnr, (0, 0, 515)), expected)
    a, b, c = 70, 30, 900
    unequal = ncsnr**2 / (ncsnr**2 + (a / 1 + b / 2 + c / 3) / (a + b + c))
    np.testing.assert_allclose(noise_ceiling_from_ncsnr(ncsnr, np.array([a, b, c])), unequal)


@pytest.mark.parametrize("repeats", [np.full(600, 3), np.random.default_rng(1).integers(1, 5, 600)])
def test_a_perfect_model_reaches_the_ceiling_of_averaged_trials(repeats):
    signal, trials, image = simulate(repeats)
    averaged = np.stack([trials[image == place].mean(axis=0) for place in range(len(repeats))])
    reached = r_squared(averaged, signal)
    found = repeat_variance(trials, image)
    assert found.signal.mean() == pytest.approx(SIGNAL, rel=0.01)
    assert found.noise.mean() == pytest.approx(NOISE, rel=0.01)
    assert found.ceiling(repeat_counts(repeats)).mean() == pytest.approx(reached.mean(), abs=0.005)
    assert found.images == (repeats > 1).sum()
    assert found.trials == repeats.sum()


def test_estimates_have_no_bias_where_repeats_are_few_and_unequal():
    repeats = np.array([1, 1, 1, 2, 5, 9, 1, 1])
    found = [repeat_variance(*simulate(repeats, seed=seed)[1:]) for seed in range(12)]
    signal = np.concatenate([each.signal for each in found])
    noise = np.concatenate([each.noise for each in found])
    assert signal.mean() == pytest.approx(SIGNAL, abs=4 * signal.std() / np.sqrt(len(signal)))
    assert noise.mean() == pytest.approx(NOISE, abs=4 * noise.std() / np.sqrt(len(noise)))


def test_equal_repeats_give_the_noise_variance_of_nsd():
    _, trials, image = simulate(np.full(50, 3))
    by_image = np.stack([trials[image == place].var(axis=0, ddof=1) for place in range(50)])
    np.testing.assert_allclose(repeat_variance(trials, image).noise, by_image.mean(axis=0))


def test_voxels_without_signal_are_counted_and_not_hidden():
    random = np.random.default_rng(0)
    found = repeat_variance(random.standard_normal((300, 500)), np.repeat(np.arange(100), 3))
    assert 150 < found.without_signal < 350
    assert found.without_signal == (found.signal <= 0).sum() == (found.ncsnr == 0).sum()
    assert (found.ceiling((1,)) >= 0).all()


def test_noise_without_variance_is_no_division_by_zero():
    trials = np.repeat(np.arange(6.0), 2)[:, None] * [1.0, 0.0]
    found = repeat_variance(trials, np.repeat(np.arange(6), 2))
    assert found.noise.tolist() == [0, 0]
    assert np.isfinite(found.ceiling((1,))).all()


@settings(max_examples=50, deadline=None)
@given(
    snr=st.floats(0, 20),
    given_counts=st.lists(st.integers(0, 900), min_size=1, max_size=5).filter(any),
    wanted=st.lists(st.integers(0, 900), min_size=1, max_size=5).filter(any),
)
def test_other_repeats_give_the_ceiling_that_ncsnr_gives(snr, given_counts, wanted):
    ceiling = noise_ceiling_from_ncsnr(np.array([snr]), given_counts)
    found = noise_ceiling_at(ceiling, given_counts, wanted)
    np.testing.assert_allclose(found, noise_ceiling_from_ncsnr(np.array([snr]), wanted), atol=1e-9)
    assert ((found >= 0) & (found <= 1)).all()


def test_counts_of_repeats():
    assert repeat_counts(np.array([3, 1, 1, 3, 3])).tolist() == [2, 0, 3]
    assert mean_inverse([2, 0, 3]) == pytest.approx((2 + 3 / 3) / 5)


@pytest.mark.skipif(not SHARED, reason="FACTORTOPY_SHARED_DATA does not point to the ceilings of Algonauts 2023")
def test_real_ceilings_of_algonauts_are_per_cent():
    for file in sorted((Path(str(SHARED)) / "algonauts2023_ceiling").glob("subj0?_?h.npy")):
        ceiling = noise_ceiling_from_percent(np.load(file))
        assert 0.05 < np.nanmean(ceiling) < 0.8, file.name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: noise_ceiling_from_ncsnr(np.ones(2), (0, 0)), "not all 0"),
        (lambda: noise_ceiling_from_ncsnr(np.ones(2), (-1, 3)), "not all 0"),
        (lambda: noise_ceiling_from_ncsnr(np.ones(2), (0.5,)), "not all 0"),
        (lambda: noise_ceiling_from_ncsnr(np.array([-0.1]), (3,)), "0 or more"),
        (lambda: noise_ceiling_from_ncsnr(np.array([np.inf]), (3,)), "finite"),
        (lambda: noise_ceiling_from_percent(np.array([120.0])), "0..100"),
        (lambda: noise_ceiling_from_percent(np.array([-1.0])), "0..100"),
        (lambda: repeat_counts(np.array([0, 2])), "at least 1"),
        (lambda: repeat_counts(np.array([], dtype=int)), "at least 1"),
        (lambda: repeat_variance(np.ones((4, 2)), ["a", "b", "c", "d"]), "repeats of some"),
        (lambda: repeat_variance(np.ones((4, 2)), ["a"] * 4), "two images"),
        (lambda: repeat_variance(np.full((4, 2), np.nan), ["a", "a", "b", "b"]), "NaN"),
    ],
)
def test_errors_say_what_to_do(call, message):
    with pytest.raises(DataError, match=message):
        call()
    with pytest.raises(ShapeError, match="5 images"):
        repeat_variance(np.ones((4, 2)), ["a"] * 5)


@pytest.mark.parametrize(
    ("ceiling", "message"),
    [
        ([0.5, 0.4, 60, 70], "goes to 0.5 on the left and 70 on the right: per cent on one side only"),
        ([50, 40, 60, 70], "goes to 70; divide percentages by 100"),
        ([0.5, 0.4, 0.2, 700], "per cent on one side only"),
        ([120, 400, 60, 700], "goes to 700; it is neither R.2 in 0..1 nor per cent"),
        ([0.5, -0.1, -0.2, 0.7], r"below 0 in 2 voxels \(smallest -0.2\)"),
        ([0.5, np.nan, 0.2, 0.7], "is NaN in 1 voxels"),
    ],
)
def test_what_is_no_ceiling_is_told(ceiling, message):
    with pytest.raises(DataError, match=message):
        check_ceiling(np.array(ceiling), np.array(["left", "left", "right", "right"]))
    check_ceiling(np.array([0.0, 1.0, 0.5, 0.5]), np.array(["left", "left", "right", "right"]))
