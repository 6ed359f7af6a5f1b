"""One's own module or function as a network: every kind of output is recognised, or refused by name."""

from collections import OrderedDict

import pytest
import torch
import transformers
from torch import nn

from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.networks import Preprocessing, describe, network_from_function
from factortopy.networks.module import network_from_module

WIDE = Preprocessing((16, 24), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0)
SQUARE = Preprocessing((16, 16), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear", 1.0)


class Gives(nn.Module):
    """A layer that gives whatever it is told to."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


class Whole(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.layer = Gives(function)

    def forward(self, images):
        self.layer(images)
        return images


def pixels(images, step=4):
    """A map that is the image itself, at every fourth pixel."""
    return images[:, :, ::step, ::step]


def sequence(images, extras=0):
    """The places of ``pixels`` row by row, after ``extras`` tokens of 100, 101, ..."""
    places = pixels(images).flatten(2).transpose(1, 2)
    before = torch.arange(100.0, 100 + extras).view(1, -1, 1).expand(len(images), -1, 3)
    return torch.cat([before, places], dim=1)


def last_class(images):
    return sequence(images, 1).roll(-1, dims=1)


def one(function, preprocessing=WIDE, **options):
    return network_from_module(Whole(function), ["layer"], preprocessing, **options)


def images_of(network, count=3):
    return torch.randn(count, 3, *network.preprocessing.size, generator=torch.Generator().manual_seed(0))


KINDS = {
    "map": (pixels, {}, None),
    "map, channels last": (lambda x: pixels(x).movedim(1, -1), {}, None),
    "sequence": (sequence, {}, None),
    "sequence first": (lambda x: sequence(x, 1).transpose(0, 1), {}, 100.0),
    "class token": (lambda x: sequence(x, 1), {}, 100.0),
    "class token and registers": (lambda x: sequence(x, 5), {}, 100.0),
    "class token after registers": (lambda x: sequence(x, 5), {"class_token": 4}, 104.0),
    "class token last": (last_class, {"class_token": -1}, 100.0),
    "registers alone": (lambda x: sequence(x, 2), {"class_token": None}, None),
    "prefix given": (lambda x: sequence(x, 6), {"prefix_tokens": 6, "class_token": 1}, 101.0),
    "tuple": (lambda x: (None, pixels(x), "attention"), {}, None),
    "list": (lambda x: [sequence(x, 1), sequence(x)], {}, 100.0),
    "dict": (lambda x: {"attention": None, "features": pixels(x)}, {}, None),
    "model output": (
        lambda x: transformers.modeling_outputs.BaseModelOutputWithPooling(
            last_hidden_state=sequence(x, 1), pooler_output=x[:, :, 0, 0]
        ),
        {},
        100.0,
    ),
    "ordered dict": (lambda x: OrderedDict(last_hidden_state=sequence(x), other=torch.zeros(len(x), 2)), {}, None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preprocessing", [WIDE, SQUARE], ids=["wide", "square"])
def test_outputs_are_recognised(kind, preprocessing):
    function, options, class_value = KINDS[kind]
    network = one(function, preprocessing, **options)
    images = images_of(network)
    tokens = network.tokens(images)
    expected = pixels(images)
    torch.testing.assert_close(tokens.local[0], expected)
    if class_value is None:
        assert network.global_token == "pooled"
        torch.testing.assert_close(tokens.global_[0], expected.mean((2, 3)))
    else:
        assert network.global_token == "class"
        assert tokens.global_[0].unique().tolist() == [class_value]
    others = sorted({100.0 + i for i in range(network.prefix_tokens)} - {class_value})
    assert [r[0, :, 0].tolist() for r in tokens.registers] == ([others] if others else [])
    assert network.register_tokens == len(others)


def test_vector_is_one_place():
    network = one(lambda x: x.mean((2, 3)))
    images = images_of(network)
    tokens = network.tokens(images)
    assert network.grids == ((1, 1),)
    torch.testing.assert_close(tokens.local[0][:, :, 0, 0], images.mean((2, 3)))
    torch.testing.assert_close(tokens.global_[0], images.mean((2, 3)))


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (lambda x: None, {}, r"layer 'layer' gave None; expected a tensor"),
        (lambda x: {"a": x, "b": x}, {}, r"gave a dict \(a: a tensor \(2, 3, 16, 24\), b: .*name another"),
        (lambda x: "text", {}, "a value of type str"),
        (lambda x: x[:, None], {}, r"gave a tensor \(2, 1, 3, 16, 24\) for 2 images; expected a map"),
        (lambda x: x.mean((0, 2, 3)), {}, r"gave a tensor \(3,\)"),
        (lambda x: sequence(x)[:, :-1], {"class_token": None}, r"\(2, 23, 3\): its 23 tokens fill no grid"),
        (lambda x: x.new_zeros(2, 3, 8), {"prefix_tokens": 2}, "its 3 tokens fill not with prefix_tokens=2"),
        (lambda x: sequence(x, 1), {"class_token": 3}, "class_token=3 is not among the 1 prefix tokens"),
        (sequence, {"class_token": 0}, "all places; it has no class token"),
        (lambda x: x[:, :, :3, :3], {}, "give channels_last=True or False"),
    ],
)
def test_outputs_that_are_refused_name_the_layer(function, options, text):
    preprocessing = SQUARE if "channels_last" in text else WIDE
    with pytest.raises(ShapeError, match=text) as caught:
        one(function, preprocessing, **options)
    assert "\n" not in str(caught.value)


def test_channels_are_given_where_the_shape_does_not_tell():
    images = torch.randn(2, 3, 16, 16)
    network = one(lambda x: x[:, :, :3, :3], SQUARE, channels_last=True)
    torch.testing.assert_close(network.tokens(images).local[0], images[:, :, :3, :3].movedim(-1, 1))


class Net(nn.Module):
    """Convolutions with activations in place, one module that is used twice, one that is never used."""

    def __init__(self):
        super().__init__()
        self.second = nn.Conv2d(4, 5, 3, stride=2, padding=1)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.Linear(2, 2)
        self.fail = False

    def forward(self, images):
        x = self.relu(self.first(images))
        if self.fail:
            raise RuntimeError("broken on purpose")
        return self.relu(self.second(x)).mean((2, 3))


def test_layers_come_as_they_run_and_before_what_overwrites_them():
    torch.manual_seed(0)
    net = Net()
    network = network_from_module(net, ["second", "first"], WIDE)
    images = images_of(network)
    tokens = network.tokens(images)
    assert network.layers == ("first", "second")
    assert network.grids == ((8, 12), (4, 6))
    first = nn.functional.conv2d(images, net.first.weight, net.first.bias, stride=2, padding=1)
    torch.testing.assert_close(tokens.local[0], first)
    assert bool((tokens.local[0] < 0).any())
    torch.testing.assert_close(tokens.downsample((2, 2)).local[1].shape, torch.Size((3, 5, 2, 2)))


@pytest.mark.parametrize(
    ("layers", "error", "text"),
    [
        (["relu"], DataError, "'relu' runs more than once in a pass"),
        (["unused"], DataError, "'unused' did not run"),
        (["frist"], UnknownNameError, "did you mean 'first'"),
        ([], DataError, "empty or repeat"),
        (["first", "first"], DataError, "empty or repeat"),
        ("first", DataError, "no list"),
        (None, DataError, r"give layers=\[...\] of its 4 modules: second, first"),
    ],
)
def test_layers_that_cannot_be_read(layers, error, text):
    net = Net()
    with pytest.raises(error, match=text):
        network_from_module(net, layers, WIDE)
    assert hooks(net) == 0


def hooks(module):
    return sum(len(part._forward_hooks) for part in module.modules())


def test_hooks_are_gone_even_after_an_error():
    net = Net()
    network = network_from_module(net, ["first"], WIDE)
    net.fail = True
    with pytest.raises(RuntimeError, match="on purpose"):
        network.tokens(images_of(network))
    assert hooks(net) == 0


def test_hooks_of_the_user_stay():
    net, seen = Net(), []
    net.first.register_forward_hook(lambda *_: seen.append(1))
    network = network_from_module(net, ["first"], WIDE)
    network.tokens(images_of(network))
    assert hooks(net) == 1
    assert seen


def test_fine_tuning_reaches_the_weights():
    net = Net()
    network = network_from_module(net, ["first", "second"], WIDE)
    network.tokens(images_of(network)).local[1].square().mean().backward()
    assert float(net.first.weight.grad.abs().sum()) > 0
    before = network.weights_hash
    with torch.no_grad():
        net.first.weight += 1
    assert network_from_module(net, ["first"], WIDE).weights_hash != before


def test_prefix_tokens_must_mean_the_same_in_all_layers():
    module = nn.Sequential(Gives(lambda x: x), Gives(pixels), Gives(lambda x: sequence(x.repeat(1, 1, 4, 4), 1)))
    with pytest.raises(DataError, match="only 2 have prefix tokens"):
        network_from_module(module, ["1", "2"], WIDE)


def test_preprocessing_that_is_not_given_is_said():
    network = network_from_module(nn.Sequential(nn.Conv2d(3, 4, 16, 16)), ["0"])
    assert network.preprocessing.size == (224, 224)
    assert "ImageNet's assumed" in describe(network)["description"]
    assert "assumed" not in network_from_module(Net(), ["first"], WIDE).description


def test_random_state_stays():
    module = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(3, 4, 4, 4)).train()
    state = torch.random.get_rng_state()
    network = network_from_module(module, ["1"], WIDE)
    assert network.grids == ((4, 6),)
    assert not module.training
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("given", [None, {}, torch.zeros(2, 3, 4, 4), [torch.zeros(2, 3, 4, 4)]])
def test_function_must_give_layers_by_name(given):
    with pytest.raises(DataError, match=r"'gabor' gave .*expected a dict of layers"):
        network_from_function(lambda _images: given, WIDE, "gabor")


def test_function_layers_version_and_tokens():
    def function(images):
        return {"a": pixels(images), "b": sequence(images, 1)[:, 1:]}

    network = network_from_function(function, WIDE, "gabor", layers=["b"])
    images = images_of(network)
    assert network.layers == ("b",)
    torch.testing.assert_close(network.tokens(images).local[0], pixels(images))
    other = network_from_function(function, WIDE, "gabor", version="2")
    assert other.weights_hash != network.weights_hash
    with pytest.raises(UnknownNameError, match="layer"):
        network_from_function(function, WIDE, "gabor", layers=["c"])
