"""Peak memory of a fit as the images grow, with tokens read from disk; beside it the plain formula's.

    python benchmarks/memory.py                               # some three minutes on two cores
    python benchmarks/memory.py --images 2000 --voxels 9496 --channels 768

Every fit runs in a process of its own, on a token store of random numbers, and is allowed no memory for
tokens, so that all of them stream from disk. Peaks are of the whole process above what it holds once the
libraries are loaded. The last line is one JSON object: ``peak_gb`` is the peak of the default recipe,
``growth`` the same at four times the images over it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from factortopy.cortex import Voxels
from factortopy.fitting import Examples, fit_settings, train
from factortopy.images import ImageSet, split_images
from factortopy.machine import Machine
from factortopy.networks import Preprocessing, network_from_function
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import fit_model
from measure import make_model

LAYERS, GRID, STEPS = 12, 8, 20
GROWTH = 4
KINDS = ("ours", "plain")


def make_store(folder: Path, images: int, channels: int) -> None:
    """A token store of random numbers."""

    def tokens(batch: torch.Tensor) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(int(batch.sum().abs() * 1e3))
        shape = (len(batch), channels, GRID, GRID)
        return {f"layer.{number}": torch.randn(shape, generator=generator) for number in range(LAYERS)}

    def picture(name: str) -> Image.Image:
        noise = np.random.default_rng(int(name)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Image.fromarray(noise)

    seen = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
    network = network_from_function(tokens, seen, "random numbers")
    names = tuple(f"{number:06d}" for number in range(images))
    extract(network, ImageSet("noise", names, picture), folder, (GRID, GRID), progress=False)


def run(folder: Path, kind: str, voxels: int) -> dict[str, float]:
    """One fit in this process: its peak memory in GB above the libraries', and seconds a step."""
    tokens = TokenStore.open(folder)
    generator = np.random.default_rng(0)
    machine = Machine.choose("cpu", "fp32", memory_gb=0)
    settings = fit_settings("default", steps=STEPS, validate_every=STEPS, batch_size=32)
    before = _peak()
    responses = generator.standard_normal((len(tokens), voxels), dtype=np.float32)
    if kind == "ours":
        places = generator.uniform(0, 100, (voxels, 3)).astype(np.float32)
        subject = Subject(name="noise", responses=responses, image_ids=tokens.image_ids, voxels=Voxels.at(places))
        history = fit_model(tokens, subject, settings, machine=machine, progress=False).history
        seconds, steps = history.seconds, STEPS
    else:
        split = split_images(tokens.image_ids)
        rows = {name: row for row, name in enumerate(tokens.image_ids)}
        sides = []
        for names in (split.train, split.validation):
            chosen = np.array([rows[name] for name in names])
            values = torch.from_numpy(responses[chosen])
            read = _reader(tokens, chosen)
            sides.append(Examples(read, values, resident=False))
        model = make_model(voxels, LAYERS, tokens.channels[0])
        model.form = "plain"
        few = fit_settings("paper", steps=3, validate_every=3)
        start = time.perf_counter()
        train(model, sides[0], Examples(sides[1].read, sides[1].responses[:8]), few, machine, progress=False)
        seconds, steps = time.perf_counter() - start, 3
    return {"gb": _peak() - before, "seconds_a_step": seconds / steps}


def _reader(tokens: TokenStore, rows: np.ndarray) -> Any:
    return lambda chosen: tokens.read(rows[chosen.numpy()])


def _peak() -> float:
    """Largest memory that this process has held so far, GB."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9


def in_a_process(folder: Path, kind: str, voxels: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--child", kind, "--store", str(folder), "--voxels", str(voxels)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the fits and print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4_000)
    parser.add_argument("--voxels", type=int, default=1_000)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run(options.store, options.child, options.voxels)))
        return
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        make_store(few, options.images, options.channels)
        make_store(many, GROWTH * options.images, options.channels)
        ours = in_a_process(few, "ours", options.voxels)
        larger = in_a_process(many, "ours", options.voxels)
        plain = in_a_process(few, "plain", options.voxels)
    print(f"{options.voxels:,} voxels, {LAYERS} layers x {options.channels} channels, cpu, float32")
    print(f"{'fit':<24}{'images':>8}{'images a step':>15}{'peak GB':>9}")
    print(f"{'plain formula':<24}{options.images:>8}{8:>15}{plain['gb']:>9.2f}")
    print(f"{'ours':<24}{options.images:>8}{32:>15}{ours['gb']:>9.2f}")
    print(f"{'ours':<24}{GROWTH * options.images:>8}{32:>15}{larger['gb']:>9.2f}")
    print(
        json.dumps(
            {
                "peak_gb": ours["gb"],
                "growth": larger["gb"] / ours["gb"],
                "plain_gb": plain["gb"],
                "images": options.images,
                "voxels": options.voxels,
                "device": "cpu",
            }
        )
    )


if __name__ == "__main__":
    main()
