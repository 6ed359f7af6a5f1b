"""The folder in which a fine-tuned network is kept: its weights, and what they are loaded into."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factortopy.errors import DataError
from factortopy.storage import read_text

FINETUNED_WEIGHTS, FINETUNED_SETTINGS = "weights.safetensors", "settings.toml"


@dataclass(frozen=True)
class FinetunedFolder:
    """What ``factortopy finetune`` wrote.

    Attributes:
        architecture: the name by which ``load_network`` builds the network.
        name: of the fine-tuned network, in every result.
        description: where its weights come from.
        weights: the file that holds them.
        preprocessing: with which it was fine-tuned, as ``Preprocessing.from_dict`` takes it.
    """

    architecture: str
    name: str
    description: str
    weights: Path
    preprocessing: dict[str, Any]


def find_finetuned(path: str | Path) -> FinetunedFolder | None:
    """What a folder says of the fine-tuned network in it; None if it is no such folder.

    Raises:
        DataError: if its settings cannot be read, or the network was a module of one's own.
    """
    folder = Path(path)
    file = folder / FINETUNED_SETTINGS
    if not (folder / FINETUNED_WEIGHTS).is_file() or not file.is_file():
        return None
    try:
        facts = tomllib.loads(read_text(file))["network"]
        name, description = str(facts["name"]), str(facts["description"])
        seen = dict(facts["preprocessing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} does not name a fine-tuned network ({error!r})", path=file) from error
    if "architecture" not in facts:
        raise DataError(
            f"{folder} holds the weights of a module of one's own; in Python: "
            f"load_network(module, layers=[...], weights={str(folder / FINETUNED_WEIGHTS)!r})",
            path=folder,
        )
    return FinetunedFolder(str(facts["architecture"]), name, description, folder / FINETUNED_WEIGHTS, seen)
