"""``factortopy doctor``: what this machine has; nothing is downloaded."""

import json
import platform
import re
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import typer

from factortopy.cli.options import Json, readable_bytes
from factortopy.cli.tables import print_table
from factortopy.provenance import package_versions

DEMO_NETWORK = "clip-b16-openai"


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, caches and what each extra would add."""
    facts: dict[str, Any] = {
        "versions": _versions(),
        "devices": _devices(),
        "caches": _caches(),
        "extras": _extras(),
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    print_table("Versions", ("", "version"), facts["versions"].items())
    print_table("Devices", ("device", "what it is"), facts["devices"].items())
    print_table("Caches (looked at without network)", ("", ""), facts["caches"].items())
    print_table(
        "Extras",
        ("extra", "adds", "state"),
        [(name, extra["adds"], extra["state"]) for name, extra in facts["extras"].items()],
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "platform": platform.platform(), **package_versions()}


def _devices() -> dict[str, str]:
    import os

    import torch

    from factortopy.machine import choose_device, choose_precision

    def precision(device: "torch.device") -> str:
        return f"computes in {choose_precision(device)} by default"

    cards = {}
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        device = torch.device("cuda", index)
        cards[str(device)] = f"{card.name}, {readable_bytes(card.total_memory)}, {precision(device)}"
    if torch.backends.mps.is_available():
        cards["mps"] = f"Apple GPU, {precision(torch.device('mps'))}"
    processor = f"{os.cpu_count()} processors, {precision(torch.device('cpu'))}"
    return {**cards, "cpu": processor, "taken by default": str(choose_device())}


def _caches() -> dict[str, str]:
    from huggingface_hub.constants import HF_HUB_CACHE
    from platformdirs import user_cache_dir

    from factortopy.networks import find_cached_weights

    weights = find_cached_weights(DEMO_NETWORK)
    return {
        "cache folder": user_cache_dir("factortopy"),
        "model hub's cache": str(HF_HUB_CACHE),
        "weights of the demo": str(weights or "not here yet: the first demo fetches them"),
    }


def _extras() -> dict[str, dict[str, str]]:
    """Every extra that the package names, what it adds and whether that is here."""
    try:
        facts = metadata("factortopy")
    except PackageNotFoundError:
        return {}
    requirements = facts.get_all("Requires-Dist", [])
    extras: dict[str, dict[str, str]] = {}
    for name in facts.get_all("Provides-Extra", []):
        mark = re.compile(rf"""extra\s*==\s*['"]{name}['"]""")
        packages = [requirement.partition(";")[0].strip() for requirement in requirements if mark.search(requirement)]
        missing = [package for package in map(_name, packages) if not package_versions((package,))]
        state = f"missing: {', '.join(missing)}; pip install 'factortopy[{name}]'" if missing else "installed"
        extras[name] = {"adds": ", ".join(packages), "state": state}
    return extras


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
