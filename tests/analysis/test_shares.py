"""Shares against sums written out in full, and their invariance under the gauges of the selectors."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from factortopy.analysis import AlignedBatches, held_out_variables, shares
from factortopy.analysis.heldout.variables import depth_and_global_parts
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens

LAYERS, CHANNELS, WIDTH, VOXELS, IMAGES = 3, 6, 4, 5, 40


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(0)
    local = tuple(torch.randn(IMAGES, CHANNELS, 3, 3, generator=generator).double() for _ in range(LAYERS))
    return Tokens(local, tuple(torch.randn(IMAGES, CHANNELS, generator=generator).double() for _ in range(LAYERS)))


@pytest.fixture
def model():
    torch.manual_seed(1)
    maps = [[ChannelMap(CHANNELS, WIDTH, offset=True).double() for _ in range(LAYERS)] for _ in range(2)]
    logits = 2 * torch.randn(VOXELS, LAYERS).double()
    selection = Selection(torch.rand(VOXELS, 2).double() - 0.5, logits.softmax(dim=1), torch.rand(VOXELS).double())
    return FactorTopy(ChannelAlign(*maps), FixedSelectors(selection), torch.randn(VOXELS, WIDTH).double(), 0.5)


def batches(model, tokens, size=7):
    return AlignedBatches(model, lambda: (tokens[start : start + size] for start in range(0, IMAGES, size)))


def parts(model, tokens):
    """The part of every prediction that each layer and kind gives: (2, layer, image, voxel), by hand."""
    selection, aligned = model.select(), model.align(tokens)
    result = np.zeros((2, LAYERS, IMAGES, VOXELS))
    for layer in range(LAYERS):
        for i in range(VOXELS):
            place = selection.space[i].expand(IMAGES, 1, 1, 2)
            here = torch.nn.functional.grid_sample(aligned.local[layer], place, align_corners=False)[:, :, 0, 0]
            weight = model.factor * selection.layer[i, layer] * model.channels[i]
            result[0, layer, :, i] = ((1 - selection.scale[i]) * (here @ weight)).detach()
            result[1, layer, :, i] = (selection.scale[i] * (aligned.global_[layer] @ weight)).detach()
    return result


def test_shares_equal_covariances_written_out(model, tokens):
    found = shares(model, batches(model, tokens))
    by_hand = parts(model, tokens)
    predicted = by_hand.sum(axis=(0, 1))
    np.testing.assert_allclose(found.predictions, predicted + model.bias.detach().numpy(), atol=1e-10)
    for i in range(VOXELS):
        variance = predicted[:, i].var()
        for layer in range(LAYERS):
            expected = np.cov(by_hand[:, layer, :, i].sum(axis=0), predicted[:, i], bias=True)[0, 1] / variance
            assert found.layer[i, layer] == pytest.approx(expected, abs=1e-10)
        expected = np.cov(by_hand[1, :, :, i].sum(axis=0), predicted[:, i], bias=True)[0, 1] / variance
        assert found.scale[i] == pytest.approx(expected, abs=1e-10)


def test_parts_of_depth_and_of_global_tokens_are_sums_written_out(model, tokens):
    depth, whole = depth_and_global_parts(model, batches(model, tokens))
    by_hand = parts(model, tokens)
    expected = sum(number / (LAYERS - 1) * by_hand[:, number].sum(axis=0) for number in range(LAYERS))
    np.testing.assert_allclose(depth, expected, atol=1e-10)
    np.testing.assert_allclose(whole, by_hand[1].sum(axis=0), atol=1e-10)


def test_layer_shares_sum_to_one(model, tokens):
    assert torch.allclose(shares(model, batches(model, tokens)).layer.sum(dim=1), torch.ones(VOXELS).double())


def test_batches_change_nothing(model, tokens):
    small, whole = shares(model, batches(model, tokens, 1)), shares(model, batches(model, tokens, IMAGES))
    assert torch.allclose(small.layer, whole.layer)
    assert torch.allclose(small.scale, whole.scale)


@pytest.mark.parametrize(("spare", "passes"), [(0, 1), (-1, 3)])
def test_tokens_are_read_again_only_where_memory_does_not_suffice(model, tokens, spare, passes):
    whole = model.align(tokens)
    reads, memory = [], sum(part.nbytes for part in whole) + spare
    held = AlignedBatches(model, lambda: reads.append(1) or (tokens[at : at + 8] for at in range(0, IMAGES, 8)), memory)
    for _ in range(3):
        again = list(held)
        torch.testing.assert_close(torch.cat([batch.global_ for batch in again], dim=1), whole.global_)
        torch.testing.assert_close(torch.cat([batch.local for batch in again], dim=1), whole.local)
    assert len(reads) == passes


def test_held_out_variables_have_limits_where_they_are_asked_for_and_images_suffice(model, tokens):
    rng = np.random.default_rng(0)
    responses = torch.from_numpy(rng.normal(size=(IMAGES, VOXELS))) + model(tokens).detach()
    rois = {"V1": np.arange(VOXELS) < 2}

    def variables(images, bootstrap):
        return held_out_variables(model, batches(model, tokens), responses, images, rois, bootstrap)

    names = [f"image {row}" for row in range(IMAGES)]
    found, predictions = variables(names, 25)
    np.testing.assert_allclose(predictions, model(tokens).detach(), rtol=1e-5)
    np.testing.assert_allclose(found["r2"], r2_score(responses, predictions, multioutput="raw_values"), rtol=1e-4)
    share = shares(model, batches(model, tokens))
    np.testing.assert_allclose(found["layer_share"], share.layer, rtol=1e-5)
    np.testing.assert_allclose(found["depth"], share.layer @ torch.tensor([0.0, 0.5, 1.0]).double(), atol=1e-6)
    assert found["drawn_r2"].shape == (25, 2)
    assert (found["layer_share_low"] < found["layer_share"]).all()
    # A trial more of each image tells no more, as far as limits go.
    for images, bootstrap in ((names, 0), ([f"image {row % 9}" for row in range(IMAGES)], 25)):
        assert not [name for name in variables(images, bootstrap)[0] if "low" in name or "drawn" in name]


def with_gauge(model, layer_factors, scale_factors, mixing):
    """The same predictions from other selectors: the three gauges of the model, applied at random."""
    selection = model.select()
    inverse = torch.linalg.inv(mixing)
    maps = [[], []]
    for kind, source in enumerate((model.align.local, model.align.global_)):
        for factor, channel_map in zip(layer_factors, source, strict=True):
            changed = ChannelMap(CHANNELS, WIDTH, offset=True).double()
            gain = factor * scale_factors[kind]
            changed.load_state_dict(
                {"weight": gain * mixing @ channel_map.weight, "offset": gain * mixing @ channel_map.offset}
            )
            maps[kind].append(changed)
    raw = selection.layer / torch.tensor(layer_factors).double()
    local, global_ = (1 - selection.scale) / scale_factors[0], selection.scale / scale_factors[1]
    channels = (model.channels @ inverse) * (raw.sum(dim=1) * (local + global_))[:, None]
    moved = Selection(selection.space, raw / raw.sum(dim=1, keepdim=True), global_ / (local + global_))
    return FactorTopy(ChannelAlign(*maps), FixedSelectors(moved), channels.detach(), model.factor)


def test_gauges_move_selectors_but_not_shares(model, tokens):
    mixing = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(3)).double()
    other = with_gauge(model, [0.3, 1.0, 4.0], [0.5, 3.0], mixing)
    before, after = shares(model, batches(model, tokens)), shares(other, batches(other, tokens))
    assert (model.select().layer - other.select().layer).abs().max() > 0.1
    assert (model.select().scale - other.select().scale).abs().max() > 0.1
    assert torch.allclose(before.predictions, after.predictions, atol=1e-9)
    assert torch.allclose(before.layer, after.layer, atol=1e-9)
    assert torch.allclose(before.scale, after.scale, atol=1e-9)


def test_a_voxel_that_reads_nothing_has_no_share(model, tokens):
    with torch.no_grad():
        model.channels[2], model.bias[2] = 0, 0.1  # the mean of equal numbers need not be that number
    found = shares(model, batches(model, tokens))
    assert torch.isnan(found.layer[2]).all()
    assert torch.isfinite(found.layer[[0, 1, 3, 4]]).all()
