"""Weights from the hub's cache, the hub, or a local file; read without running any code of theirs."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from factortopy.errors import DataError, UnavailableError, first_line

HUB_SECONDS = 4.0
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def hub_file(repository: str, *names: str) -> Path:
    """A weights file of a model hub's repository; from the cache with no network access if it is there.

    Args:
        repository: e.g. ``"timm/vit_base_patch16_224.mae"``.
        names: of the file, the best first; the usual ones if none is given.

    Raises:
        UnavailableError: if it is not cached and the hub cannot be reached or does not have it.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
    from huggingface_hub.errors import EntryNotFoundError

    names = names or HUB_FILES
    for name in names:
        cached = try_to_load_from_cache(repository, name)
        if isinstance(cached, str):
            return Path(cached)
    if HF_HUB_OFFLINE or not _reachable(ENDPOINT):
        reason = "is switched off (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else "cannot be reached"
        raise UnavailableError(f"the weights {repository} are not cached and the model hub {reason}")
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, etag_timeout=HUB_SECONDS))
        except EntryNotFoundError:
            continue
        except OSError as error:
            raise UnavailableError(f"the model hub did not give {repository}: {first_line(error)}") from error
    raise UnavailableError(f"the hub's repository {repository} has none of {', '.join(names)}")


def url_file(url: str) -> Path:
    """A weights file that is published at an address; from PyTorch's own cache if it is there.

    The beginning of its SHA-256 stands at the end of the file's name, and is checked.

    Raises:
        UnavailableError: if it is not cached and cannot be had.
        DataError: if what was downloaded is not the file expected.
    """
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if target.is_file():
        return target
    if not _reachable(url):
        raise UnavailableError(f"the weights {target.name} are not cached and {url} cannot be reached")
    expected = target.stem.rsplit("-", 1)[-1]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), expected)
    except RuntimeError as error:
        raise DataError(f"{url} gave another file than expected: {first_line(error)}") from error
    except OSError as error:
        raise UnavailableError(f"{url} could not be fetched: {first_line(error)}") from error
    return target


def _reachable(address: str) -> bool:
    # One short question first, because the hub's own client asks again and again for minutes.
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=HUB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


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
