"""Tensors by name in a file of safetensors."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from factortopy.errors import first_line


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, to be read by whoever may read other new files in the folder.

    Args:
        path: of a file that is not there yet, as ``atomic_path`` gives it.
        tensors: by name.
        metadata: of the file.

    Raises:
        OSError: if the file cannot be written.
    """
    # safetensors itself lets nobody but the owner read its files.
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(_separate(tensors), path, metadata)
    except SafetensorError as error:
        raise OSError(f"{first_line(error)}; make room or allow writing") from error
    path.chmod(mode)


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: on the CPU, contiguous, no two in one memory (as tied weights are)."""
    plain: dict[str, Tensor] = {}
    used: set[int] = set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        plain[name] = value.clone() if memory in used else value
        used.add(memory)
    return plain
