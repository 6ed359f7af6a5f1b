"""The names under which the paper's authors released their weights, read and written (`method.md`)."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError, ShapeError
from factortopy.fitting import fit_settings
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, PositionEncoding, TopologicalSelectors

LOCAL, GLOBAL = "local_token_bottleneck", "global_token_bottleneck"
SELECTORS = {"space": "space_selector_mlp", "layer": "layer_selector_mlp", "scale": "scale_selector_mlp"}
# The authors' first module is the position code, so their linear layers are numbered 1, 3 and 5.
NUMBERS = {"1.weight": 0, "1.bias": 0, "3.weight": 2, "3.bias": 2, "5.weight": 4}


def to_paper_weights(model: FactorTopy) -> dict[str, Tensor]:
    """Weights of a model of ``recipe="paper"`` under the authors' names.

    Returns:
        ``local_token_bottleneck.<layer>.weight`` (D, C, 1, 1), ``global_token_bottleneck.<layer>.weight``
        (D, C), ``{space,layer,scale}_selector_mlp.{1,3,5}.weight`` with ``.bias`` on 1 and 3, ``weight``
        (N, D) and ``bias`` (N).

    Raises:
        DataError: if the model is not of the paper's form (no topology, or an offset in a channel map).
    """
    selectors = model.selectors
    if not isinstance(selectors, TopologicalSelectors) or not _plain_maps(model.align):
        raise DataError('only a model of recipe="paper" with topology has weights under the authors\' names')
    weights: dict[str, Tensor] = {"weight": model.channels, "bias": model.bias}
    own = model.state_dict()
    for number in range(len(model.align.local)):
        weights[f"{LOCAL}.{number}.weight"] = own[f"align.local.{number}.weight"][:, :, None, None]
        weights[f"{GLOBAL}.{number}.weight"] = own[f"align.global_.{number}.weight"]
    for ours, theirs in SELECTORS.items():
        for name, index in NUMBERS.items():
            weights[f"{theirs}.{name}"] = own[f"selectors.{ours}.{index}.{name.split('.')[1]}"]
    return {name: value.detach().clone() for name, value in weights.items()}


def from_paper_weights(
    weights: Mapping[str, Tensor], coordinates: Float[Tensor, "N 3"], bounds: Float[np.ndarray, "2 3"]
) -> FactorTopy:
    """A model of ``recipe="paper"`` from weights under the authors' names.

    Args:
        weights: as :func:`to_paper_weights` returns; layers are taken in the order of their numbers.
        coordinates: coordinates of the voxels, mm.
        bounds: smallest and largest coordinate of the surface, mm.

    Raises:
        DataError: if a weight is missing or not expected.
        ShapeError: if a weight has another shape than the rest imply.
    """
    layers = sorted(_layers(weights), key=lambda layer: (len(layer), layer))
    expected = _expected_names(layers)
    missing, unexpected = sorted(expected - set(weights)), sorted(set(weights) - expected)
    if missing or unexpected:
        raise DataError(f"not the authors' weights: missing {missing or 'none'}, unexpected {unexpected or 'none'}")
    voxels, width = weights["weight"].shape
    if len(coordinates) != voxels:
        raise ShapeError(f"the weights are of {voxels} voxels, the coordinates of {len(coordinates)}")
    channels = [weights[f"{GLOBAL}.{layer}.weight"].shape[1] for layer in layers]
    align = ChannelAlign(
        [ChannelMap(count, width) for count in channels], [ChannelMap(count, width) for count in channels]
    )
    selectors = TopologicalSelectors(coordinates, PositionEncoding(bounds), len(layers))
    model = FactorTopy(align, selectors, torch.zeros(voxels, width), fit_settings("paper", width=width).factor)
    try:
        model.load_state_dict(_own_names(weights, layers), strict=False)
    except RuntimeError as error:
        raise ShapeError(f"the weights do not fit together: {str(error).splitlines()[-1].strip()}") from None
    return model


def _plain_maps(align: ChannelAlign) -> bool:
    maps = [*align.local, *align.global_]
    return all(isinstance(layer, ChannelMap) and layer.offset is None for layer in maps)


def _layers(names: Iterable[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith(f"{LOCAL}.")}


def _expected_names(layers: list[str]) -> set[str]:
    bottlenecks = {f"{kind}.{layer}.weight" for kind in (LOCAL, GLOBAL) for layer in layers}
    return bottlenecks | {f"{mlp}.{name}" for mlp in SELECTORS.values() for name in NUMBERS} | {"weight", "bias"}


def _own_names(weights: Mapping[str, Tensor], layers: list[str]) -> dict[str, Tensor]:
    own = {"channels": weights["weight"], "bias": weights["bias"]}
    for number, layer in enumerate(layers):
        own[f"align.local.{number}.weight"] = weights[f"{LOCAL}.{layer}.weight"].flatten(1)
        own[f"align.global_.{number}.weight"] = weights[f"{GLOBAL}.{layer}.weight"]
    for ours, theirs in SELECTORS.items():
        for name, index in NUMBERS.items():
            own[f"selectors.{ours}.{index}.{name.split('.')[1]}"] = weights[f"{theirs}.{name}"]
    return own
