"""One training step of the paper's model, forward and backward: the fast read-outs against the plain formula.

    python benchmarks/readout.py                        # a quarter of the paper's voxels, a minute or two
    python benchmarks/readout.py --voxels 37984         # the paper's scale; the plain formula takes 5 GB
    python benchmarks/readout.py --sweep --chart cost.png  # over voxels, layers, batch and grid
    python benchmarks/readout.py --device cuda

A step is everything: channel align, selectors of all voxels, read-out, and their gradients. All forms run in
this process on the same inputs. The plain formula runs on fewer images at a time, as it would not fit into
memory otherwise; times are per image, the median of the repeats. The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.model.readout import Form, choose_form
from factortopy.networks import Tokens
from measure import PeakMemory, make_model, make_tokens, wait_for


@dataclass(frozen=True)
class Size:
    """How large a step is."""

    voxels: int = 9_496
    layers: int = 12
    channels: int = 768
    grid: int = 8
    batch: int = 32


@dataclass(frozen=True)
class Cost:
    """What a step took: milliseconds an image, peak GB, and what it predicted."""

    milliseconds: float
    gigabytes: float
    predictions: np.ndarray


SWEEP = {
    "voxels": (1_000, 4_000, 16_000, 64_000, 300_000),
    "layers": (12, 24, 40),
    "batch": (8, 32, 128),
    "grid": (8, 12, 16),
}
SMALL = Size(voxels=4_000, channels=256)
"""Where the other three are varied."""


def measure(model: FactorTopy, tokens: Tokens, form: Form, machine: Machine, repeats: int) -> Cost:
    """Cost of a step with one form; a first step warms up and is not counted."""
    model.form, seconds = form, []
    step(model, tokens[:1], machine)
    with PeakMemory(machine.device) as memory:
        for _ in range(repeats):
            start = time.perf_counter()
            predictions = step(model, tokens, machine)
            seconds.append(time.perf_counter() - start)
    per_image = 1e3 * float(np.median(seconds)) / len(tokens)
    return Cost(per_image, memory.gigabytes, predictions.float().cpu().numpy())


def step(model: FactorTopy, tokens: Tokens, machine: Machine) -> torch.Tensor:
    """Predictions and all gradients."""
    model.zero_grad(set_to_none=True)
    with machine.autocast():
        predictions = model(tokens)
    predictions.square().mean().backward()
    wait_for(machine.device)
    return predictions.detach()


def compare(size: Size, device: torch.device, repeats: int, plain_batch: int) -> dict[str, Any]:
    """Costs of the plain formula in float32 and of the form for this device in both precisions."""
    model = make_model(size.voxels, size.layers, size.channels).to(device)
    tokens = make_tokens(size.batch, size.layers, size.channels, size.grid).to(device)
    form = choose_form(device, size.grid, size.grid)
    machines = {precision: Machine(device, precision, 0) for precision in ("fp32", "bf16")}
    costs = {name: measure(model, tokens, form, machine, repeats) for name, machine in machines.items()}
    few = min(plain_batch, size.batch)
    plain = measure(model, tokens[:few], "plain", machines["fp32"], 1)
    largest = np.abs(plain.predictions).max()
    errors = {name: np.abs(cost.predictions[:few] - plain.predictions).max() for name, cost in costs.items()}
    return {
        **vars(size),
        "form": form,
        "plain_batch": few,
        "plain_ms": plain.milliseconds,
        "fp32_ms": costs["fp32"].milliseconds,
        "bf16_ms": costs["bf16"].milliseconds,
        "speedup_fp32": plain.milliseconds / costs["fp32"].milliseconds,
        "speedup_bf16": plain.milliseconds / costs["bf16"].milliseconds,
        "plain_gb": plain.gigabytes,
        "fp32_gb": costs["fp32"].gigabytes,
        "bf16_gb": costs["bf16"].gigabytes,
        "memory_ratio": costs["fp32"].gigabytes / plain.gigabytes,
        "max_abs_error_fp32": float(errors["fp32"]),
        "max_relative_error_bf16": float(errors["bf16"] / largest),
    }


HEAD = (
    f"{'voxels':>8}{'layers':>7}{'batch':>6}{'grid':>5}{'plain ms':>10}{'fp32 ms':>9}{'bf16 ms':>9}"
    f"{'fp32 x':>8}{'bf16 x':>8}{'plain GB':>10}{'our GB':>8}"
)


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    return (
        f"{row['voxels']:>8,}{row['layers']:>7}{row['batch']:>6}{row['grid']:>5}{row['plain_ms']:>10.1f}"
        f"{row['fp32_ms']:>9.2f}{row['bf16_ms']:>9.2f}{row['speedup_fp32']:>8.1f}{row['speedup_bf16']:>8.1f}"
        f"{row['plain_gb']:>10.2f}{row['fp32_gb']:>8.2f}"
    )


def sweep(device: torch.device, repeats: int) -> list[dict[str, Any]]:
    """One size varied at a time, the others as in ``SMALL``, each in a process of its own for its memory."""
    rows = []
    for name, values in SWEEP.items():
        for value in values:
            size = replace(SMALL, **{name: value})
            # The plain formula on as many images as take some 2 GB.
            few = max(1, min(size.batch, 16_000 * 12 * 4 // (size.voxels * size.layers)))
            sizes = [f"--{key}={number}" for key, number in vars(size).items()]
            options = [f"--plain-batch={few}", f"--repeats={repeats}", f"--device={device}"]
            command = [sys.executable, __file__, *sizes, *options]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(finished.stdout.splitlines()[-1]) | {"varied": name})
            print(line(rows[-1]), flush=True)
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Milliseconds an image against each size that was varied."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(SWEEP), figsize=(11, 3.1), sharey=True, layout="constrained")
    labels = {"plain_ms": "plain formula, float32", "fp32_ms": "ours, float32", "bf16_ms": "ours, bfloat16"}
    styles = {"plain_ms": ("#000000", "o", "-"), "fp32_ms": ("#0072b2", "s", "-"), "bf16_ms": ("#d55e00", "^", "--")}
    for panel, name in zip(panels, SWEEP, strict=True):
        chosen = [row for row in rows if row["varied"] == name]
        for key, label in labels.items():
            colour, marker, dashes = styles[key]
            panel.loglog(
                [row[name] for row in chosen],
                [row[key] for row in chosen],
                color=colour,
                marker=marker,
                linestyle=dashes,
                label=label,
            )
        ticks = [row[name] for row in chosen]
        panel.set_xticks(ticks, [f"{tick // 1000}k" if tick >= 1000 else str(tick) for tick in ticks], minor=False)
        panel.set_xticks([], minor=True)
        panel.set_xlabel({"grid": "grid (tokens a side)", "batch": "images a step"}.get(name, name))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("ms an image, one training step")
    panels[0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--plain-batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sweep", action="store_true", help="many sizes instead of one")
    parser.add_argument("--chart", type=Path, help="with --sweep: a figure of the costs")
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"{device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}\n{HEAD}")
    if options.sweep:
        rows = sweep(device, options.repeats)
        if options.chart:
            draw(rows, options.chart)
        summary = {"rows": rows}
    else:
        size = Size(**{name: getattr(options, name) for name in vars(Size())})
        row = compare(size, device, options.repeats, options.plain_batch)
        print(line(row))
        summary = row
    print(json.dumps({"device": str(device), **summary}))


if __name__ == "__main__":
    main()
