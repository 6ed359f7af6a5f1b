"""``factortopy networks``: what there is, and what one network gives."""

import json
from typing import Annotated, Any

import typer

from factortopy.cli.options import Json
from factortopy.cli.tables import print_table


def networks(
    name: Annotated[str | None, typer.Argument(help="Show this network's layers and tokens.")] = None,
    as_json: Json = False,
) -> None:
    """List the networks, or show the layers, token shapes and preprocessing of one.

    Only the structure is built: weights are not loaded, so nothing is downloaded.
    """
    if name is None:
        _print_list(as_json)
        return
    facts = _structure(name)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print_network(facts)


def _print_list(as_json: bool) -> None:
    from factortopy.networks import list_networks

    entries = list_networks()
    if as_json:
        typer.echo(json.dumps({"networks": [vars(entry) for entry in entries]}))
        return
    print_table(
        "Networks",
        ("name", "in timm", "what it is"),
        [(entry.name, entry.source.removeprefix("timm/"), entry.description) for entry in entries],
        note="Any other network of timm: timm/NAME. One in detail: factortopy networks NAME",
    )


def _structure(name: str) -> dict[str, Any]:
    """What a network looks like, from its structure alone."""
    from factortopy.networks import describe, list_networks, load_network

    facts = describe(load_network(name, untrained=True, device="cpu"))
    known = {entry.name: entry.description for entry in list_networks()}
    # These three speak of the random weights that stood in for the real ones.
    for fact in ("description", "pretrained", "weights_hash"):
        del facts[fact]
    return {
        **facts,
        "name": name,
        "description": known.get(name, "a network of timm"),
        "weights": "not loaded",
    }


def _print_network(facts: dict[str, Any]) -> None:
    rule = {
        "class": "the class token",
        "pooled": "the mean over places, as it has no class token (pooled)",
    }[facts["global_token"]]
    print_table(
        f"{facts['name']}: {facts['description']}",
        ("layer", "channels", "local tokens", "global token"),
        [
            (layer["name"], str(layer["channels"]), "{} x {}".format(*layer["grid"]), str(layer["channels"]))
            for layer in facts["layers"]
        ],
    )
    seen = facts["preprocessing"]
    print_table(
        "How it sees a photograph, and what it gives",
        ("", ""),
        [
            ("prefix tokens", f"{facts['prefix_tokens']}, of which registers: {facts['register_tokens']}"),
            ("global token", rule),
            ("input", "{} x {} pixels".format(*seen["size"])),
            ("resize", f"{seen['interpolation']}, crop {seen['crop_mode']}, keep {seen['crop_fraction']:g}"),
            ("mean, RGB", ", ".join(f"{value:.4g}" for value in seen["mean"])),
            ("deviation, RGB", ", ".join(f"{value:.4g}" for value in seen["std"])),
        ],
        note="The structure only: weights were not loaded.",
    )
