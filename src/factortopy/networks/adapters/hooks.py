"""What modules inside a network give, read by hooks that are gone when the call ends."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, UnknownNameError
from factortopy.networks.adapters.outputs import find_tensor


def find_modules(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules of these names.

    Raises:
        UnknownNameError: if the network has no module of a name.
    """
    known = dict(model.named_modules())
    for name in names:
        if not name or name not in known:
            raise UnknownNameError("layer", name, [known_name for known_name in known if known_name])
    return {name: known[name] for name in names}


def record_outputs(
    model: nn.Module, names: Sequence[str], images: Tensor, keep: Callable[[str, Any], Any] | None = None
) -> dict[str, Any]:
    """Run images through a network and return what its modules gave, in the order in which they ran.

    Args:
        model: called as ``model(images)``.
        names: of the modules, as in ``model.named_modules()``.
        images: the network's input.
        keep: called with a module's name and output; what it returns is kept. The output itself if None.

    Raises:
        UnknownNameError: if the network has no module of a name.
        DataError: if a module did not run, or ran more than once.
    """
    outputs: dict[str, Any] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        """What keeps the output of the module of this name."""

        def record(_module: nn.Module, _arguments: Any, output: Any) -> None:
            if name in outputs:
                raise DataError(
                    f"layer {name!r} runs more than once in a pass; name a module that runs once, "
                    "such as the block around it"
                )
            outputs[name] = output if keep is None else keep(name, output)

        return record

    handles = [module.register_forward_hook(hook(name)) for name, module in find_modules(model, names).items()]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in outputs:
            raise DataError(f"layer {name!r} did not run when the network saw an image; name another module")
    return outputs


def find_overwritten(model: nn.Module, names: Sequence[str], images: Tensor) -> frozenset[str]:
    """Names of the modules whose output is overwritten in place later on, as by ``ReLU(inplace=True)``.

    Args:
        model, names, images: as in ``record_outputs``.
    """

    def version(name: str, output: Any) -> tuple[Tensor, int]:
        tensor = find_tensor(name, output)
        return tensor, tensor._version

    with torch.no_grad():
        kept = record_outputs(model, names, images, version)
    return frozenset(name for name, (tensor, before) in kept.items() if tensor._version != before)
