"""Networks of torchvision: classification and what is built like it."""

import re
from typing import Any

from torch import nn

from factortopy.errors import DataError, UnavailableError, UnknownNameError
from factortopy.machine import seeded
from factortopy.networks.family import Layers, ModuleAndPreprocessing, ModuleFamily, NetworkSource, StateDict
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import IMAGENET_PREPROCESSING, Preprocessing
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.weights.matching import load_fitting
from factortopy.networks.weights.remote import UrlFile

# Parts of torchvision's networks whose children follow one another in depth
TRUNKS = ("encoder.layers", "features", "trunk_output", "blocks", "layers")
# Parts too small to be a layer of their own, or with no places
NO_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm, nn.Linear, nn.Dropout),
    *(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d),
)
# Names in published files: DenseNets of the first PyTorch, the first vision transformers
RENAMED = (
    (r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2."),
    (r"(encoder_layer_\d+\.mlp)\.linear_1\.", r"\1.0."),
    (r"(encoder_layer_\d+\.mlp)\.linear_2\.", r"\1.3."),
)
HEADS = ("fc", "classifier", "head", "heads", "AuxLogits", "aux1", "aux2")


class Torchvision(ModuleFamily):
    """Classification networks of torchvision, as in ``torchvision.models.list_models()``."""

    name = package = "torchvision"
    tagged = True

    def remote(self, source: NetworkSource) -> UrlFile:
        """The file of a checkpoint; of torchvision's default one without a tag."""
        checkpoints = _checkpoints(source)
        if not len(checkpoints):
            raise UnavailableError(f"torchvision has no trained weights for {source.architecture!r}")
        return UrlFile(checkpoints[source.tag or "DEFAULT"].url)

    def create(self, source: NetworkSource, weights: StateDict | None, seed: int) -> ModuleAndPreprocessing:
        """Make the module, from weights with or without the head; the tag decides the preprocessing."""
        from torchvision import models

        architecture = source.architecture
        seen = torchvision_preprocessing(source)
        with seeded(seed):
            model: nn.Module = models.get_model(architecture, weights=None, **_builder_options(architecture, seen))
        if weights is not None:
            load_fitting(model, _renamed(weights), f"torchvision/{architecture}", HEADS)
        return model, seen

    def network(self, module: nn.Module, layers: Layers, seen: Preprocessing | None, **facts: Any) -> Network:
        """Its stages or blocks, or the layers wanted."""
        return HookedNetwork(module, layers or default_layers(module), preprocessing=seen, **facts)


def default_layers(model: nn.Module) -> list[str]:
    """Names of the stages or blocks of a torchvision network, shallow to deep.

    Raises:
        DataError: if there is none that is known.
    """
    modules = dict(model.named_modules())
    trunk = next((part for part in TRUNKS if part in modules), None)
    prefix = f"{trunk}." if trunk else ""
    children = (modules[trunk] if trunk else model).named_children()
    names = [
        f"{prefix}{child}"
        for child, module in children
        if not isinstance(module, NO_LAYERS) and child not in HEADS and not child.startswith("aux")
    ]
    if not names:
        raise DataError(f"the stages of {type(model).__name__} are not known; give layers=[...]")
    return names


def torchvision_preprocessing(source: NetworkSource) -> Preprocessing:
    """The preprocessing of a checkpoint of torchvision; of its default one without a tag.

    Raises:
        UnknownNameError: if there is no such network or checkpoint.
    """
    checkpoints = _checkpoints(source)
    if not len(checkpoints):
        return IMAGENET_PREPROCESSING
    transform = checkpoints[source.tag or "DEFAULT"].transforms()
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    return Preprocessing(
        size=(crop, crop),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        # A little less than the quotient, as crop / fraction is rounded down.
        crop_fraction=crop / resize * (1 - 1e-9),
    )


def _builder_options(architecture: str, seen: Preprocessing) -> dict[str, Any]:
    """What torchvision's builders change when they load trained weights, for random ones too."""
    if architecture in {"googlenet", "inception_v3"}:
        # Trained on values of -1 to 1, which they make of ImageNet's own normalisation.
        return {"transform_input": True, "aux_logits": True, "init_weights": True}
    if architecture.startswith("vit_"):
        return {"image_size": seen.size[0]}
    return {"input_size": seen.size} if architecture.startswith("maxvit") else {}


def _renamed(weights: StateDict) -> StateDict:
    """Weights under today's names, as torchvision renames those of its published files."""
    for old, new in RENAMED:
        weights = {re.sub(old, new, name): tensor for name, tensor in weights.items()}
    return weights


def _checkpoints(source: NetworkSource) -> Any:
    """Checkpoints of the network by tag; the source's is one of them."""
    from torchvision import models

    known = models.list_models(module=models)
    if source.architecture not in known:
        raise UnknownNameError("torchvision network", source.architecture, known)
    checkpoints: Any = models.get_model_weights(source.architecture)
    if source.tag is not None and source.tag not in checkpoints.__members__:
        raise UnknownNameError(f"torchvision checkpoint of {source.architecture}", source.tag, checkpoints.__members__)
    return checkpoints


TORCHVISION = Torchvision()
