"""Weights by name: read from a file without running any code of its own, and their SHA-256."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, first_line


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a ``.safetensors`` file, or in a PyTorch file read with ``weights_only=True``.

    Raises:
        DataError: if the file is missing, damaged, or holds anything but tensors by name.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise DataError(f"weights file {path} does not exist; give a .safetensors, .pth, .pt or .bin file", path=path)
    try:
        if path.suffix == ".safetensors":
            weights: Any = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(f"cannot read weights file {path}: {first_line(error)}", path=path) from error
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise DataError(f"weights file {path} holds more than tensors; save its state dict alone", path=path) from error
    return _state_dict(weights, path)


def _state_dict(weights: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a file held: that itself, or the one entry beside the optimiser and the like."""
    if isinstance(weights, dict) and not _is_state_dict(weights):
        inside = {name: value for name, value in weights.items() if _is_state_dict(value)}
        usual = [name for name in ("state_dict", "model") if name in inside]
        if len(inside) > 1 and not usual:
            names = ", ".join(map(str, inside))
            raise DataError(f"weights file {path} holds several networks ({names}); save one of them alone", path=path)
        weights = inside[usual[0]] if usual else next(iter(inside.values()), None)
    if not _is_state_dict(weights):
        raise DataError(f"weights file {path} is no state dict; expected tensors by name", path=path)
    return {str(name): tensor for name, tensor in weights.items()}


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(entry, Tensor) for entry in value.values())


def sha256_weights(model: nn.Module, without: Iterable[str] = ()) -> str:
    """SHA-256 over names, types, shapes and bytes of a model's state dict, as 64 hex digits.

    Args:
        model: its weights.
        without: modules to leave out (the classifier, which gives no tokens).
    """
    prefixes = tuple(f"{name}." for name in without)
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(prefixes):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
