"""What modules inside a network give, read by hooks that are gone when the call ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, UnknownNameError
from factortopy.networks.reading.outputs import find_tensor


def find_modules(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules of these names.

    Raises:
        UnknownNameError: if the network has no module of a name.
        DataError: if a module is scripted.
    """
    known = dict(model.named_modules())
    for name in names:
        if not name or name not in known:
            raise UnknownNameError("layer", name, [known_name for known_name in known if known_name])
        if isinstance(known[name], torch.jit.ScriptModule):
            raise DataError(
                f"layer {name!r} is scripted or traced (TorchScript), so that its output cannot be read; give the "
                "Python module it was made of"
            )
    return {name: known[name] for name in names}


@contextmanager
def recorded(
    modules: Mapping[str, nn.Module], keep: Callable[[str, Any], Any] = find_tensor
) -> Iterator[dict[str, Any]]:
    """Outputs of modules by name, in the order in which they run inside this context.

    Args:
        modules: by the name to give to each.
        keep: called with a module's name and output; what it returns is kept.

    Raises:
        DataError: if a module runs more than once.
    """
    outputs: dict[str, Any] = {}

    def record(name: str, _module: nn.Module, _arguments: Any, output: Any) -> None:
        if name in outputs:
            raise DataError(
                f"layer {name!r} runs more than once in a pass; name a module that runs once, such as the block "
                "around it"
            )
        outputs[name] = keep(name, output)

    handles = [module.register_forward_hook(partial(record, name)) for name, module in modules.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def record_outputs(
    model: nn.Module, names: Sequence[str], images: Tensor, keep: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """Run images through a network and return what its modules gave, in the order in which they ran.

    Args:
        model: called as ``model(images)``.
        names: of the modules, as in ``model.named_modules()``.
        images: the network's input.
        keep: as in ``recorded``.

    Raises:
        UnknownNameError: if the network has no module of a name.
        DataError: if a module did not run, or ran more than once.
    """
    with recorded(find_modules(model, names), keep) as outputs, _uncompiled(model):
        model(images)
    for name in names:
        if name not in outputs:
            raise DataError(f"layer {name!r} did not run when the network saw an image; name another module")
    return outputs


def record_copies(model: nn.Module, names: Sequence[str], images: Tensor) -> tuple[dict[str, Tensor], frozenset[str]]:
    """What ``record_outputs`` gives, as it was when each module ran, and which of it is overwritten later on.

    Args:
        model, names, images: as in ``record_outputs``.

    Returns:
        copies of the outputs' tensors; names of the modules whose output a later one overwrites in place, such
        as ``ReLU(inplace=True)``.
    """

    def copied(name: str, output: Any) -> tuple[Tensor, int, Tensor]:
        tensor = find_tensor(name, output)
        return tensor, tensor._version, tensor.clone()

    kept = record_outputs(model, names, images, copied)
    overwritten = frozenset(name for name, (tensor, before, _) in kept.items() if tensor._version != before)
    return {name: copy for name, (*_, copy) in kept.items()}, overwritten


def _uncompiled(model: nn.Module) -> AbstractContextManager[Any]:
    """Runs what ``torch.compile`` made of a model's parts as Python, as compiled code ignores later hooks."""
    for module in model.modules():
        if getattr(module, "_compiled_call_impl", None) is not None or "_orig_mod" in module._modules:
            return torch.compiler.set_stance("force_eager")
    return nullcontext()
