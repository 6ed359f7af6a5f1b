"""The authors' names of weights (`method.md`): what a file holds, in which order, and a model's parameters by them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError, ShapeError

LOCAL, GLOBAL = "local_token_bottleneck", "global_token_bottleneck"
SELECTORS = {"space": "space_selector_mlp", "layer": "layer_selector_mlp", "scale": "scale_selector_mlp"}
# The authors' first module is the position code, so their linear layers are numbered 1, 3 and 5.
NUMBERS = {"1.weight": 0, "1.bias": 0, "3.weight": 2, "3.bias": 2, "5.weight": 4}
LAYER_OUTPUTS = "layer_selector_mlp.5.weight"
COORDINATES, BACKBONE = "coords", "backbone."
# Before a name: what Lightning, DataParallel and torch.compile put there, in any number and order.
WRAPPERS = re.compile(r"^(?:(?:model|module|_orig_mod)\.)+")
LAST_NUMBER = re.compile(r"(\d+)\D*$")
DIMENSIONS = {LOCAL: 4, GLOBAL: 2, "weight": 2, "bias": 1, COORDINATES: 2}


@dataclass(frozen=True, eq=False)
class AuthorsFile:
    """Weights under the authors' names.

    Attributes:
        weights: by name, without wrappers and without the network's own weights, float32.
        layers: names of the layers in the order of the layer selector's outputs, which is that of the file.
        coordinates: of the voxels, where the file has them.
    """

    weights: dict[str, Tensor]
    layers: tuple[str, ...]
    coordinates: Float[np.ndarray, "voxel 3"] | None

    @classmethod
    def read(cls, given: Mapping[str, Tensor]) -> "AuthorsFile":
        """Tell what is what in a state dict, in its order.

        Names may begin with ``model.``, ``module.`` or ``_orig_mod.``; ``backbone.*``, the network itself, is left
        out.

        Raises:
            DataError: if a weight is missing, not expected, not finite or no decimal number.
            ShapeError: if a weight has another number of dimensions.
        """
        weights: dict[str, Tensor] = {}
        for long, value in given.items():
            name = WRAPPERS.sub("", long)
            if name in weights:
                raise DataError(f"the weights hold {name} twice; save one model alone")
            if not name.startswith(BACKBONE):
                weights[name] = _numbers(name, value)
        coordinates = weights.pop(COORDINATES, None)
        layers = _layers(weights, LOCAL)
        if set(layers) == set(_layers(weights, GLOBAL)) and layers != _layers(weights, GLOBAL):
            raise DataError(f"{LOCAL} and {GLOBAL} name their layers in two orders; which one is meant is not known")
        names = own_names(layers)
        missing, unexpected = sorted(names.keys() - weights.keys()), sorted(weights.keys() - names.keys())
        if missing or unexpected:
            raise DataError(f"not the authors' weights: missing {missing or 'none'}, unexpected {unexpected or 'none'}")
        return cls(weights, layers, None if coordinates is None else coordinates.numpy())

    def by_depth(self, network_layers: Sequence[str], network: str) -> "AuthorsFile":
        """The same weights with layers, and the outputs of the layer selector, in the order of a network's layers.

        Raises:
            DataError: if the numbers in the layers' names contradict those in the network's.
            ShapeError: if the layer selector has another number of outputs.
        """
        numbers, theirs = _last_numbers(self.layers), depth_numbers(network_layers)
        depth = list(self.layers) if numbers is None else [self.layers[row] for row in np.argsort(numbers)]
        if numbers is not None and theirs is not None and len(numbers) == len(theirs):
            ordered = np.sort(numbers)
            # Some count layers from 0, others from 1.
            if len(set((ordered - theirs).tolist())) > 1:
                raise DataError(
                    f"the weights read layers {', '.join(depth)}, {network} gives {', '.join(network_layers)}; "
                    "name the layers that the weights read"
                )
        outputs = self.weights[LAYER_OUTPUTS]
        if len(outputs) != len(depth):
            raise ShapeError(f"the layer selector has {len(outputs)} outputs and there are {len(depth)} layers")
        rows = torch.tensor([self.layers.index(name) for name in depth])
        return AuthorsFile(self.weights | {LAYER_OUTPUTS: outputs[rows]}, tuple(depth), self.coordinates)


def depth_numbers(layers: Sequence[str]) -> np.ndarray | None:
    """The last number in each name of layers from shallow to deep; None unless they increase, as depths do."""
    numbers = _last_numbers(layers)
    return None if numbers is None or (np.diff(numbers) < 0).any() else numbers


def own_names(layers: Sequence[str]) -> dict[str, str]:
    """Names of a model's parameters by the authors' names, for layers from shallow to deep."""
    names = {"weight": "channels", "bias": "bias"}
    for number, layer in enumerate(layers):
        names[f"{LOCAL}.{layer}.weight"] = f"align.local.{number}.weight"
        names[f"{GLOBAL}.{layer}.weight"] = f"align.global_.{number}.weight"
    for ours, theirs in SELECTORS.items():
        for name, index in NUMBERS.items():
            names[f"{theirs}.{name}"] = f"selectors.{ours}.{index}.{name.split('.')[1]}"
    return names


def _numbers(name: str, value: Tensor) -> Tensor:
    """A weight in float32, if it is finite decimal numbers of the dimensions that its name says."""
    if value.is_meta:
        raise DataError(f"the weight {name} holds no numbers (device meta); save the model with its weights")
    if value.layout is not torch.strided or not value.is_floating_point():
        raise DataError(f"the weight {name} is {value.dtype} ({value.layout}), not decimal numbers; save it as float32")
    if not bool(torch.isfinite(value).all()):
        raise DataError(f"the weight {name} holds NaN or infinity; get the file again")
    known = DIMENSIONS.get(name.split(".", maxsplit=1)[0])
    if known is not None and value.ndim != known:
        raise ShapeError(f"the weight {name} has shape {tuple(value.shape)}, expected {known} dimensions")
    return value.detach().to(torch.float32)


def _layers(weights: Mapping[str, Tensor], kind: str) -> tuple[str, ...]:
    """Names of the layers in the order of the file; those of a file that sorts its names in that of their numbers."""
    names = list(dict.fromkeys(name.split(".")[1] for name in weights if name.startswith(f"{kind}.")))
    numbers = _last_numbers(names)
    # "0", "1", "10", "11", "2" is no order of layers: safetensors files hold names sorted as text.
    if names == sorted(names) and numbers is not None:
        return tuple(names[row] for row in np.argsort(numbers))
    return tuple(names)


def _last_numbers(names: Sequence[str]) -> np.ndarray | None:
    """The last number in each name; None unless all have one and all differ."""
    found = [LAST_NUMBER.search(name) for name in names]
    numbers = [int(match[1]) for match in found if match is not None]
    return np.array(numbers) if len(set(numbers)) == len(names) else None
