"""The trained model of a mapping and its network, made again from what the mapping holds."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from factortopy.errors import DataError
from factortopy.fitting import fit_settings, fix_selectors
from factortopy.mapping.mapping import Mapping
from factortopy.model import (
    ChannelAlign,
    ChannelMap,
    FactorTopy,
    FixedSelectors,
    FreeSelectors,
    PositionEncoding,
    Selection,
    TopologicalSelectors,
)
from factortopy.networks import Network, Preprocessing, load_network
from factortopy.subjects import Subject

UNTRAINED = "-untrained-"
"""Stands before the seed in the name of a network of random weights."""
TOLERANCE = 0.01
"""Largest difference of the position a voxel reads, between the model made again and the mapping."""


def load_model(mapping: Mapping, subject: Subject | None = None) -> FactorTopy:
    """The trained model of a mapping: raw tokens of its network in, z-scored responses out.

    Args:
        mapping: as :func:`factortopy.fit` made it.
        subject: whose coordinates the selectors are computed from, needed only where the mapping holds none
            (it is of an earlier version) and does not lie on a standard surface.

    Raises:
        DataError: if the mapping has no trained parameters, they do not fit together, or the coordinates
            are others than those it was trained with.

    Example:
        >>> model = ft.load_model(mapping, subject)
        >>> model(tokens.read([0, 1])).shape == (2, len(subject.voxels))
        True
    """
    state = dict(mapping.parameters)
    if "channels" not in state:
        raise DataError("this mapping holds no trained parameters; fit it again to get its model")
    changes = {name: value for name, value in mapping.settings.items() if name != "recipe"}
    settings = fit_settings(mapping.settings.get("recipe", "default"), **changes)
    model = FactorTopy(
        ChannelAlign(_channel_maps(state, "local"), _channel_maps(state, "global_")),
        fix_selectors(settings, _selectors(mapping, subject)),
        torch.zeros_like(state["channels"]),
        factor=settings.factor,
    )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise DataError(f"the parameters of this mapping do not fit together: {reason}") from None
    with torch.no_grad():
        space, expected = model.select().space.numpy(), mapping.dataset["space"].values
    if space.shape != expected.shape or not np.abs(space - expected).max() < TOLERANCE:
        raise DataError(
            "the model made from this mapping reads other positions than the mapping says: its coordinates are "
            "not those of the fit; give the subject it was fitted to"
        )
    return model.eval()


def load_mapped_network(
    mapping: Mapping,
    *,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Network:
    """The network that was mapped, with the layers of the mapping.

    Args:
        mapping: whose network is wanted.
        weights: local file of its weights, where it was loaded from one.
        device: where it runs; the best there is if None.
        progress: show a bar while weights are fetched.

    Raises:
        DataError: if the weights are not those that were mapped.
        UnavailableError: if they cannot be had.
    """
    facts = mapping.provenance.get("tokens", {})
    name, seed = str(mapping.dataset.attrs.get("network", "")), 0
    if facts.get("pretrained") is False and UNTRAINED in name:
        name, _, number = name.rpartition(UNTRAINED)
        seed = int(number.partition("@")[0])  # of a diffusion model, its step or block stands behind
    if weights is not None:
        name = name.removesuffix(f"-from-{Path(weights).stem}")
    name = facts.get("architecture") or name  # a fine-tuned network's own name says not what to build
    network = load_network(
        name,
        mapping.layers,
        untrained=facts.get("pretrained") is False,
        seed=seed,
        device=device,
        weights=weights,
        progress=progress,
        preprocessing=Preprocessing.from_dict(facts["preprocessing"]) if "preprocessing" in facts else None,
    )
    if network.weights_hash != facts.get("weights_hash", network.weights_hash):
        raise DataError(
            f"the weights of {name} are not those that were mapped (SHA-256 {network.weights_hash[:8]}..., "
            f"expected {facts['weights_hash'][:8]}...); give their file"
        )
    return network


def _channel_maps(state: dict[str, Tensor], kind: str) -> list[ChannelMap]:
    weights = [name for name in state if name.startswith(f"align.{kind}.") and name.endswith(".weight")]
    maps = []
    for number in range(len(weights)):
        start = f"align.{kind}.{number}"
        if f"{start}.weight" not in state:
            raise DataError(f"the parameters of this mapping lack {start}.weight; fit again")
        width, channels = state[f"{start}.weight"].shape
        maps.append(ChannelMap(channels, width, offset=f"{start}.offset" in state))
    return maps


def _selectors(mapping: Mapping, subject: Subject | None) -> nn.Module:
    """Selectors of the kind that the parameters are of."""
    count, layers = mapping.dataset["layer"].shape
    # Selectors that are learnt in part stand one level deeper: "selectors.learnt.scale".
    names = {name.removeprefix("selectors.").removeprefix("learnt."): name for name in mapping.parameters}
    if "space.0.weight" in names:
        voxels = mapping.voxels if subject is None else subject.voxels
        if mapping.settings.get("bounds") == "voxels":
            voxels = voxels.bounded_alone()
        coordinates, bounds = voxels.positions
        return TopologicalSelectors(torch.from_numpy(coordinates).float(), PositionEncoding(bounds), layers)
    if "scale" in names and mapping.parameters[names["scale"]].ndim == 1:
        # A selection that was given and not trained.
        size = torch.ones(count) if "size" in names else None
        empty = Selection(torch.zeros(count, 2), torch.zeros(count, layers), torch.zeros(count), size)
        return FixedSelectors(empty)
    return FreeSelectors(count, layers)
