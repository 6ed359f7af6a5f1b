"""SqueezeNet 1.1 as converted from Caffe: its own preprocessing; pools that do not look past the edge."""

from collections.abc import Sequence

from torch import Tensor, nn

from factortopy.machine import seeded
from factortopy.networks.adapters.hooked import HookedNetwork
from factortopy.networks.adapters.outputs import TokenRule
from factortopy.networks.network import Network, Preprocessing
from factortopy.networks.weights.matching import fit_weights

# Caffe's means, of values in 0..255; no division by a deviation.
PREPROCESSING = Preprocessing(
    size=(227, 227),
    mean=(123.68 / 255, 116.779 / 255, 103.939 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    interpolation="bilinear",
    crop_fraction=1.0,
)
# The first convolution and the eight fire modules
LAYERS = tuple(f"features.{place}" for place in (1, 3, 4, 6, 7, 9, 10, 11, 12))


def build_squeezenet(
    weights: dict[str, Tensor] | None,
    *,
    seed: int = 0,
    layers: Sequence[str] | None = None,
    name: str = "squeezenet-1.1",
    description: str = "",
    pretrained: bool = True,
) -> Network:
    """torchvision's SqueezeNet 1.1 with Caffe's preprocessing (RGB).

    Args:
        weights: in torchvision's names; None for random ones.
        seed: of the random weights.
        layers: names of modules; the first convolution and the fire modules if None.
        name, description, pretrained: as of every ``Network``.

    Raises:
        UnknownNameError: if there is no such layer.
        DataError: if the weights do not fit.
    """
    from torchvision.models import squeezenet1_1

    with seeded(seed):
        model: nn.Module = squeezenet1_1(weights=None)
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):
            module.ceil_mode = False
    if weights is not None:
        model.load_state_dict(fit_weights(weights, model.state_dict(), name, ["classifier"]))
    return HookedNetwork(
        model,
        LAYERS if layers is None else layers,
        name,
        PREPROCESSING,
        description=description,
        pretrained=pretrained,
        rule=TokenRule(class_token=None, channels_last=False),
    )
