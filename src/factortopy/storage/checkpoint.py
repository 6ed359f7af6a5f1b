"""Checkpoints: everything that a stopped training needs to go on and end as if it had not been stopped."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from factortopy.errors import DataError
from factortopy.storage.files import atomic_path

SECONDS = 60.0
"""Between two states written; at most about so long is lost when a training is stopped."""


@dataclass(frozen=True)
class Part:
    """One file of a checkpoint.

    Attributes:
        tensors: by name.
        facts: JSON-ready.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Checkpoint:
    """A folder with the state of a training, ``NAME.safetensors`` for each part of it; nothing is pickled.

    Args:
        folder: made when the first part is written.
        identity: digest of what the training is made of (settings, images, responses, tokens, weights); a
            state that another one left is refused.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: str) -> None:
        self.folder, self.identity = Path(folder), identity
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last state was written so long ago that another should be."""
        return time.monotonic() - self._written > SECONDS

    def save(self, name: str, part: Part) -> None:
        """Write a part, whole or not at all."""
        metadata = {"identity": self.identity, "facts": json.dumps(part.facts)}
        tensors = {key: value.detach().cpu().contiguous() for key, value in part.tensors.items()}
        with atomic_path(self._file(name)) as file:
            try:
                save_file(tensors, file, metadata)
            except SafetensorError as error:
                path = self._file(name)
                raise DataError(f"cannot write the checkpoint {path}: {error}", path=path) from error
        self._written = time.monotonic()

    def load(self, name: str) -> Part | None:
        """A part as it was written; None if there is none.

        Raises:
            DataError: if it belongs to another fit or is damaged.
        """
        path = self._file(name)
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
                facts = json.loads(metadata.get("facts", "null"))
        except (SafetensorError, OSError, ValueError) as error:
            fault = f"checkpoint {path} cannot be read ({error}); delete {self.folder} to start anew"
            raise DataError(fault, path=path) from error
        if metadata.get("identity") != self.identity:
            fault = f"checkpoint {self.folder} belongs to another fit or fine-tuning (settings or data differ)"
            raise DataError(f"{fault}; give another folder, or delete it to start anew", path=self.folder)
        return Part(tensors, facts)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def named(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under ``KIND/NAME``, as a part holds several groups of them."""
    return {f"{kind}/{name}": value for name, value in tensors.items()}


def of_kind(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The group that :func:`named` put under a kind, by name."""
    return {name.removeprefix(f"{kind}/"): value for name, value in tensors.items() if name.startswith(f"{kind}/")}


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of its steps, as tensors by name; :func:`load_optimiser` takes them."""
    states = optimiser.state_dict()["state"].items()
    return {f"optimiser/{number}/{name}": value for number, moments in states for name, value in moments.items()}


def load_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser of the same parameters back what :func:`optimiser_tensors` took; its own settings stay."""
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in of_kind("optimiser", tensors).items():
        number, _, name = key.partition("/")
        moments.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
