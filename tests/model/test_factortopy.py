"""The model of `recipe="paper"` against the formulas written independently in `reference.py`."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from factortopy.errors import DataError, ShapeError
from factortopy.exchange import AuthorsFile
from factortopy.exchange.weights import from_paper_weights, to_paper_weights
from factortopy.fitting import build_paper_model, build_selectors, fit_settings
from factortopy.machine import threads
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FreeSelectors, UnitChannelMap
from factortopy.networks import Tokens

sys.path.insert(0, str(Path(__file__).parent))
import reference

CHANNELS = (5, 7, 4)  # layers of unequal width
BOUNDS = np.array([[-80.0, -100, -90], [270, 100, 90]])


@pytest.fixture
def setting():
    rng = np.random.default_rng(0)
    coordinates = rng.uniform(BOUNDS[0], BOUNDS[1], size=(9, 3)).astype(np.float32)
    local = [rng.normal(size=(2, count, 3, 4)).astype(np.float32) for count in CHANNELS]
    global_ = [rng.normal(size=(2, count)).astype(np.float32) for count in CHANNELS]
    settings = fit_settings("paper", width=6)
    selectors = build_selectors(settings, torch.from_numpy(coordinates), torch.from_numpy(BOUNDS), len(CHANNELS))
    model = build_paper_model(settings, selectors, 9, CHANNELS)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # away from the start, where all selectors are alike
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    tokens = Tokens(tuple(map(torch.from_numpy, local)), tuple(map(torch.from_numpy, global_)))
    return model, tokens, coordinates, local, global_


def as_numpy(weights):
    return {name: value.double().numpy() for name, value in weights.items()}


@pytest.mark.parametrize("form", ["grouped", "plain"])
def test_forward_equals_the_formula(setting, form):
    model, tokens, coordinates, local, global_ = setting
    model.form = form
    code = reference.position_code(coordinates.astype(np.float64), BOUNDS)
    expected = reference.predict(as_numpy(to_paper_weights(model)), code, local, global_)
    np.testing.assert_allclose(model(tokens).detach().numpy(), expected, atol=1e-5, rtol=1e-5)


def test_a_channel_map_starts_as_a_linear_layer_of_pytorch_does():
    width, channels = 200, 50
    ours, theirs = ChannelMap(channels, width).weight, torch.nn.Linear(channels, width).weight
    assert ours.abs().max() <= channels**-0.5
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.05)  # of 10,000 even draws: 0.5 %


def test_a_unit_map_starts_with_rows_of_unit_length_and_gives_unit_root_mean_square():
    generator = torch.Generator().manual_seed(0)
    variance = torch.linspace(0.1, 5, 50)
    made = UnitChannelMap(variance, 200)
    assert float(made.direction.square().sum(dim=1).mean()) == pytest.approx(1, abs=0.06)  # of 10,000 draws: 1.4 %
    values = made(torch.randn(20_000, 50, generator=generator) * variance.sqrt())
    assert float(values.square().mean().sqrt()) == pytest.approx(1, rel=0.01)


def test_tokens_of_fewer_layers_are_refused(setting):
    model, tokens, *_ = setting
    with pytest.raises(ValueError, match="shorter"):
        model.align(Tokens(tokens.local[:2], tokens.global_[:2]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_layers_aligned_in_threads_are_linear_maps_with_their_gradients(monkeypatch, dtype):
    monkeypatch.setattr(threads, "processors", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    generator = torch.Generator().manual_seed(0)
    maps = [
        UnitChannelMap(torch.rand(5, generator=generator) + 0.1, 3),
        ChannelMap(7, 3, offset=True),
        ChannelMap(4, 3),
    ]
    maps = [one.to(dtype) for one in maps]
    with torch.no_grad():
        maps[1].offset.normal_(generator=generator)
    # One layer's channels lie side by side, as in a cache; the others' places do, as in a store.
    local = [torch.randn(20, count, 2, 3, generator=generator).to(dtype) for count in CHANNELS]
    local[0] = local[0].contiguous(memory_format=torch.channels_last)
    local[1].requires_grad_()
    align = ChannelAlign(maps, [ChannelMap(count, 3).to(dtype) for count in CHANNELS])
    global_ = tuple(layer.detach().mean(dim=(2, 3)) for layer in local)
    asked = [*(value for one in maps for value in one.parameters()), local[1]]

    def gradients(aligned):
        weights = torch.linspace(-1, 1, aligned.numel(), dtype=dtype).view_as(aligned)
        return torch.autograd.grad((aligned * weights).sum(), asked)

    found = align(Tokens(tuple(local), global_)).local
    expected = torch.stack(
        [torch.einsum("dc,bchw->bdhw", one.weight, layer) for one, layer in zip(maps, local, strict=True)]
    )
    expected[1] += maps[1].offset[:, None, None]
    torch.testing.assert_close(found, expected)
    for one, other in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(one, other)


def test_float16_tokens_are_narrowed_as_pytorch_narrows_them():
    tokens = torch.randn(40, 3, 2, 2, generator=torch.Generator().manual_seed(0)).half()
    weight = torch.eye(3).bfloat16()
    align = ChannelAlign([ChannelMap(3, 3)], [ChannelMap(3, 3)]).bfloat16()
    with torch.no_grad():
        align.local[0].weight.copy_(weight)
    assert torch.equal(align(Tokens((tokens,), (tokens[:, :, 0, 0],))).local[0], tokens.bfloat16())


def test_gradients_equal_the_formula(setting):
    """Finite differences of the independent formula, in directions drawn at random."""
    model, tokens, coordinates, local, global_ = setting
    code = reference.position_code(coordinates.astype(np.float64), BOUNDS)
    weights = as_numpy(to_paper_weights(model))
    target = np.random.default_rng(2).normal(size=(2, 9))
    model.zero_grad()
    (model(tokens) * torch.from_numpy(target).float()).sum().backward()
    with torch.no_grad():
        values = [parameter.detach().clone() for parameter in model.parameters()]
        for parameter in model.parameters():
            parameter.copy_(parameter.grad)
        gradients = as_numpy(to_paper_weights(model))
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.copy_(value)
    rng = np.random.default_rng(3)
    for name in weights:
        direction = rng.normal(size=weights[name].shape)
        step = 1e-6
        sides = [
            (
                reference.predict({**weights, name: weights[name] + sign * step * direction}, code, local, global_)
                * target
            ).sum()
            for sign in (1, -1)
        ]
        numeric = (sides[0] - sides[1]) / (2 * step)
        analytic = (gradients[name] * direction).sum()
        assert analytic == pytest.approx(numeric, rel=1e-4, abs=1e-4), name


def test_the_start_is_the_papers(setting):
    _, _, coordinates, _, _ = setting
    settings = fit_settings("paper")
    selectors = build_selectors(settings, torch.from_numpy(coordinates), torch.from_numpy(BOUNDS), 3)
    model = build_paper_model(settings, selectors, 9, CHANNELS)
    selection = model.select()
    assert torch.equal(selection.space, torch.zeros(9, 2))
    assert torch.allclose(selection.layer, torch.full((9, 3), 1 / 3))
    assert torch.equal(selection.scale, torch.full((9,), 0.5))
    assert model.factor == 1 / 128
    assert model.channels.abs().max() <= 128**-0.5
    assert model.channels.abs().max() > 0.9 * 128**-0.5


def test_authors_names_and_shapes(setting):
    weights = to_paper_weights(setting[0])
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    assert shapes["local_token_bottleneck.1.weight"] == (6, 7, 1, 1)
    assert shapes["global_token_bottleneck.1.weight"] == (6, 7)
    assert shapes["layer_selector_mlp.1.weight"] == (128, 192)
    assert shapes["layer_selector_mlp.3.bias"] == (128,)
    assert shapes["layer_selector_mlp.5.weight"] == (3, 128)
    assert shapes["weight"] == (9, 6)
    assert shapes["bias"] == (9,)
    assert len(weights) == 2 * 3 + 3 * 5 + 2


def test_authors_weights_make_the_same_model(setting):
    model, tokens, coordinates, _, _ = setting
    again = from_paper_weights(AuthorsFile.read(to_paper_weights(model)), torch.from_numpy(coordinates), BOUNDS)
    assert torch.equal(again(tokens), model(tokens))


def test_authors_weights_that_do_not_fit_are_refused(setting):
    model, _, coordinates, _, _ = setting
    weights = to_paper_weights(model)
    with pytest.raises(DataError, match=r"missing \['bias'\], unexpected \['bais'\]"):
        AuthorsFile.read({("bais" if name == "bias" else name): value for name, value in weights.items()})
    places = torch.from_numpy(coordinates)
    with pytest.raises(ShapeError, match="9 voxels, the coordinates of 4"):
        from_paper_weights(AuthorsFile.read(weights), places[:4], BOUNDS)
    with pytest.raises(ShapeError, match="do not fit together"):
        from_paper_weights(AuthorsFile.read({**weights, "bias": torch.zeros(8)}), places, BOUNDS)


def test_tokens_are_not_modified(setting):
    model, tokens, *_ = setting
    before = [value.clone() for value in (*tokens.local, *tokens.global_)]
    model(tokens).sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, (*tokens.local, *tokens.global_), strict=True))


def test_voxels_without_topology_select_alone(setting):
    _, tokens, coordinates, _, _ = setting
    settings = fit_settings("paper", width=6, topology=False)
    selectors = build_selectors(settings, torch.from_numpy(coordinates), torch.from_numpy(BOUNDS), 3)
    model = build_paper_model(settings, selectors, 9, CHANNELS)
    model(tokens)[:, 4].sum().backward()
    for value in (selectors.space, selectors.layer, selectors.scale):
        moved = value.grad.abs().sum(dim=1) > 0
        assert moved.tolist() == [index == 4 for index in range(9)]


@pytest.mark.parametrize("form", ["plain", "grouped", "dense"])
def test_gradients_reach_layers_of_unequal_channels(form):
    """Through the whole model, against finite differences in float64."""
    generator = torch.Generator().manual_seed(0)
    widths, voxels, images = (2, 5), 3, 2
    tokens = Tokens(
        tuple(torch.randn(images, width, 2, 3, generator=generator).double() for width in widths),
        tuple(torch.randn(images, width, generator=generator).double() for width in widths),
    )
    align = ChannelAlign([ChannelMap(width, 4) for width in widths], [ChannelMap(width, 4) for width in widths])
    selectors = FreeSelectors(voxels, len(widths))
    model = FactorTopy(align, selectors, torch.randn(voxels, 4, generator=generator), 0.5, form).double()
    values = {name: value.detach() for name, value in model.named_parameters()}
    for name in ("selectors.space", "selectors.layer", "selectors.scale"):
        values[name] = 0.3 * torch.randn(values[name].shape, generator=generator).double() + 0.11

    def predict(*parameters):
        return torch.func.functional_call(model, dict(zip(values, parameters, strict=True)), (tokens,))

    parameters = tuple(value.clone().requires_grad_() for value in values.values())
    assert torch.autograd.gradcheck(predict, parameters, eps=1e-6, atol=1e-7)
