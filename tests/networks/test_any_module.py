"""Modules of any kind: read rightly, or refused in one line that names what is wrong."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from factortopy.errors import DataError, FactortopyError
from factortopy.networks import Preprocessing, load_network, network_from_function
from factortopy.networks.module import network_from_module
from factortopy.networks.weights.state_dict import sha256_weights

SEEN = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def conv():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 8, stride=8), nn.ReLU(), nn.Conv2d(6, 8, 2, stride=2))


class Projected(nn.Module):
    """Patches whose channels a linear layer mixes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.patches, self.mix, self.norm = nn.Conv2d(3, 16, 8, stride=8), nn.Linear(16, 16), nn.LayerNorm(16)

    def forward(self, images):
        mixed = self.mix(self.patches(images).flatten(2).transpose(1, 2))
        return self.norm(mixed.to(self.norm.weight.dtype))


def by_hand(module, images):
    """The two maps of ``conv`` by functions."""
    first = functional.conv2d(images, module[0].weight, module[0].bias, stride=8)
    return first, functional.conv2d(first.relu(), module[2].weight, module[2].bias, stride=2)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float16, 5e-3), (torch.bfloat16, 4e-2), (torch.float64, 1e-6)])
def test_weights_of_any_floating_type(dtype, within):
    network = load_network(conv().to(dtype), layers=["0", "2"], preprocessing=SEEN, device="cpu")
    tokens = network.tokens(IMAGES)
    assert {tensor.dtype for tensor in tokens.local} == {dtype}
    for found, expected in zip(tokens.local, by_hand(conv(), IMAGES), strict=True):
        torch.testing.assert_close(found.float(), expected, atol=within, rtol=within)


def test_the_first_type_that_runs_is_taken():
    """Mixed precision: patches and linear layer in half, the norm in float32, as open_clip makes it."""
    module = Projected()
    module.patches.half()
    module.mix.half()
    module.register_parameter("unused", nn.Parameter(torch.zeros(1)))  # float32, and the first of all
    network = load_network(module, layers=["norm"], preprocessing=SEEN, device="cpu")
    expected = Projected()(IMAGES).transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(network.tokens(IMAGES).local[0], expected, atol=2e-2, rtol=2e-2)


@pytest.mark.filterwarnings("ignore")
def test_quantised_modules():
    """Their weights have a hash; those that scale by the batch's largest value are refused."""

    def quantised(factor):
        module = Projected().eval()
        with torch.no_grad():
            module.mix.weight *= factor
        return torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=torch.qint8)

    hashes = [sha256_weights(quantised(factor)) for factor in (1, 1, 2)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert load_network(quantised(1), layers=["patches"], preprocessing=SEEN).weights_hash == hashes[0]
    with pytest.raises(DataError, match=r"'mix' of Projected gives one image other tokens .* dynamic quantisation"):
        load_network(quantised(1), layers=["mix"], preprocessing=SEEN)


def wrappers():
    yield "compiled", torch.compile(conv(), backend="eager"), "_orig_mod."
    yield "parallel", nn.DataParallel(conv()), "module."
    yield "averaged", AveragedModel(conv()), "module."
    yield "both", nn.DataParallel(torch.compile(conv(), backend="eager")), "module._orig_mod."
    in_place, part = conv(), conv()
    in_place.compile(backend="eager")
    yield "compiled in place", in_place, ""
    part[2] = torch.compile(part[2], backend="eager")
    yield "a part compiled", part, ""


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("outer", [False, True], ids=["inner names", "outer names"])
def test_wrapped_modules_are_read_as_what_is_inside(index, outer):
    _, module, prefix = list(wrappers())[index]
    with torch.no_grad():
        module(IMAGES)  # what compiles it
    names = [f"{prefix}{name}" if outer else name for name in ("0", "2")]
    network = network_from_module(module, names, SEEN)
    assert network.layers == ("0", "2")
    for images in (IMAGES, IMAGES[:1]):
        with torch.no_grad():
            tokens = network.tokens(images)
        for found, expected in zip(tokens.local, by_hand(conv(), images), strict=True):
            torch.testing.assert_close(found, expected)


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = conv()

    def forward(self, images, text):
        return self.body(images)


class Batch(nn.Module):
    """Statistics of the batch, in eval mode too."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 5, 8, stride=8), nn.BatchNorm2d(5, track_running_stats=False)

    def forward(self, images):
        return self.norm(self.first(images))


class Dropped(nn.Module):
    """Dropout that eval mode does not switch off: ``functional.dropout`` is on unless told otherwise."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 5, 8, stride=8), nn.Identity()

    def forward(self, images):
        return self.last(functional.dropout(self.first(images), 0.1))


class Steps(nn.Module):
    """Nothing but a Python error that has no words."""

    def __init__(self):
        super().__init__()
        self.first = nn.Identity()

    def forward(self, images):
        raise IndexError


def scripted_part():
    module = conv()
    module[2] = torch.jit.script(module[2])
    return module


REFUSED = {
    "on meta": (lambda: conv().to("meta"), ["0"], r"no values of 0.weight \(lazy, or on the device meta\)"),
    "scripted": (lambda: torch.jit.script(conv()), ["0"], "RecursiveScriptModule is scripted or traced"),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(5, 8, 8)), ["0"], "no values of 0.weight"),
    "exported": (lambda: torch.export.export(conv(), (IMAGES,)).module(), ["0"], "cannot be read as a network: .*eval"),
    "no module": (lambda: conv, ["0"], "is no PyTorch module; give one, or a network's name"),
    "traced": (lambda: torch.jit.trace(conv(), IMAGES), ["0"], "is scripted or traced"),
    "a scripted part": (scripted_part, ["2"], "layer '2' is scripted or traced"),
    "two inputs": (Two, ["body.0"], r"Two of network 'Two' does not run on .* RGB images \(2, 3, 32, 32\).*'text'"),
    "one channel": (lambda: nn.Sequential(nn.Conv2d(1, 4, 8, stride=8)), ["0"], "does not run on a batch of RGB"),
    "other sizes": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 3)), ["1"], "does not run on a batch of RGB"),
    "no words": (Steps, ["first"], "does not run on a batch of RGB images .*IndexError"),
    "numbers": (conv, [0, 2], r"layers \[0, 2\] are no names; give text, e.g. layers=\['0'\]"),
    "dropout": (Dropped, ["last"], "layer 'last' of Dropped gives one image other tokens each time"),
    "batch statistics": (Batch, ["norm"], "layer 'norm' of Batch gives one image other tokens"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(kind):
    make, layers, text = REFUSED[kind]
    with pytest.raises(FactortopyError, match=text) as caught:
        load_network(make(), layers=layers, preprocessing=SEEN, device="cpu")
    assert "\n" not in str(caught.value)


def test_dropout_of_a_module_left_in_training_is_off():
    module = nn.Sequential(nn.Conv2d(3, 5, 8, stride=8), nn.Dropout(0.5)).train()
    network = load_network(module, layers=["1"], preprocessing=SEEN, device="cpu")
    torch.testing.assert_close(network.tokens(IMAGES).local[0], module[0](IMAGES))


def test_a_random_function_is_refused():
    with pytest.raises(DataError, match="layer 'a' of noisy gives one image other tokens each time"):
        network_from_function(lambda x: {"a": x + torch.rand_like(x)}, SEEN, "noisy")
    with pytest.raises(DataError, match="expected a dict of layers"):
        network_from_function(lambda x: {0: x}, SEEN, "numbered")
    with pytest.raises(DataError, match="the function of network 'broken' does not run"):
        network_from_function(lambda x: {"a": x[:, 7]}, SEEN, "broken")


def test_weights_for_a_compiled_module(tmp_path):
    state = {name: tensor + 1 for name, tensor in conv().state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    module = torch.compile(conv(), backend="eager")
    network = load_network(module, layers=["0"], preprocessing=SEEN, weights=tmp_path / "w.pth", device="cpu")
    assert all(torch.equal(value, state[name]) for name, value in network.module.state_dict().items())
    assert network.name == "Sequential-from-w"
