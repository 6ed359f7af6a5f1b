"""Distances from the pixels: HSIC with centring matrices, an explicit U-statistic, planted tokens."""

from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image

from factortopy.analysis import representational_depth
from factortopy.analysis.hierarchy import representational as hierarchy_cka
from factortopy.analysis.hierarchy.representational import hsic
from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.networks import Preprocessing, network_from_function
from factortopy.tokens import extract

SIDE = 32


def kernel(seed, images=7, width=5):
    values = np.random.default_rng(seed).normal(1, 1, size=(images, width))
    return values @ values.T


def test_hsic_is_the_mean_over_all_quadruples_of_images():
    """The U-statistic itself (Gretton et al. 2005): k_ij (l_ij + l_qr - 2 l_iq) over distinct i, j, q, r."""
    one, other = kernel(0), kernel(1)
    terms = [one[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q]) for i, j, q, r in permutations(range(7), 4)]
    found = hsic(torch.from_numpy(one), torch.from_numpy(other))
    assert found == pytest.approx(np.mean(terms))


def test_hsic_tends_to_that_of_centring_matrices():
    """tr(K H L H) / (n - 1)^2 with H = I - 11^T / n is the biased estimate; the bias falls with images."""
    images = 1_500
    shared = np.random.default_rng(2).normal(size=(images, 3))
    one, other = shared @ shared.T, (shared[:, :2] + 1) @ (shared[:, :2] + 1).T
    centre = np.eye(images) - 1 / images
    expected = np.trace(one @ centre @ other @ centre) / (images - 1) ** 2
    found = hsic(torch.from_numpy(one), torch.from_numpy(other))
    assert found == pytest.approx(expected, rel=0.01)


def test_independent_features_share_nothing_however_many_they_are():
    """The biased estimate of CKA would be near 1 here: 2,000 numbers of 40 images."""
    rng = np.random.default_rng(3)
    one, other = (values @ values.T for values in rng.normal(size=(2, 40, 2_000)))
    parts = [hsic(torch.from_numpy(a), torch.from_numpy(b)) for a, b in ((one, other), (one, one), (other, other))]
    assert abs(parts[0] / np.sqrt(parts[1] * parts[2])) < 0.1


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Three layers: the pixels themselves (coarser), the pixels and as much noise, and noise alone."""
    random = np.random.default_rng(0)
    pictures = {f"{number:03d}": random.integers(0, 255, (4, 4, 3), dtype=np.uint8) for number in range(128)}

    def load(name):
        return Image.fromarray(pictures[name]).resize((SIDE, SIDE), Image.Resampling.NEAREST)

    def layers(images):
        seen = torch.nn.functional.adaptive_avg_pool2d(images, 4)
        # As different as the pictures, and the same whenever a picture comes again.
        seeds = (1e6 * images.flatten(1).mean(dim=1).double()).long()
        noise = torch.stack(
            [torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(abs(int(seed)))) for seed in seeds]
        )
        noise = noise * (74 / 255 / 0.25)
        return {"same": 3 * seen, "half": seen + noise, "other": noise}

    sees = Preprocessing((SIDE, SIDE), (0.5,) * 3, (0.25,) * 3, "bicubic", 1.0)
    images = ImageSet("blocks", tuple(pictures), load)
    network = network_from_function(layers, sees, "planted")
    store = extract(network, images, tmp_path_factory.mktemp("cka") / "tokens", (4, 4), progress=False)
    return store, images


def test_distance_is_that_of_what_was_planted(planted):
    """Pixels and noise of equal variance: ||S||^2 / (||S|| ||2 S||) = 1 / 2."""
    found = representational_depth(*planted, progress=False)
    assert found.layers == ("same", "half", "other")
    np.testing.assert_allclose(found.distance, [0, 0.5, 1], atol=0.06)
    assert found.images == 128


def test_small_batches_estimate_the_same(planted, monkeypatch):
    whole = representational_depth(*planted, progress=False)
    monkeypatch.setattr(hierarchy_cka, "BATCH_BYTES", 1)  # so few that batches have 16 images
    parts = representational_depth(*planted, progress=False)
    assert not np.array_equal(parts.distance, whole.distance)
    np.testing.assert_allclose(parts.distance, whole.distance, atol=0.08)


def test_images_are_those_asked_for_or_drawn(planted):
    store, images = planted
    some = images.ids[5:40]
    found = representational_depth(store, images.subset(some), ids=some, progress=False)
    assert found.images == 35
    assert representational_depth(store, images, count=50, progress=False).images == 50


def test_images_that_are_not_there_or_too_few_are_told(planted):
    store, images = planted
    with pytest.raises(DataError, match=r"'127' is not in the photographs 'blocks'"):
        representational_depth(store, images.subset(images.ids[:-1]), progress=False)
    with pytest.raises(DataError, match="not in the token store"):
        representational_depth(store, images, ids=["999"], progress=False)
    with pytest.raises(DataError, match="16 images or more, got 3"):
        representational_depth(store, images, ids=images.ids[:3], progress=False)
    with pytest.raises(DataError, match="four images"):
        hsic(torch.ones(3, 3), torch.ones(3, 3))


def test_batches_are_as_large_as_memory_allows_and_alike(planted, monkeypatch):
    """Three layers of three channels at 4 x 4 places and one global token, two bytes each: 306 bytes an image."""
    sizes, pixels = [], hierarchy_cka._pixels
    monkeypatch.setattr(hierarchy_cka, "_pixels", lambda *given: sizes.append(len(given[2])) or pixels(*given))
    for most, expected in ((306 * 40, [32] * 4), (306 * 64, [64] * 2), (306 * 64 - 1, [43, 43, 42]), (1e9, [128])):
        monkeypatch.setattr(hierarchy_cka, "BATCH_BYTES", most)
        representational_depth(*planted, progress=False)
        assert sizes == expected
        sizes.clear()


def test_images_that_do_not_differ_have_no_distance(planted, tmp_path):
    store, images = planted
    with pytest.raises(DataError, match="same in all images"):
        representational_depth(store, ImageSet("one", images.ids, lambda _: images.image(0)), progress=False)
