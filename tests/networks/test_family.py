"""A family of networks is added by one file and one line: a toy one, registered here."""

import pytest
import torch
from torch import nn

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.finetuning import finetune, labelled_digits
from factortopy.machine import seeded
from factortopy.networks import (
    HookedNetwork,
    ModuleFamily,
    Preprocessing,
    families,
    fit_weights,
    load_network,
    network_skeleton,
    register_family,
)

SEEN = Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
SIZES = {"small": 5, "large": 8}


class Toy(ModuleFamily):
    """Two convolutions of 5 or 8 channels."""

    name = "toy"

    def create(self, source, weights, seed):
        """Make the module."""
        if source.architecture not in SIZES:
            raise UnknownNameError("toy network", source.architecture, SIZES)
        with seeded(seed):
            channels = SIZES[source.architecture]
            model = nn.Sequential(nn.Conv2d(3, channels, 4, 4), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        if weights is not None:
            model.load_state_dict(fit_weights(weights, model.state_dict(), str(source)))
        return model, SEEN

    def network(self, module, layers, preprocessing, **facts):
        """Both convolutions, or those wanted."""
        return HookedNetwork(module, layers or ["0", "2"], preprocessing=preprocessing, **facts)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", list(families._FAMILIES))
    register_family(Toy())


def test_its_networks_load_by_name_with_random_weights_or_those_of_a_file(tmp_path):
    random = load_network("toy/large", untrained=True, seed=3, device="cpu")
    assert (random.name, random.layers, random.channels) == ("toy/large-untrained-3", ("0", "2"), (8, 8))
    assert (random.preprocessing, random.description) == (SEEN, "random weights, seed 3; toy/large")
    torch.save(random.module.state_dict(), tmp_path / "mine.pth")
    given = load_network("toy/large", ["2"], weights=tmp_path / "mine.pth", device="cpu")
    assert (given.name, given.layers) == ("toy/large-from-mine", ("2",))
    assert given.weights_hash == random.weights_hash
    assert network_skeleton("toy/small").grids == ((4, 4), (4, 4))


def test_wrong_names_and_weights_that_cannot_be_had_are_said():
    with pytest.raises(UnavailableError, match="no hub has the weights of toy/small; give a local file"):
        load_network("toy/small", device="cpu")
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        load_network("toy/larg", untrained=True)
    with pytest.raises(UnknownNameError, match="did you mean 'toy'"):
        load_network("toyy/large", untrained=True)


def test_a_fine_tuned_one_is_read_by_its_folder(tmp_path):
    brief = {"per_class": 2, "validation_per_class": 1, "steps": 2, "batch_size": 2}
    network = load_network("toy/small", untrained=True, device="cpu")
    finetune(network, labelled_digits(), tmp_path / "out", precision="fp32", progress=False, **brief)
    assert load_network(str(tmp_path / "out"), device="cpu").weights_hash == network.weights_hash


def test_a_name_is_taken_once():
    with pytest.raises(DataError, match="'toy' is registered already"):
        register_family(Toy())
