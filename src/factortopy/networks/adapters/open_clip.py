"""Image towers of open_clip."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from factortopy.errors import MissingExtraError, UnknownNameError
from factortopy.machine import seeded
from factortopy.networks.adapters.hooked import HookedNetwork
from factortopy.networks.adapters.outputs import TokenRule
from factortopy.networks.adapters.timm import TimmNetwork
from factortopy.networks.network import Network, Preprocessing
from factortopy.networks.weights.matching import fit_weights

# timm's word for each way in which open_clip brings a photograph to the network's size
CROP_MODES = {"shortest": "center", "squash": "squash", "longest": "border"}
# How open_clip's networks see a photograph, where a checkpoint does not say otherwise
SEEN = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
RESNET_LAYERS = ("avgpool", "layer1", "layer2", "layer3", "layer4")
TEXT_TOWER = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}


def build_open_clip(
    architecture: str,
    state: Mapping[str, Tensor] | None = None,
    *,
    tag: str | None = None,
    seed: int = 0,
    layers: Sequence[str] | None = None,
    name: str | None = None,
    description: str | None = None,
    pretrained: bool | None = None,
) -> Network:
    """Build the image tower of an open_clip network.

    Args:
        architecture: as in ``open_clip.list_models()``, e.g. ``"ViT-B-16"``.
        state: state dict of the whole network or its image tower; None for random weights.
        tag: of the checkpoint, as in ``open_clip.list_pretrained()``: it decides activation and
            preprocessing. Its weights are not loaded.
        seed: of the random weights.
        layers: names of modules of the tower; all blocks (stages of a convolutional tower) if None.
        name: of the network in every result; ``open_clip/ARCHITECTURE`` (and tag) if None.
        description: where the weights come from.
        pretrained: whether the weights were trained; whether ``state`` is given if None.

    Raises:
        UnavailableError: if open_clip is not installed.
        UnknownNameError: if no architecture, tag or layer has the name.
        DataError: if the weights do not fit.
    """
    visual = _image_tower(architecture, tag, seed)
    if state is not None:
        tower = {key: value for key, value in state.items() if key.startswith("visual.")} or state
        # A tower around a model of timm is fine-tuned and saved as that model alone.
        trunk = getattr(visual, "trunk", None)
        part = trunk if trunk is not None and trunk.state_dict().keys() == tower.keys() else visual
        part.load_state_dict(fit_weights(tower, part.state_dict(), f"open_clip/{architecture}"))
    return network_from_open_clip(
        visual,
        layers,
        name=name or "/".join(["open_clip", architecture, *([tag] if tag else [])]),
        description=description or f"{'random' if state is None else 'given'} weights; open_clip {architecture}",
        pretrained=state is not None if pretrained is None else pretrained,
    )


def network_from_open_clip(
    visual: nn.Module,
    layers: Sequence[str] | None = None,
    *,
    name: str,
    description: str,
    pretrained: bool,
) -> Network:
    """Make a network of an image tower of open_clip, ``model.visual``.

    Args:
        visual: a VisionTransformer, ModifiedResNet or TimmModel of open_clip, with its weights.
        layers, name, description, pretrained: as in ``build_open_clip``.

    Raises:
        UnknownNameError: if a layer does not exist.
    """
    preprocessing = open_clip_preprocessing(visual)
    trunk = getattr(visual, "trunk", None)
    if trunk is not None:
        return TimmNetwork(trunk, name, description, pretrained, layers, preprocessing)
    transformer = getattr(visual, "transformer", None)
    if transformer is None:
        names: Sequence[str] = RESNET_LAYERS
        rule = TokenRule(class_token=None, channels_last=False)
    else:
        names = [f"transformer.resblocks.{index}" for index in range(len(transformer.resblocks))]
        rule = TokenRule(prefix_tokens=1, class_token=0)
    return HookedNetwork(
        visual,
        names if layers is None else layers,
        name,
        preprocessing,
        description=description,
        pretrained=pretrained,
        rule=rule,
    )


def open_clip_preprocessing(visual: nn.Module) -> Preprocessing:
    """The preprocessing with which an image tower of open_clip was trained."""
    config: Any = visual.preprocess_cfg
    size = config["size"]
    return Preprocessing(
        size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop_fraction=1.0,
        crop_mode=CROP_MODES[config["resize_mode"]],
    )


def _image_tower(architecture: str, tag: str | None, seed: int, **sizes: Any) -> nn.Module:
    try:
        import open_clip
    except ImportError:
        raise MissingExtraError("open-clip", "open_clip is not installed; install it") from None
    if architecture not in open_clip.list_models():
        raise UnknownNameError("open_clip architecture", architecture, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag is not None and tag not in tags:
        raise UnknownNameError(f"open_clip tag of {architecture}", tag, tags)
    config = open_clip.get_model_config(architecture)
    trained = (open_clip.get_pretrained_cfg(architecture, tag) or {}) if tag else {}
    vision = {**config["vision_cfg"], "timm_model_pretrained": False, **sizes}
    quick_gelu = bool(config.get("quick_gelu") or trained.get("quick_gelu"))
    with seeded(seed):
        # The text tower gives no tokens of images: the smallest there can be.
        model: Any = open_clip.CustomTextCLIP(config["embed_dim"], vision, TEXT_TOWER, quick_gelu=quick_gelu)
    seen = {key: value for key, value in trained.items() if key in SEEN and value}
    model.visual.preprocess_cfg = {**SEEN, "size": model.visual.image_size, **seen}
    visual: nn.Module = model.visual
    return visual
