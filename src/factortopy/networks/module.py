"""One's own PyTorch module as a network, in one line."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from factortopy.errors import DataError, FactortopyError, first_line
from factortopy.networks.families import family_of
from factortopy.networks.network import Network
from factortopy.networks.preprocessing import Preprocessing
from factortopy.networks.reading.hooked import HookedNetwork
from factortopy.networks.reading.layered import named_once
from factortopy.networks.reading.outputs import FOUND, TokenRule


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
        module: called as ``module(images)``; it is set to eval mode. Of one that is compiled, data-parallel or
            averaged the module inside is taken.
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
        DataError: if no layers are given, or one does not run, runs more than once, or gives no tokens, or the
            module has no values, does not run on images alone, or gives random tokens.
    """
    module, outer = unwrap(module)
    if layers is not None:
        layers = [layer.removeprefix(outer) for layer in named_once(layers)]
    kind = type(module).__name__
    facts: dict[str, Any] = {
        "name": name or kind,
        "description": description or f"weights of the given {kind}",
        "pretrained": pretrained,
    }
    rule = TokenRule(prefix_tokens, class_token, channels_last)
    try:
        network = _read(module, layers, preprocessing, rule, facts)
    except FactortopyError:
        raise
    # Whatever a module of anybody's raises when its weights or modes are asked for
    except Exception as error:
        raise DataError(f"{kind} cannot be read as a network: {first_line(error)}") from error
    if network is not None:
        return network
    known = [inner for inner, _ in module.named_modules() if inner]
    raise DataError(
        f"which layers of {kind} are wanted? give layers=[...] of its {len(known)} modules: "
        f"{', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
    )


def _read(
    module: nn.Module, layers: Sequence[str] | None, given: Preprocessing | None, rule: TokenRule, facts: dict[str, Any]
) -> Network | None:
    """The network of a module; None if its layers are not known and none are named."""
    family = family_of(module)
    seen = given or (family.preprocessing(module) if family else None)
    if rule == TokenRule() and family and (layers is None or family.reads(module, layers)):
        return family.network(module, layers, seen, **facts)
    if layers is not None:
        return HookedNetwork(module, layers, preprocessing=seen, rule=rule, **facts)
    if rule != TokenRule():
        raise DataError("prefix_tokens, class_token and channels_last need layers=[...]")
    return None


def unwrap(module: nn.Module) -> tuple[nn.Module, str]:
    """The module inside those that only change how it runs, and what they put before the names of its layers.

    They are those of ``torch.compile``, of data parallelism and of averaging.

    Raises:
        DataError: if it is no module, is scripted, or has no values (lazy, or on the device ``meta``).
    """
    if not isinstance(module, nn.Module):
        raise DataError(f"{module!r} is no PyTorch module; give one, or a network's name")
    outer = ""
    while True:
        if "_orig_mod" in module._modules:
            part = "_orig_mod"
        elif isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel | AveragedModel):
            part = "module"
        else:
            break
        module, outer = module.get_submodule(part), f"{outer}{part}."
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        fault = f"{kind} is scripted or traced (TorchScript), so that its layers cannot be read"
        raise DataError(f"{fault}; give the Python module it was made of")
    tensors = [*module.named_parameters(), *module.named_buffers()]
    empty = [name for name, tensor in tensors if is_lazy(tensor) or tensor.is_meta]
    if empty and torch.get_default_device().type != "meta":
        raise DataError(f"{kind} has no values of {empty[0]} (lazy, or on the device meta); load its weights first")
    return module, outer
