"""Principal components of tokens against scikit-learn's, and maps that unfold to the network's channels."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from factortopy.errors import DataError
from factortopy.fitting import PrincipalComponents, TokenReduction
from factortopy.fitting.build import join_aligns, random_align
from factortopy.model import ChannelAlign, ChannelMap, UnitChannelMap
from factortopy.networks import Tokens
from factortopy.tokens import Moments, TokenBasis, TokenMoments


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 8)) * np.array([1, 1, 50, 1, 0.02, 1, 1, 1]) + 3
    return torch.from_numpy(mixed)


def test_components_equal_scikit_learn(sample):
    components = PrincipalComponents.measure(Moments().add(sample), count=5, damping=0.1)
    expected = PCA(5).fit(StandardScaler().fit_transform(sample))
    variance = expected.explained_variance_ * 499 / 500  # scikit-learn divides by n - 1
    np.testing.assert_allclose(components.variance, variance / (variance + 0.1 * variance.mean()), rtol=1e-4)
    scores = components.apply(sample).numpy()
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.diag(components.variance), atol=1e-4)
    theirs = expected.transform(StandardScaler().fit_transform(sample))
    for index in range(5):
        assert abs(np.corrcoef(scores[:, index], theirs[:, index])[0, 1]) == pytest.approx(1, abs=1e-4)


def test_moments_of_batches_are_those_of_the_whole(sample):
    far = sample + 1_000  # where squares alone would lose the small channel's variance
    moments = Moments()
    for batch in far.split(130):
        moments.add(batch)
    mean, covariance = moments.mean_and_covariance()
    np.testing.assert_allclose(mean, far.mean(dim=0), rtol=1e-6)
    expected = np.cov(far.T.numpy(), bias=True)
    size = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    np.testing.assert_allclose(covariance.numpy() / size, expected / size, atol=1e-4)


def test_constant_channels_get_no_weight(sample):
    sample = sample.clone()
    sample[:, 3] = 7.0
    components = PrincipalComponents.measure(Moments().add(sample), count=5, damping=0.1)
    assert torch.isfinite(components.projection).all()
    assert (components.projection[:, 3] == 0).all()


def test_images_that_are_all_the_same_are_refused(sample):
    with pytest.raises(DataError, match="the same for all training images"):
        PrincipalComponents.measure(Moments().add(torch.full_like(sample, 3.0)), count=5, damping=0.1)


def test_few_images_have_few_components_of_both_kinds():
    tokens = Tokens((torch.randn(4, 6, 3, 3),), (torch.randn(4, 6),))
    reduced = TokenReduction.measure([tokens], 4, count=5, damping=0.1).apply(tokens)
    assert reduced.local[0].shape[1] == reduced.global_[0].shape[1] == 3


def test_components_of_reduced_tokens_are_those_of_the_whole():
    """Half of the channels are mostly noise of their own, which the kept axes leave out: they must not be blown up."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, 4, generator=generator) @ torch.randn(4, 30, generator=generator)
    own = torch.randn(4000, 30, generator=generator) * torch.tensor([0.1, 6.0]).repeat(15)
    flat = (shared + own) * torch.logspace(-1, 1, 30) + 3
    whole = Tokens((flat.view(250, 4, 4, 30).movedim(-1, 1),), (flat[:250],))
    basis = TokenBasis.measure(TokenMoments(250).add(whole), 6)
    kept = basis.reduce(whole).to(dtype=torch.float16)
    restored = basis.restore(kept)

    def leading(tokens, within=None):
        reduction = TokenReduction.measure([tokens if within is None else kept], 250, 3, 0.1, basis=within)
        applied = reduction.apply(tokens)
        if within is not None:  # the same without tokens
            for own, other in zip(applied.local, reduction.within(within).apply(kept).local, strict=True):
                torch.testing.assert_close(own, other, atol=0.02, rtol=0.01)
        return applied.local[0].movedim(1, -1).reshape(-1, 3)

    def alike(one, other):
        """Smallest correlation between the spaces of two sets of components."""
        return torch.linalg.svdvals(torch.linalg.qr(one)[0].T @ torch.linalg.qr(other)[0]).min()

    expected = leading(whole)
    assert alike(leading(restored, basis), expected) > 0.999
    assert alike(leading(restored), expected) < 0.99


def test_unit_maps_have_unit_root_mean_square(sample):
    components = PrincipalComponents.measure(Moments().add(sample), count=6, damping=0.1)
    with torch.no_grad():
        unit = UnitChannelMap(components.variance, 4)
        unit.direction.mul_(17)
        assert unit(components.apply(sample)).square().mean().sqrt().item() == pytest.approx(1, abs=1e-4)


def test_unfolded_maps_give_the_same_from_raw_tokens():
    generator = torch.Generator().manual_seed(0)
    tokens = Tokens(
        (torch.randn(40, 6, 3, 3, generator=generator) * 5 + 2, torch.randn(40, 9, 3, 3, generator=generator)),
        (torch.randn(40, 6, generator=generator) - 4, torch.randn(40, 9, generator=generator)),
    )
    reduction = TokenReduction.measure([tokens], 40, count=5, damping=0.1)
    align = ChannelAlign(
        [UnitChannelMap(layer.variance, 4) for layer in reduction.local],
        [UnitChannelMap(layer.variance, 4) for layer in reduction.global_],
    )
    for reduced, raw in zip(align(reduction.apply(tokens)), reduction.unfold(align)(tokens), strict=True):
        torch.testing.assert_close(raw, reduced, atol=1e-4, rtol=1e-4)


def test_random_channels_see_images_as_alike_as_their_standardised_tokens(sample):
    images = sample.float()
    tokens = Tokens((images[:, :, None, None],), (images,))
    reduction = TokenReduction.measure([tokens], len(images), 8, 0.1)
    with torch.no_grad():
        seen = random_align(reduction, 20_000, seed=0)(tokens)
    standard = StandardScaler().fit_transform(sample)
    expected = standard @ standard.T / 8
    for kind in (seen.local[0, :, :, 0, 0], seen.global_[0]):
        np.testing.assert_allclose((kind @ kind.T).numpy() / 20_000, expected, atol=0.06 * expected.max())
        assert float(kind.square().mean()) == pytest.approx(1, abs=0.03)


def test_joined_aligns_read_what_each_reads(sample):
    images = sample.float()
    tokens = Tokens((images[:, :, None, None],), (images,))
    aligns = [
        ChannelAlign([ChannelMap(8, width, offset)], [ChannelMap(8, width)])
        for width, offset in ((3, True), (5, False))
    ]
    aligns[0].local[0].offset.data.fill_(2.0)
    with torch.no_grad():
        together = join_aligns(aligns)(tokens)
        alone = [align(tokens) for align in aligns]
    for kind, dim in (("local", 2), ("global_", 2)):
        expected = torch.cat([getattr(one, kind) for one in alone], dim=dim)
        torch.testing.assert_close(getattr(together, kind), expected)
