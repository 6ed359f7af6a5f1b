"""One's own PyTorch module as a network, in one line."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn

from factortopy.errors import DataError
from factortopy.networks.adapters.hooked import HookedNetwork
from factortopy.networks.adapters.open_clip import network_from_open_clip, open_clip_preprocessing
from factortopy.networks.adapters.outputs import FOUND, TokenRule
from factortopy.networks.adapters.timm import TimmNetwork, timm_preprocessing
from factortopy.networks.adapters.torchvision import default_layers
from factortopy.networks.adapters.transformers import network_from_transformers
from factortopy.networks.network import ASSUMED, IMAGENET_PREPROCESSING, Network, Preprocessing

LIBRARIES = ("timm", "open_clip", "transformers", "torchvision")


def network_from_module(
    module: nn.Module,
    layers: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    pretrained: bool = True,
    prefix_tokens: int | None = None,
    class_token: int | Literal["found"] | None = FOUND,
    channels_last: bool | None = None,
) -> Network:
    """Make a network of a PyTorch module.

    Args:
        module: called as ``module(images)``; it is set to eval mode.
        layers: names of modules inside it, in any order. If None, the module must be of timm, open_clip,
            transformers or torchvision: then its blocks or stages.
        preprocessing: how it was trained to see a photograph. If None, that of a module of timm or
            open_clip; else ImageNet's usual one at 224 pixels, and then the description says so.
        name: of the network in every result; the class's name if None.
        description: where the weights come from.
        pretrained: whether the weights were trained.
        prefix_tokens: tokens of a sequence that belong to no place; found from its length if None.
        class_token: position of the class token, -1 if it is the last, None if there is none.
        channels_last: whether maps are (B, H, W, C); found from their shape if None.

    Raises:
        UnknownNameError: if a layer does not exist.
        DataError: if no layers are given, or one does not run, runs more than once, or gives no tokens.
    """
    kind = type(module).__name__
    facts: dict[str, Any] = {
        "name": name or kind,
        "description": description or f"weights of the given {kind}",
        "pretrained": pretrained,
    }
    rule = TokenRule(prefix_tokens, class_token, channels_last)
    seen = preprocessing or _own_preprocessing(module)
    if layers is None and rule != TokenRule():
        raise DataError("prefix_tokens, class_token and channels_last need layers=[...]")
    if layers is None or (rule == TokenRule() and _library_knows(module, layers)):
        return _of_library(module, layers, seen, facts)
    if seen is None:
        facts["description"] += ASSUMED
    return HookedNetwork(module, layers, preprocessing=seen or IMAGENET_PREPROCESSING, rule=rule, **facts)


def _library(module: nn.Module) -> str:
    """The library that a module's class, or one that it derives from, is of; empty if none is known."""
    homes = [base.__module__.split(".")[0] for base in type(module).__mro__]
    return next((home for home in homes if home in LIBRARIES), "")


def _own_preprocessing(module: nn.Module) -> Preprocessing | None:
    """What the module itself says of its preprocessing; None if nothing."""
    if _library(module) == "timm" and hasattr(module, "pretrained_cfg"):
        return timm_preprocessing(module)
    if hasattr(module, "preprocess_cfg"):
        return open_clip_preprocessing(module)
    return None


def _library_knows(module: nn.Module, layers: Sequence[str]) -> bool:
    """Whether the library itself reads these layers, which it does better: it knows the order of tokens."""
    library = _library(module)
    if library == "timm":
        return set(layers) <= {info["module"] for info in getattr(module, "feature_info", ())}
    return library == "transformers" and all(layer.startswith("hidden_states.") for layer in layers)


def _of_library(
    module: nn.Module, layers: Sequence[str] | None, seen: Preprocessing | None, facts: dict[str, Any]
) -> Network:
    """Blocks or stages of a module of a library that is known; all if ``layers`` is None."""
    library = _library(module)
    if library == "timm":
        return TimmNetwork(module, layers=layers, preprocessing=seen, **facts)
    if library == "transformers":
        return network_from_transformers(module, layers, preprocessing=seen, **facts)
    if library == "open_clip":
        tower: Any = getattr(module, "visual", module)
        return network_from_open_clip(tower, layers, **facts)
    if library == "torchvision":
        return network_from_module(module, default_layers(module), seen, **facts)
    known = [name for name, _ in module.named_modules() if name]
    raise DataError(
        f"which layers of {type(module).__name__} are wanted? give layers=[...] of its {len(known)} modules: "
        f"{', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
    )
