"""Random gauges move selectors; predictions, shares, leave-one-layer-out and the canonical form stay."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from factortopy.analysis import (
    AlignedBatches,
    Gauge,
    canonical_gauge,
    canonical_selectors,
    layer_position,
    leave_out,
    shares,
)
from factortopy.analysis import Selectors as AnySelectors
from factortopy.analysis.heldout import gauge as gauge_module
from factortopy.analysis.heldout.gauge import _fixed_point, aligned_covariances
from factortopy.errors import DataError
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, FreeSelectors, Selection
from factortopy.networks import Tokens

LAYERS, CHANNELS, WIDTH, VOXELS, IMAGES = 4, 7, 5, 30, 60


@pytest.fixture(scope="module")
def tokens():
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([0.2, 1.0, 3.0, 9.0]).double()

    def draw(*shape):
        # Layers share a part, so that they are correlated as in a network.
        common = torch.randn(IMAGES, CHANNELS, *shape, generator=generator).double()
        return tuple(factor * (common + torch.randn(IMAGES, CHANNELS, *shape, generator=generator)) for factor in size)

    return Tokens(draw(3, 3), draw())


@pytest.fixture(scope="module")
def responses():
    return torch.randn(IMAGES, VOXELS, generator=torch.Generator().manual_seed(9)).double()


@pytest.fixture(scope="module", params=["free", "fixed", "sized"])
def model(request, tokens, responses):
    """A model after some steps of training, so that it is no special point."""
    torch.manual_seed(1)
    maps = [[ChannelMap(CHANNELS, WIDTH, offset=True) for _ in range(LAYERS)] for _ in range(2)]
    selectors = FreeSelectors(VOXELS, LAYERS)
    trained = FactorTopy(ChannelAlign(*maps), selectors, torch.randn(VOXELS, WIDTH), 0.5).double()
    optimiser = torch.optim.Adam(trained.parameters(), 0.05)
    for _ in range(25):
        optimiser.zero_grad()
        (trained(tokens) - responses).square().mean().backward()
        optimiser.step()
    if request.param == "fixed":
        trained.selectors = FixedSelectors(trained.select())
    if request.param == "sized":
        trained.selectors = FixedSelectors(trained.select()._replace(size=torch.linspace(0.1, 2, VOXELS).double()))
    return trained


def random_gauge(seed):
    generator = torch.Generator().manual_seed(seed)
    return Gauge(
        torch.randn(LAYERS, generator=generator).double().exp(),
        torch.randn(2, generator=generator).double().exp(),
        torch.randn(WIDTH, WIDTH, generator=generator).double(),
    )


def batches(model, tokens, size=17):
    return AlignedBatches(model, lambda: (tokens[start : start + size] for start in range(0, IMAGES, size)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_random_gauge_moves_selectors_and_nothing_that_is_predicted(model, tokens, responses, seed):
    other = random_gauge(seed).model(model)
    for before, after in zip(model.select()[1:3], other.select()[1:3], strict=True):
        assert (before - after).abs().max() > 0.05
    with torch.no_grad():
        assert (model(tokens) - other(tokens)).abs().max() < 1e-6
    one, two = shares(model, batches(model, tokens)), shares(other, batches(other, tokens))
    np.testing.assert_allclose(one.layer, two.layer, atol=1e-5)
    np.testing.assert_allclose(one.scale, two.scale, atol=1e-5)
    left = [leave_out(held, batches(held, tokens), responses, one.predictions) for held in (model, other)]
    np.testing.assert_allclose(left[0].drop, left[1].drop, atol=1e-5)
    np.testing.assert_allclose(left[0].share_error, left[1].share_error, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_depth_slope_and_channel_similarity_stay_where_their_raw_forms_move(model, tokens, seed):
    """Each gauge alone: layers, kinds, channels."""
    levels = np.linspace(0, 1, VOXELS)
    whole = random_gauge(seed)
    ones = Gauge(torch.ones(LAYERS).double(), torch.ones(2).double(), torch.eye(WIDTH).double())
    gauges = {name: replace(ones, **{name: getattr(whole, name)}) for name in ("layers", "kinds", "mixing")}
    for name, gauge in gauges.items():
        other = gauge.model(model)
        raw, shared, alike = [], [], []
        for held in (model, other):
            depth = layer_position(shares(held, batches(held, tokens)).layer.numpy())
            shared.append((depth, np.polyfit(levels, depth, 1)))
            alike.append(cosines(canonical_selectors(held, batches(held, tokens)).channels.detach().numpy()))
            raw.append(
                {
                    "layers": np.polyfit(levels, layer_position(held.select().layer.detach().numpy()), 1),
                    "kinds": held.select().scale.detach().numpy(),
                    "mixing": cosines(held.channels.detach().numpy()),
                }
            )
        assert np.abs(raw[0][name] - raw[1][name]).max() > 0.01, name
        np.testing.assert_allclose(shared[0][0], shared[1][0], atol=1e-5)
        np.testing.assert_allclose(shared[0][1], shared[1][1], atol=1e-5)
        np.testing.assert_allclose(alike[0], alike[1], atol=1e-5)


def cosines(channels):
    unit = channels / np.linalg.norm(channels, axis=1, keepdims=True)
    return unit @ unit.T


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_models_that_differ_by_a_gauge_have_one_canonical_form(model, tokens, seed):
    one = canonical_selectors(model, batches(model, tokens))
    moved = random_gauge(seed).model(model)
    two = canonical_selectors(moved, batches(moved, tokens))
    np.testing.assert_allclose(one.selection.layer, two.selection.layer, atol=1e-5)
    np.testing.assert_allclose(one.selection.scale, two.selection.scale, atol=1e-5)
    np.testing.assert_allclose(one.channels, two.channels, atol=1e-5)


def test_the_canonical_form_changes_no_prediction(model, tokens):
    gauge = canonical_gauge(
        aligned_covariances(batches(model, tokens)), AnySelectors(model.select(), model.channels.detach())
    )
    canonical = gauge.model(model)
    with torch.no_grad():
        assert (model(tokens) - canonical(tokens)).abs().max() < 1e-6
    found = canonical.select()
    assert torch.allclose(found.layer.sum(dim=1), torch.ones(VOXELS).double())
    assert ((found.layer >= 0) & (found.layer <= 1)).all()
    assert ((found.scale >= 0) & (found.scale <= 1)).all()


def test_canonical_features_are_as_the_formula_says(model, tokens):
    gauge = canonical_gauge(
        aligned_covariances(batches(model, tokens)), AnySelectors(model.select(), model.channels.detach())
    )
    aligned = gauge.model(model).align(tokens)
    sizes = np.zeros((2, LAYERS, WIDTH, WIDTH))
    for layer in range(LAYERS):
        local = aligned.local[layer].detach().movedim(1, -1).reshape(-1, WIDTH).numpy()
        sizes[0, layer] = np.cov(local.T, bias=True)
        sizes[1, layer] = np.cov(aligned.global_[layer].detach().numpy().T, bias=True)
    np.testing.assert_allclose(sizes.mean(axis=(0, 1)), np.eye(WIDTH), atol=1e-6)
    square = np.trace(sizes, axis1=2, axis2=3) / WIDTH
    np.testing.assert_allclose(square.mean(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(square.mean(axis=1), 1, atol=1e-6)
    assert gauge.kinds.prod() == pytest.approx(1)  # what kinds have in common is the mixing's


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_the_size_of_all_features_moves_the_mixing_alone(model, tokens, size):
    selectors = AnySelectors(model.select().map(torch.Tensor.detach), model.channels.detach())
    covariances = aligned_covariances(batches(model, tokens))
    one, other = canonical_gauge(covariances, selectors), canonical_gauge(size * covariances, selectors)
    np.testing.assert_allclose(other.layers / other.layers[0], one.layers / one.layers[0], rtol=1e-6)
    np.testing.assert_allclose(other.kinds, one.kinds, rtol=1e-6)
    mixing = [gauge.layers[0] * gauge.mixing for gauge in (one, other)]
    np.testing.assert_allclose(size**0.5 * mixing[1], mixing[0], rtol=1e-5, atol=1e-8)


def test_a_layer_that_never_varies_changes_nothing_of_the_others(model, tokens):
    selectors = AnySelectors(model.select().map(torch.Tensor.detach), model.channels.detach())
    covariances = aligned_covariances(batches(model, tokens))
    covariances[:, 2] = 0
    others = [0, 1, 3]
    fewer = selectors._replace(selection=selectors.selection._replace(layer=selectors.selection.layer[:, others]))
    whole, part = canonical_gauge(covariances, selectors), canonical_gauge(covariances[:, others], fewer)
    np.testing.assert_allclose(whole.layers[others] / whole.layers[0], part.layers / part.layers[0], rtol=1e-6)
    np.testing.assert_allclose(whole.kinds, part.kinds, rtol=1e-6)
    assert 0.1 < whole.layers[2] / whole.layers[others].log().mean().exp() < 100  # it has a factor, whichever


def test_features_of_very_unequal_variance_are_balanced_in_few_rounds(monkeypatch):
    """As those of a network with random weights, which rounds without foresight take hundreds for."""
    rng, count, width = np.random.default_rng(0), 12, 60
    axes, _ = np.linalg.qr(rng.normal(size=(width, width)))
    roots = axes * np.logspace(-2, 0, width)
    parts = (
        roots @ (np.eye(width) + 0.3 * rng.normal(size=(2, count, width, width))) * rng.lognormal(size=(count, 1, 1))
    )
    covariances = torch.from_numpy(parts @ parts.swapaxes(2, 3))
    rounds = []
    whitening = gauge_module._whitening
    monkeypatch.setattr(gauge_module, "_whitening", lambda *given: rounds.append(1) or whitening(*given))
    one = torch.ones(3).double()
    selection = Selection(torch.zeros(3, 2).double(), torch.full((3, count), 1 / count).double(), one / 2)
    gauge = canonical_gauge(covariances, AnySelectors(selection, torch.randn(3, width).double()))
    assert len(rounds) < 14  # 18 where foresight is turned around
    mixing = (gauge.kinds[:, None] * gauge.layers)[:, :, None, None] * gauge.mixing
    balanced = (mixing @ covariances @ mixing.mT).numpy()
    np.testing.assert_allclose(balanced.mean(axis=(0, 1)), np.eye(width), atol=1e-8)
    square = np.trace(balanced, axis1=2, axis2=3) / width
    np.testing.assert_allclose(square.mean(axis=0), 1, atol=1e-8)
    np.testing.assert_allclose(square.mean(axis=1), 1, atol=1e-8)


def test_steps_that_grow_at_first_are_followed_to_their_fixed_point():
    """Of a linear step, whose fixed point is the solution of linear equations."""
    step, start = torch.tensor([[0.5, 9.0], [0.0, 0.5]]).double(), torch.tensor([0.0, 0.01]).double()
    rounds = []
    found = _fixed_point(lambda at: rounds.append(at) or step @ at + start, torch.zeros(2).double())
    assert (step @ start).norm() > start.norm()
    np.testing.assert_allclose(found, np.linalg.solve(np.eye(2) - step.numpy(), start), atol=1e-9)
    assert len(rounds) < 10  # 40 steps alone


def follow(moves):
    """Where a step is asked for that moves so far each time, whatever the place, and then no more."""
    places, moves = [], iter([*moves, 0.0])

    def step(at):
        places.append(float(at))
        return at + next(moves)

    found = _fixed_point(step, torch.zeros(1).double())
    assert float(found) == pytest.approx(places[-1], abs=1e-9)
    return places


def test_the_next_place_is_where_the_last_moves_lead_to_zero():
    """Of one number that is the secant method: a move of 0.5 and then of 0.2 is 0 at 0.5 + 0.2 / 0.6."""
    assert follow([0.5, 0.2]) == pytest.approx([0, 0.5, 0.5 + 0.2 / 0.6])
    # A move that grew at once is followed as well: 0.1 and then 0.3 was 0 half a move before.
    assert follow([0.1, 0.3]) == pytest.approx([0, 0.1, -0.05])
    # What would lead further than 1 is not believed: 0.5 and then 0.4 is 0 at 2.5.
    assert follow([0.5, 0.4]) == pytest.approx([0, 0.5, 0.9])


def test_foresight_that_erred_is_taken_back_and_forgotten():
    places = follow([0.5, 0.2, 0.3, 0.1])
    assert places[:4] == pytest.approx([0, 0.5, 0.5 + 0.2 / 0.6, 0.7])  # the plain step from 0.5
    assert places[4] == pytest.approx(0.9)  # from 0.2 at 0.5 and 0.1 at 0.7
    # A move must be smaller than the last one, not than any.
    places = follow([0.5, 0.2, 0.05, 0.1])
    assert places[4] == pytest.approx(places[2] + 0.05)


def test_channels_are_ordered_axes_with_a_sign(model, tokens):
    channels = canonical_selectors(model, batches(model, tokens)).channels.detach().numpy()
    moments = channels.T @ channels
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=1e-8 * moments.max())
    assert (np.diff(np.diag(moments)) <= 0).all()
    assert ((channels**3).sum(axis=0) >= 0).all()


def test_dot_products_of_channels_are_the_covariance_of_predictions(model, tokens):
    """Voxels that read one layer, at one scale and place, covary over images as their channels say."""
    same = Selection(
        torch.zeros(VOXELS, 2).double(),
        torch.eye(LAYERS).double()[torch.ones(VOXELS).long()],
        torch.ones(VOXELS).double(),
    )
    single = FactorTopy(model.align, FixedSelectors(same), model.channels.detach(), model.factor)
    # Only the second layer's global token: pooled over itself alone.
    alone = FactorTopy(
        ChannelAlign([model.align.local[1]], [model.align.global_[1]]),
        FixedSelectors(Selection(same.space, torch.ones(VOXELS, 1).double(), same.scale)),
        model.channels.detach(),
        model.factor,
    )
    picked = Tokens((tokens.global_[1][:, :, None, None].expand(-1, -1, 3, 3),), (tokens.global_[1],))
    alone.align.local[0] = alone.align.global_[0]
    channels = canonical_selectors(alone, [alone.align(picked)]).channels.detach().numpy()
    predictions = single(tokens).detach().numpy()
    np.testing.assert_allclose(channels @ channels.T, np.cov(predictions.T, bias=True), atol=1e-8)


def test_a_model_without_features_has_no_canonical_form(model, tokens):
    silent = Gauge(torch.ones(LAYERS).double(), torch.ones(2).double(), torch.eye(WIDTH).double()).model(model)
    for held in [*silent.align.local, *silent.align.global_]:
        held.weight.data.zero_()
    with pytest.raises(DataError, match="constant"):
        canonical_selectors(silent, batches(silent, tokens))
