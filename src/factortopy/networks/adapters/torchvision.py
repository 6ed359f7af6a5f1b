"""Networks of torchvision: classification and what is built like it."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from factortopy.errors import DataError, UnknownNameError
from factortopy.machine import seeded
from factortopy.networks.adapters.hooked import HookedNetwork
from factortopy.networks.network import IMAGENET_PREPROCESSING, Network, Preprocessing
from factortopy.networks.weights.matching import fit_weights

# Parts of torchvision's networks whose children follow one another in depth
TRUNKS = ("encoder.layers", "features", "trunk_output", "blocks", "layers")
# Parts too small to be a layer of their own, or with no places
NO_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.Conv2d, nn.BatchNorm2d, nn.LayerNorm, nn.Linear, nn.Dropout),
    *(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d),
)
HEADS = ("fc", "classifier", "head", "heads", "AuxLogits", "aux1", "aux2")


def build_torchvision(
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
    """Build a classification network of torchvision.

    Args:
        architecture: as in ``torchvision.models.list_models()``, e.g. ``"resnet50"``.
        state: its state dict, with or without the head; None for random weights.
        tag: of the checkpoint, e.g. ``"IMAGENET1K_V2"``, which decides the preprocessing; torchvision's
            default one if None. Its weights are not loaded.
        seed: of the random weights.
        layers: names of modules of the network; its stages or blocks if None.
        name: of the network in every result; ``torchvision/ARCHITECTURE`` (and tag) if None.
        description: where the weights come from.
        pretrained: whether the weights were trained; whether ``state`` is given if None.

    Raises:
        UnknownNameError: if no architecture, tag or layer has the name.
        DataError: if the weights do not fit.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if architecture not in known:
        raise UnknownNameError("torchvision network", architecture, known)
    options = {"aux_logits": True, "init_weights": True} if architecture in {"googlenet", "inception_v3"} else {}
    with seeded(seed):
        model: nn.Module = models.get_model(architecture, weights=None, **options)
    if state is not None:
        fitted = fit_weights(state, model.state_dict(), f"torchvision/{architecture}", HEADS)
        model.load_state_dict(fitted)
    full_name = "/".join(["torchvision", architecture, *([tag] if tag else [])])
    return HookedNetwork(
        model,
        default_layers(model) if layers is None else layers,
        name or full_name,
        torchvision_preprocessing(architecture, tag),
        description=description or f"{'random' if state is None else 'given'} weights; {full_name}",
        pretrained=state is not None if pretrained is None else pretrained,
    )


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


def torchvision_preprocessing(architecture: str, tag: str | None = None) -> Preprocessing:
    """The preprocessing of a checkpoint of torchvision; of its default one if ``tag`` is None.

    Raises:
        UnknownNameError: if it has no checkpoint of the name.
    """
    from torchvision import models

    checkpoints: Any = models.get_model_weights(architecture)
    if tag is not None and tag not in checkpoints.__members__:
        raise UnknownNameError(f"torchvision checkpoint of {architecture}", tag, checkpoints.__members__)
    if tag is None and not len(checkpoints):
        return IMAGENET_PREPROCESSING
    transform = checkpoints[tag or "DEFAULT"].transforms()
    crop, resize = transform.crop_size[0], transform.resize_size[0]
    return Preprocessing(
        size=(crop, crop),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        interpolation=transform.interpolation.value,
        # A little less than the quotient, as crop / fraction is rounded down.
        crop_fraction=crop / resize * (1 - 1e-9),
    )
