"""Image towers of open_clip."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from factortopy.errors import DataError, UnavailableError, UnknownNameError, import_extra
from factortopy.machine import seeded
from factortopy.networks.adapters.timm import TimmNetwork
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing, preprocessing_or_usual
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.reading.outputs import TokenRule
from factortopy.networks.weights.matching import load_fitting
from factortopy.networks.weights.remote import HubFile

# timm's word for each way in which open_clip brings a photograph to the network's size
CROP_MODES = {"shortest": "center", "squash": "squash", "longest": "border"}
# How open_clip's networks see a photograph, where a checkpoint does not say otherwise
SEEN: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}
USUAL = Preprocessing((224, 224), SEEN["mean"], SEEN["std"], "bicubic", 1.0)
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
RESNET_LAYERS = ("avgpool", "layer1", "layer2", "layer3", "layer4")
TEXT_TOWER = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}


class OpenClip(ModuleFamily):
    """Image towers of open_clip: a VisionTransformer, ModifiedResNet or TimmModel of it."""

    name = package = "open_clip"
    tagged = True

    def remote(self, source: NetworkSource) -> HubFile:
        """The file of a checkpoint, as in ``open_clip.list_pretrained()``."""
        open_clip = _library(source)
        tags = open_clip.list_pretrained_tags_by_model(source.architecture)
        if source.tag is None:
            raise UnavailableError(
                f"which weights of open_clip's {source.architecture}? name one: {source}/{tags[0] if tags else 'TAG'}"
            )
        location: str = open_clip.get_pretrained_cfg(source.architecture, source.tag)["hf_hub"]
        organisation, name, file = location.split("/")
        return HubFile(f"{organisation}/{name}", [file] if file else FILES)

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the image tower; the tag decides activation and preprocessing."""
        visual = _image_tower(source, seed)
        if weights is not None:
            tower = {key: value for key, value in weights.items() if key.startswith("visual.")} or weights
            # A tower around a model of timm is fine-tuned and saved as that model alone.
            trunk = getattr(visual, "trunk", None)
            part = trunk if trunk is not None and trunk.state_dict().keys() == tower.keys() else visual
            load_fitting(part, tower, f"open_clip/{source.architecture}")
        return visual, None

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """All blocks of the tower, or stages of a convolutional one; or the layers wanted."""
        visual: Any = getattr(module, "visual", module)
        seen, facts["description"] = preprocessing_or_usual(
            seen or self.preprocessing(visual), facts["description"], _pair(visual.image_size), (USUAL, "open_clip's")
        )
        trunk, transformer = getattr(visual, "trunk", None), getattr(visual, "transformer", None)
        if trunk is not None:
            return TimmNetwork(trunk, preprocessing=seen, layers=layers, **facts)
        if transformer is None:
            names: Sequence[str] = RESNET_LAYERS
            rule = TokenRule(class_token=None, channels_last=False)
        else:
            names = [f"transformer.resblocks.{index}" for index in range(len(transformer.resblocks))]
            rule = TokenRule(prefix_tokens=1, class_token=0)
        return HookedNetwork(visual, names if layers is None else layers, preprocessing=seen, rule=rule, **facts)

    def preprocessing(self, module: nn.Module) -> Preprocessing | None:
        """That with which the tower was trained, if the module or its tower says it."""
        visual = getattr(module, "visual", module)
        return open_clip_preprocessing(visual) if getattr(visual, "preprocess_cfg", None) else None


def open_clip_preprocessing(visual: nn.Module) -> Preprocessing:
    """The preprocessing with which an image tower of open_clip was trained."""
    stated: Any = visual.preprocess_cfg
    config = {
        **SEEN,
        "size": getattr(visual, "image_size", None),
        **{key: stated[key] for key in stated if stated[key]},
    }
    unknown = [key for key in config if key not in (*SEEN, "size", "mode")]
    if unknown or config.get("mode", "RGB") != "RGB" or config["resize_mode"] not in CROP_MODES:
        raise DataError(f"open_clip's preprocess_cfg {stated} is not known; give preprocessing=")
    return Preprocessing(
        size=_pair(config["size"]),
        mean=_three(config["mean"]),
        std=_three(config["std"]),
        # As open_clip itself does when it does not train
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        crop_fraction=1.0,
        crop_mode=CROP_MODES[config["resize_mode"]],
        border=(config["fill_color"] / 255,) * 3 if config["resize_mode"] == "longest" else (),
    )


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


def _three(values: float | Sequence[float]) -> tuple[float, float, float]:
    return (values, values, values) if isinstance(values, int | float) else (values[0], values[1], values[2])


def _library(source: NetworkSource) -> Any:
    """open_clip, which is known to have the architecture and the tag."""
    open_clip = import_extra("open_clip", "open-clip")
    if source.architecture not in open_clip.list_models():
        raise UnknownNameError("open_clip architecture", source.architecture, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(source.architecture)
    if source.tag is not None and source.tag not in tags:
        raise UnknownNameError(f"open_clip tag of {source.architecture}", source.tag, tags)
    return open_clip


def _image_tower(source: NetworkSource, seed: int, **sizes: Any) -> nn.Module:
    open_clip = _library(source)
    config = open_clip.get_model_config(source.architecture)
    trained = (open_clip.get_pretrained_cfg(source.architecture, source.tag) or {}) if source.tag else {}
    vision = {**config["vision_cfg"], "timm_model_pretrained": False, **sizes}
    quick_gelu = bool(config.get("quick_gelu") or trained.get("quick_gelu"))
    with seeded(seed):
        # The text tower gives no tokens of images: the smallest there can be.
        model: Any = open_clip.CustomTextCLIP(config["embed_dim"], vision, TEXT_TOWER, quick_gelu=quick_gelu)
    seen = {key: value for key, value in trained.items() if key in SEEN and value}
    model.visual.preprocess_cfg = {**SEEN, "size": model.visual.image_size, **seen}
    visual: nn.Module = model.visual
    return visual


OPEN_CLIP = OpenClip()
