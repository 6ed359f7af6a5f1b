"""Weights by name: read from a file without running any code of its own, and their SHA-256."""

import hashlib
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, first_line

# What timm takes where a file of training holds several: averaged weights (EMA) before the others
ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")
# How files begin that stand where the weights should
STRAY = {
    b"<": "is a web page, not weights; download it again",
    b"version https://git-lfs": "is a Git LFS pointer, not the weights; run 'git lfs pull' where it was cloned",
}
ZIP, PICKLE, BYTE_ORDER_MARK = b"PK\x03\x04", b"\x80", b"\xef\xbb\xbf"


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file of safetensors, or of PyTorch, read with ``weights_only=True``.

    Of a file of training that holds averaged weights beside the others (``state_dict_ema``, ``model_ema``),
    these are taken, as timm does.

    Raises:
        DataError: if the file is missing, damaged, or holds anything but tensors by name, or several networks.
    """
    return read_named(path)[0]


def read_named(path: str | Path) -> tuple[dict[str, Tensor], str]:
    """The state dict of ``read_weights``, and in words where it is from: the file, and which of its entries."""
    path = Path(path)
    if not path.is_file():
        fault = f"weights file {path} does not exist; give a .safetensors, .pth, .pt, .bin or .ckpt file"
        raise DataError(fault, path=path)
    try:
        content = _content(path)
    except DataError:
        raise
    # Whatever a damaged file makes the libraries raise
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":
            fault = f"weights file {path} holds more than tensors, or is damaged; save its state dict alone"
            raise DataError(fault, path=path) from error
        raise DataError(f"cannot read weights file {path}: {first_line(error)}", path=path) from error
    weights, entry = _choose(content, path)
    for name, tensor in weights.items():
        if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
            kind = "no values (device meta)" if tensor.is_meta else f"values of kind {tensor.dtype}, {tensor.layout}"
            raise DataError(f"weights file {path}: {name} has {kind}; save dense floating-point weights", path=path)
    return weights, f"weights from {path.name}{entry and f' ({entry})'}"


def _content(path: Path) -> Any:
    """What a file holds; its first bytes tell its format, whatever its name."""
    from safetensors.torch import load_file

    with path.open("rb") as file:
        start = file.read(512)
    text = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    stray = [fault for beginning, fault in STRAY.items() if text.startswith(beginning)]
    if stray or not start:
        raise DataError(f"weights file {path} {stray[0] if stray else 'is empty; download it again'}", path=path)
    if start[8:9] == b"{":
        return load_file(path)
    if start.startswith(ZIP):
        # PyTorch itself does not compare checksums.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise DataError(f"weights file {path} is damaged (checksum of {damaged}); download it again", path=path)
    elif not start.startswith(PICKLE):
        fault = f"weights file {path} is neither of PyTorch nor of safetensors, or is damaged; give another file"
        raise DataError(fault, path=path)
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, of old and foreign writers
        return torch.load(file, map_location="cpu", weights_only=True)


def _choose(content: Any, path: Path) -> tuple[dict[str, Tensor], str]:
    """The state dict in what a file held, and its entry's name: that itself, or the one beside the optimiser."""
    if _is_state_dict(content):
        return content, ""
    entries = content.items() if isinstance(content, dict) else ()
    inside = {name: value for name, value in entries if _is_state_dict(value)}
    if not inside:
        raise DataError(f"weights file {path} is no state dict; expected tensors by name", path=path)
    known = [name for name in ENTRIES if name in inside]
    taken = (known or list(inside))[0]
    others = [name for name in inside if name not in ENTRIES and name != taken]
    if others and (not known or any(_alike(inside[name], inside[taken]) for name in others)):
        names = ", ".join(map(str, inside))
        raise DataError(f"weights file {path} holds several networks ({names}); save one of them alone", path=path)
    return inside[taken], str(taken) if len(inside) > 1 else ""


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _alike(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether most names are of both, as those of averaged weights are."""
    names = [{name.removeprefix("module.") for name in state} for state in (first, second)]
    return 2 * len(names[0] & names[1]) > min(map(len, names))


def sha256_weights(model: nn.Module, without: Iterable[str] = ()) -> str:
    """SHA-256 over names, types, shapes and bytes of a model's state dict, as 64 hex digits.

    Args:
        model: its weights.
        without: modules to leave out (the classifier, which gives no tokens).

    Raises:
        DataError: if a value is none of tensors and plain values.
    """
    prefixes = tuple(f"{name}." for name in without)
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if not name.startswith(prefixes):
            _update(digest, name, value)
    return digest.hexdigest()


def _update(digest: Any, name: str, value: Any) -> None:
    """Add a value of a state dict; quantised modules keep tuples, types and quantised tensors there."""
    if isinstance(value, tuple):
        for index, part in enumerate(value):
            _update(digest, f"{name}.{index}", part)
    elif isinstance(value, Tensor):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        if value.is_quantized:
            digest.update(repr((value.qscheme(), value.dequantize().double().sum().item())).encode())
            value = value.int_repr()
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    elif value is None or isinstance(value, str | int | float | torch.dtype | torch.qscheme):
        digest.update(f"{name} {value}".encode())
    else:
        kind = type(value).__name__
        raise DataError(f"weights {name} are of type {kind}, which cannot be hashed; give a module of plain tensors")
