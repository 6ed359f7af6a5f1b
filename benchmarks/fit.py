"""A whole fit: the default recipe against the authors', in steps, images and seconds to the same score.

    python benchmarks/fit.py                        # some ten minutes on two cores, tokens included
    python benchmarks/fit.py --device cuda --voxels 4000

Both learn the same SIMULATED subject from real CLIP tokens of the sample photographs. The authors' recipe
trains until five looks in a row are no better; its steps run in the fast read-out, which changes no number
beyond rounding, and are charged the time that the plain formula takes for a step on this machine, measured
in this run. The last line is one JSON object: ``steps_ratio`` is our steps to their best R^2 on the
validation images over theirs; ``r2`` and ``plain_r2`` are of held-out test images.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from factortopy.fitting import FitSettings, History, fit_settings
from factortopy.images import sample_views, split_images
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.networks import load_network
from factortopy.simulation import simulate_subject
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore, extract
from factortopy.workflow import Fit, fit_model
from measure import PeakMemory, wait_for

NETWORK = "clip-b16-openai"
LOOK = 10
"""Steps between two looks of ours, so that the step of a score is known to so many."""


@dataclass(frozen=True)
class Result:
    """A fit with what it took."""

    fit: Fit
    seconds: float
    gigabytes: float

    @property
    def history(self) -> History:
        """What was seen while training."""
        return self.fit.history

    @property
    def r2(self) -> float:
        """Mean R^2 of the test images."""
        return float(self.fit.mapping.dataset["r2"].mean())


def run(tokens: TokenStore, subject: Subject, settings: FitSettings, machine: Machine) -> Result:
    """Fit and score."""
    split = split_images(tokens.image_ids, tokens.image_groups)
    start = time.perf_counter()
    with PeakMemory(machine.device) as memory:
        fit = fit_model(tokens, subject, settings, split=split, machine=machine, description=settings.recipe)
    return Result(fit, time.perf_counter() - start, memory.gigabytes)


def plain_step_seconds(model: FactorTopy, tokens: TokenStore, settings: FitSettings, machine: Machine) -> float:
    """Seconds of one step of the authors' recipe with the plain formula (median of three)."""
    model.to(machine.device).form = "plain"
    batch = tokens.read(range(settings.batch_size)).to(machine.device)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        model.zero_grad(set_to_none=True)
        model(batch).square().mean().backward()
        wait_for(machine.device)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def first_step(history: History, score: float) -> int | None:
    """The first look that saw at least this score; None if none did."""
    reached = (step for step, seen in zip(history.step, history.validation_r2, strict=True) if seen >= score)
    return next(reached, None)


def main() -> None:
    """Run both recipes; print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=720)
    parser.add_argument("--voxels", type=int, default=1_000)
    parser.add_argument("--planted-channels", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder where the tokens are kept, for another run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.work or Path(temporary)) / f"tokens-{options.images}"
        views = sample_views(options.images)
        tokens = extract(load_network(NETWORK, device=options.device), views, folder)
        subject = simulate_subject(tokens, seed=options.seed, planted_channels=options.planted_channels)
        chosen = np.linspace(0, len(subject.voxels) - 1, min(options.voxels, len(subject.voxels))).astype(int)
        report(tokens, subject.select(chosen), options.device, options.seed)


def report(tokens: TokenStore, subject: Subject, device: str, seed: int) -> None:
    """Both recipes on one subject."""
    machine, exact = Machine.choose(device), Machine.choose(device, "fp32")
    ours_settings = fit_settings("default", seed=seed, validate_every=LOOK)
    plain_settings = fit_settings("paper", seed=seed)
    ours = run(tokens, subject, ours_settings, machine)
    plain = run(tokens, subject, plain_settings, exact)
    by_step = plain_step_seconds(plain.fit.model, tokens, plain_settings, exact)
    best = max(plain.history.validation_r2)
    step = first_step(ours.history, best)
    plain_seconds = by_step * plain.history.best_step
    images = ours.history.step[-1] * ours_settings.batch_size
    print(f"{len(subject.voxels):,} voxels, SIMULATED; {len(tokens)} images; {machine.device}, {machine.precision}")
    print(f"{'':<22}{'authors, plain':>16}{'ours':>10}")
    print(f"{'best step':<22}{plain.history.best_step:>16}{ours.history.best_step:>10}")
    print(f"{'steps to their best':<22}{plain.history.best_step:>16}{step or 'never':>10}")
    print(f"{'images a step':<22}{plain_settings.batch_size:>16}{ours_settings.batch_size:>10}")
    print(f"{'held-out R2':<22}{plain.r2:>16.4f}{ours.r2:>10.4f}")
    print(f"{'seconds to best':<22}{plain_seconds:>16.0f}{ours.seconds:>10.0f}")
    print(
        json.dumps(
            {
                "steps_ratio": None if step is None else step / plain.history.best_step,
                "images_ratio": None
                if step is None
                else step * ours_settings.batch_size / (plain.history.best_step * plain_settings.batch_size),
                "r2": ours.r2,
                "plain_r2": plain.r2,
                "images_per_second": images / ours.history.seconds,
                "waiting_share": ours.history.waited / ours.history.seconds,
                "fit_seconds": ours.seconds,
                "plain_seconds": plain_seconds,
                "speedup": plain_seconds / ours.seconds,
                "peak_gb": ours.gigabytes,
                "voxels": len(subject.voxels),
                "simulated": True,
                "device": str(machine.device),
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
