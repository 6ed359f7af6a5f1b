"""Checkpoints: everything that a stopped training needs to go on and end as if it had not been stopped."""

import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from factortopy.errors import DataError
from factortopy.storage.files import atomic_path
from factortopy.storage.formats import check_format
from factortopy.storage.tensors import write_tensors

FORMAT = "factortopy-checkpoint-1"
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
        metadata = {"format": FORMAT, "identity": self.identity, "facts": json.dumps(part.facts)}
        with atomic_path(self._file(name)) as file:
            write_tensors(file, part.tensors, metadata)
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
        check_format(path, metadata.get("format"), FORMAT)
        if metadata.get("identity") != self.identity:
            fault = f"checkpoint {self.folder} belongs to another fit or fine-tuning (settings or data differ)"
            raise DataError(f"{fault}; give another folder, or delete it to start anew", path=self.folder)
        return Part(tensors, facts)

    def within(self, name: str) -> "Checkpoint":
        """The checkpoint of a training that is part of this one, in a folder of its own."""
        return Checkpoint(self.folder / name, self.identity)

    def remove(self) -> None:
        """Remove its parts, those within too, and folders that are empty then; what else is there is not its own."""
        unfinished = self.folder.rglob(".*.safetensors.????????.partial")  # left by a process that was killed
        files = [*filter(self._wrote, self.folder.rglob("*.safetensors")), *unfinished]
        folders = {folder for file in files for folder in file.parents if folder.is_relative_to(self.folder)}
        for file in files:
            with suppress(OSError):
                file.unlink()
        for folder in sorted(folders, reverse=True):  # what lies within comes first
            with suppress(OSError):
                folder.rmdir()

    def _wrote(self, file: Path) -> bool:
        with suppress(SafetensorError, OSError), safe_open(file, "pt") as opened:
            said = opened.metadata() or {}
            return (said.get("format"), said.get("identity")) == (FORMAT, self.identity)
        return False

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


class ResumableTraining:
    """A training between two steps: all that the next step depends on, which a checkpoint keeps.

    Attributes:
        step: steps that are done.
        losses: of the steps since the last look at validation images.

    Args:
        optimiser: its own settings stay when a state is loaded.
        modules: what is trained, by name.
    """

    def __init__(self, optimiser: Optimizer, **modules: nn.Module) -> None:
        self.optimiser, self._modules = optimiser, modules
        self.step = 0
        self.losses: list[Tensor] = []

    def take_loss(self) -> float:
        """Mean loss since the last look, which this one is; NaN without steps."""
        losses, self.losses = self.losses, []
        return float(torch.stack(losses).mean()) if losses else math.nan

    def state(self, history: Mapping[str, Any], **others: Mapping[str, Tensor]) -> Part:
        """Everything as tensors by name and JSON-ready facts; others are kept beside the modules."""
        groups = {name: module.state_dict() for name, module in self._modules.items()} | others
        moments = self.optimiser.state_dict()["state"].items()
        groups |= {f"optimiser/{number}": values for number, values in moments}
        tensors = {f"{group}/{name}": value for group, values in groups.items() for name, value in values.items()}
        if self.losses:
            tensors["losses"] = torch.stack(self.losses)
        return Part(tensors, {"step": self.step, "history": dict(history)})

    def resume(self, state: Part) -> dict[str, dict[str, Tensor]]:
        """Go on from a state; returns its tensors by group and name."""
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in state.tensors.items():
            group, _, name = key.partition("/")
            groups.setdefault(group, {})[name] = value
        device = self.optimiser.param_groups[0]["params"][0].device  # where the next losses are
        self.step, self.losses = state.facts["step"], [loss.to(device) for loss in state.tensors.get("losses", ())]
        for group, module in self._modules.items():
            module.load_state_dict(groups.get(group, {}))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in groups.get("optimiser", {}).items():
            number, _, name = key.partition("/")
            moments.setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})
        return groups
