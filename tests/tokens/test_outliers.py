"""Outlier tokens: found where they were planted, replaced by their neighbours, drawn as they are."""

import numpy as np
import pytest
import torch
from pixel_network import PixelNetwork, noise_images, run

from factortopy import plot
from factortopy.networks import Tokens
from factortopy.tokens import token_norms
from factortopy.tokens.outliers import mask_outliers, norm, outliers

PLANTED = ((2, 5), (2, 6), (0, 0))


def planted_map(images=4, channels=16, side=8):
    """Tokens of norm about 4, and three of norm about 60."""
    local = torch.randn(images, channels, side, side, generator=torch.Generator().manual_seed(0))
    for row, column in PLANTED:
        local[:, :, row, column] *= 15
    return local


class Outlying(PixelNetwork):
    """Adds a large vector to one patch of the coarse layer in every second image."""

    def tokens(self, images):
        tokens = super().tokens(images)
        coarse = tokens.local[1].clone()
        coarse[::2, :, 1, 2] = 50
        return Tokens((tokens.local[0], coarse), (tokens.global_[0], coarse.mean((2, 3))))


def test_planted_outliers_are_found():
    actual = outliers(norm(planted_map()))
    expected = torch.zeros(8, 8, dtype=torch.bool)
    for position in PLANTED:
        expected[position] = True
    assert bool((actual == expected).all())


def test_masked_places_are_the_mean_of_their_whole_neighbours():
    local = planted_map()
    masked = mask_outliers(Tokens((local,), (local.mean((2, 3)),)), pooled=False)
    values = local.numpy()
    for row, column in PLANTED:
        near = [
            values[:, :, y, x]
            for y in range(max(0, row - 1), min(8, row + 2))
            for x in range(max(0, column - 1), min(8, column + 2))
            if (y, x) not in PLANTED
        ]
        np.testing.assert_allclose(masked.local[0][:, :, row, column], np.mean(near, axis=0), rtol=1e-4, atol=1e-5)
    elsewhere = torch.ones(8, 8, dtype=torch.bool)
    for position in PLANTED:
        elsewhere[position] = False
    assert torch.equal(masked.local[0][:, :, elsewhere], local[:, :, elsewhere])
    assert torch.equal(masked.global_[0], local.mean((2, 3)))


def test_pooled_global_tokens_are_taken_without_outliers():
    local = planted_map()
    masked = mask_outliers(Tokens((local,), (local.mean((2, 3)),)), pooled=True)
    torch.testing.assert_close(masked.global_[0], masked.local[0].mean((2, 3)))


def test_an_outlier_among_outliers_becomes_the_mean_of_the_map():
    local = torch.ones(1, 1, 8, 8)
    local[:, :, 2:5, 2:5] = 100
    masked = mask_outliers(Tokens((local,), (local.mean((2, 3)),)), pooled=False)
    assert torch.equal(masked.local[0], torch.ones(1, 1, 8, 8))


def test_norms_of_a_store(tmp_path):
    store = run(Outlying(), tmp_path / "tokens", noise_images(70), grid=(4, 4), batch_size=10)
    norms = token_norms(store, progress=False)
    values = np.linalg.norm(store.read().local[1].float().numpy(), axis=1)
    np.testing.assert_allclose(norms.mean[1], values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(norms.largest[1], values.max(0), rtol=1e-6)
    assert norms.images == 70
    assert norms.outliers[1, 1, 2] >= 0.5
    assert norms.largest[1, 1, 2] == pytest.approx(np.sqrt(3) * 50, rel=1e-3)


def test_masking_at_extraction_is_said_in_the_store(tmp_path):
    store = run(Outlying(), tmp_path / "tokens", grid=(4, 4), mask_outliers=True)
    assert store.outliers == "masked above 3 times the median norm"
    assert token_norms(store, progress=False).largest[1, 1, 2] < 10


def test_figure_shows_norms_over_the_median_and_the_share(tmp_path):
    store = run(Outlying(), tmp_path / "tokens", grid=(4, 4))
    norms = token_norms(store, progress=False)
    figure = plot.token_norms(norms)
    maps = [axes for axes in figure.axes if axes.images]
    drawn = np.asarray(maps[1].images[0].get_array())
    np.testing.assert_allclose(drawn, norms.mean[1] / norms.median[1])
    assert maps[1].get_title() == "coarse"
    bars = figure.axes[-1].patches
    assert [bar.get_height() for bar in bars] == pytest.approx(100 * norms.outliers.mean((1, 2)))
    assert "coarse" in plot.alt_text(figure)
    assert plot.to_png(figure, 60)[:4] == b"\x89PNG"
