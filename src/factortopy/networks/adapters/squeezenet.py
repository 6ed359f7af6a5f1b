"""SqueezeNet 1.1 as converted from Caffe: its own preprocessing; pools that do not look past the edge."""

from typing import Any

from torch import nn

from factortopy.machine import seeded
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.reading.outputs import TokenRule
from factortopy.networks.weights.matching import load_fitting

# Caffe's means, of values in 0..255; no division by a deviation.
PREPROCESSING = Preprocessing(
    size=(227, 227),
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    interpolation="bilinear",
    crop_fraction=1.0,
)
# The first convolution and the eight fire modules
LAYERS = tuple(f"features.{index}" for index in (1, 3, 4, 6, 7, 9, 10, 11, 12))


class SqueezeNet(ModuleFamily):
    """torchvision's SqueezeNet 1.1 with Caffe's preprocessing (RGB); weights in torchvision's names."""

    name = "squeezenet"

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the module."""
        from torchvision.models import squeezenet1_1

        with seeded(seed):
            model: nn.Module = squeezenet1_1(weights=None)
        for module in model.modules():
            if isinstance(module, nn.MaxPool2d):
                module.ceil_mode = False
        if weights is not None:
            load_fitting(model, weights, str(source), ["classifier"])
        return model, PREPROCESSING

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """The first convolution and the fire modules, or the layers wanted."""
        rule = TokenRule(class_token=None, channels_last=False)
        wanted = LAYERS if layers is None else layers
        return HookedNetwork(module, wanted, preprocessing=seen or PREPROCESSING, rule=rule, **facts)


SQUEEZENET = SqueezeNet()
