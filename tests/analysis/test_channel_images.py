"""Channel images: an independent formula, place by place; a region finds what it reads; bad input."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from factortopy.analysis import ChannelImages, Gauge, canonical_model, channel_images, gauge_tokens
from factortopy.analysis.channels import _channel_images
from factortopy.errors import DataError
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens

LAYERS, CHANNELS, WIDTH, VOXELS, IMAGES = 3, 5, 6, 40, 7
REGIONS = {"first": np.arange(VOXELS) < 15, "second": np.arange(VOXELS) >= 10}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    maps = [[ChannelMap(CHANNELS, WIDTH, offset=True).double() for _ in range(LAYERS)] for _ in range(2)]
    for layer in maps[0]:
        torch.nn.init.normal_(layer.offset)
    layer, scale = torch.randn(VOXELS, LAYERS).double().softmax(1), torch.rand(VOXELS).double()
    selectors = FixedSelectors(Selection(torch.rand(VOXELS, 2).double(), layer, scale))
    return FactorTopy(ChannelAlign(*maps), selectors, torch.randn(VOXELS, WIDTH).double() + 0.3, 0.25)


@pytest.fixture(scope="module")
def tokens():
    torch.manual_seed(1)
    local = tuple(torch.randn(IMAGES, CHANNELS, 4, 3).double() for _ in range(LAYERS))
    return Tokens(local, tuple(torch.randn(IMAGES, CHANNELS).double() for _ in range(LAYERS)))


def compute(model, tokens, regions=REGIONS):
    batches = [tokens[0:3], tokens[3:IMAGES]]
    return channel_images(model, batches, [f"image {index}" for index in range(IMAGES)], regions)


def test_maps_follow_the_formula_place_by_place(model, tokens):
    found = compute(model, tokens)
    assert found.response.shape == (IMAGES, 2, 4, 3)
    assert found.components.shape == (IMAGES, 2, 4, 3, 3)
    weights = [layer.weight.detach().numpy() for layer in model.align.local]
    offsets = [layer.offset.detach().numpy() for layer in model.align.local]
    omega, selected = model.channels.detach().numpy(), model.select().layer.numpy()
    for column, inside in enumerate(REGIONS.values()):
        # The authors' axes: samples are the channels, variables the voxels, scores of the samples are kept.
        fitted = PCA().fit(omega[inside].T)
        axes, mean = fitted.transform(omega[inside].T)[:, :3].T, omega[inside].mean(axis=0)
        signs = np.where(axes @ mean < 0, -1, 1)[:, None]
        np.testing.assert_allclose(found.explained[column], fitted.explained_variance_ratio_[:3], atol=1e-10)
        np.testing.assert_allclose(np.linalg.norm(axes, axis=1), fitted.singular_values_[:3])
        for image, row, place in ((0, 1, 2), (4, 3, 0), (6, 0, 0)):
            read = sum(
                share * (weight @ tokens.local[layer][image, :, row, place].numpy() + offset)
                for layer, (share, weight, offset) in enumerate(
                    zip(selected[inside].mean(axis=0), weights, offsets, strict=True)
                )
            )
            assert found.response[image, column, row, place] == pytest.approx(0.25 * read @ mean)
            expected = (signs * axes) @ read
            np.testing.assert_allclose(found.components[image, column, row, place], expected, atol=1e-9)


def test_the_response_is_the_prediction_of_a_local_voxel_that_reads_the_place(model, tokens):
    """A voxel of the region's mean layers and channels, at the middle of a token, predicts its response."""
    found = compute(model, tokens)
    inside = torch.from_numpy(REGIONS["first"])
    middle = torch.tensor([[(2 * 1 + 1) / 3 - 1, (2 * 2 + 1) / 4 - 1]]).double()
    selection = Selection(middle, model.select().layer[inside].mean(dim=0, keepdim=True), torch.zeros(1).double())
    voxel = FactorTopy(
        model.align, FixedSelectors(selection), model.channels.detach()[inside].mean(dim=0, keepdim=True), 0.25
    )
    with torch.no_grad():
        predicted = voxel(tokens)[:, 0]
    np.testing.assert_allclose(found.response[:, 0, 2, 1], predicted, atol=1e-10)


def test_colours_are_clipped_at_their_percentiles_over_all_images(model, tokens):
    found = compute(model, tokens)
    assert found.colours.min() == 0
    assert found.colours.max() == 1
    for column in range(2):
        values = found.components[:, column]
        low, high = np.percentile(values, [5, 95])  # one clip over all three colours
        expected = np.clip((values - low) / (high - low), 0, 1)
        np.testing.assert_allclose(found.colours[:, column], expected, atol=1e-12)


def test_in_the_canonical_gauge_images_do_not_depend_on_the_gauge(model, tokens):
    random = torch.Generator().manual_seed(5)

    def draw(*shape):
        return torch.randn(shape, generator=random).double()

    other = Gauge(draw(LAYERS).exp(), draw(2).exp(), draw(WIDTH, WIDTH)).model(model)
    one, two = (compute(canonical_model(held, [held.align(tokens)]), tokens) for held in (model, other))
    np.testing.assert_allclose(one.components, two.components, atol=1e-5)
    np.testing.assert_allclose(one.response, two.response, atol=1e-5)
    raw = compute(other, tokens).components
    assert np.abs(raw - compute(model, tokens).components).max() > 0.1


def test_a_part_is_that_of_the_images_and_regions_asked_for(model, tokens):
    found = compute(model, tokens)
    part = found.part([4, 2], [1])
    assert part.images == ("image 4", "image 2")
    assert part.regions == ("second",)
    np.testing.assert_array_equal(part.response, found.response[[4, 2]][:, [1]])
    np.testing.assert_array_equal(part.components, found.components[[4, 2]][:, [1]])
    np.testing.assert_array_equal(part.explained, found.explained[[1]])


def test_maps_that_are_the_same_everywhere_have_no_colours_and_no_nan():
    flat = ChannelImages(("a",), ("V1",), np.zeros((1, 1, 2, 2)), np.full((1, 1, 2, 2, 3), 7.0), np.full((1, 3), 1 / 3))
    np.testing.assert_array_equal(flat.colours, np.zeros((1, 1, 2, 2, 3)))


def test_three_channels_and_four_voxels_are_enough(model, tokens):
    narrow = FactorTopy(
        ChannelAlign(*([ChannelMap(CHANNELS, 3).double() for _ in range(LAYERS)] for _ in range(2))),
        model.selectors,
        torch.randn(VOXELS, 3, generator=torch.Generator().manual_seed(2)).double(),
        0.25,
    )
    found = channel_images(narrow, [tokens], list("abcdefg"), {"four": np.arange(VOXELS) < 4})
    assert found.components.shape == (IMAGES, 1, 4, 3, 3)
    np.testing.assert_allclose(found.explained.sum(axis=1), 1)
    with pytest.raises(DataError, match="3 channels"):
        channel_images(model_of_two(narrow), [tokens], list("abcdefg"), {"four": np.arange(VOXELS) < 4})


def model_of_two(narrow):
    maps = [[ChannelMap(CHANNELS, 2).double() for _ in range(LAYERS)] for _ in range(2)]
    return FactorTopy(ChannelAlign(*maps), narrow.selectors, narrow.channels.detach()[:, :2].clone(), 0.25)


@pytest.mark.parametrize(("images", "every"), [(40, 1), (512, 1), (513, 2), (1_500, 3)])
def test_a_gauge_is_of_at_most_512_images_evenly_spread(monkeypatch, images, every):
    class Store:
        def __len__(self):
            return images

        def read(self, rows):
            return rows

    monkeypatch.setattr(_channel_images, "check_tokens", lambda *_: None)
    batches = list(gauge_tokens(Store(), None))
    assert [row for batch in batches for row in batch] == list(range(0, images, every))
    assert max(map(len, batches)) <= 32


def test_bad_requests_are_refused(model, tokens):
    with pytest.raises(DataError, match="no region"):
        compute(model, tokens, {})
    with pytest.raises(DataError, match="'few' has 3 of 40 voxels"):
        compute(model, tokens, {"few": np.arange(VOXELS) < 3})
    with pytest.raises(DataError, match="'other'"):
        compute(model, tokens, {"other": np.ones(VOXELS + 1, dtype=bool)})
    with pytest.raises(DataError, match="2 images are named"):
        channel_images(model, [tokens], ["a", "b"], REGIONS)
