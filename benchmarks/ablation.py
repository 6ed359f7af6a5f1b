"""Which choices of training matter: variants of the default recipe and the authors' own, planted subjects.

    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER            # everything; hours on two cores
    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER --cases 2300:0.2:32 --variants default paper
    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER --page docs/training.md   # into its table

Every case is a subject SIMULATED from real tokens, CLIP's without ``--tokens``, of views of the photographs, over the
voxels of NSD's streams mask where ``FACTORTOPY_SHARED_DATA`` has it: so many training images, one noise ceiling for
all voxels, so many planted channels. Views of one photograph stay on one side of the split. Results are
appended to ``FOLDER/results.jsonl``, and what is there is not run again. The last line is one JSON object.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from factortopy.analysis import AlignedBatches, fit_slope, layer_position, r_squared, shares
from factortopy.fitting import Examples, build_selectors, fit_settings, split_examples, train_model
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.storage import Checkpoint, remove
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from laboratory import NETWORK, Laboratory, Results, correlation, markdown, write_table

CASES = ("500:0.2:32", "2300:0.05:32", "2300:0.2:32", "2300:0.2:8", "2300:0.6:32", "8000:0.05:32", "8000:0.6:32")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "channels as trained": {"closed_form": False},
    "no parcels": {"parcels": 0},
    "no closed-form start": {"start": False},
    "selectors not held": {"hold_steps": 0},
    "one decay at any noise": {"decay_by_noise": False},
    "one learning rate": {"space_learning_rate": 1e-2, "selector_learning_rate": 1e-2},
    "no warm-up": {"warmup_steps": 0},
    "no cosine": {"cosine": False},
    "600 steps": {"steps": 600},
    "16 images a step": {"batch_size": 16},
    "256 images a step": {"batch_size": 256},
    "width 32": {"width": 32},
    "width 128": {"width": 128},
    "64 components": {"components": 64},
    "128 components": {"components": 128},
    "512 components": {"components": 512},
    "no damping": {"damping": 1e-6},
    "weight decay / 10": {"align_decay": 0.015, "channel_decay": 0.015},
    "weight decay x 10": {"align_decay": 1.5, "channel_decay": 1.5},
    "float32": {"precision": "fp32"},
    "paper": {"recipe": "paper"},
}


@dataclass(frozen=True)
class Case:
    """A planted subject: training images, noise ceiling of all voxels, planted channels."""

    images: int
    ceiling: float
    channels: int

    @classmethod
    def parse(cls, text: str) -> "Case":
        """From ``IMAGES:CEILING:CHANNELS``."""
        images, ceiling, channels = text.split(":")
        return cls(int(images), float(ceiling), int(channels))

    def __str__(self) -> str:
        return f"{self.images}:{self.ceiling}:{self.channels}"


def run(laboratory: Laboratory, case: Case, variant: str) -> dict[str, Any]:
    """Fit one variant to one case."""
    changes = dict(VARIANTS[variant])
    start, recipe = changes.pop("start", True), changes.pop("recipe", "default")
    machine = Machine.choose("cpu", changes.pop("precision", None if recipe == "default" else "fp32"))
    settings = fit_settings(recipe, **changes)
    subject, split = laboratory.subject(case.ceiling, case.channels), laboratory.split(case.images)
    train, validation, test = split_examples(laboratory.tokens(), subject, split).values()
    places = torch.from_numpy(subject.voxels.coordinates).float()
    bounds = torch.from_numpy(subject.voxels.bounds)
    unstarted = build_selectors(settings, places, bounds, len(laboratory.tokens().layers))
    folder = laboratory.work / "checkpoints" / f"{case} {variant}".replace(":", "-").replace("/", "over")
    begun = time.perf_counter()
    model, history, *_ = train_model(
        settings,
        train,
        validation,
        places,
        bounds,
        None if start else unstarted,
        machine=machine,
        checkpoint=Checkpoint(folder, f"{case} {variant}"),
        description=variant[:20],
    )
    seconds = time.perf_counter() - begun
    remove(folder)
    found = measure(model, test, subject, split)
    return {
        "case": str(case),
        "variant": variant,
        "voxels": len(subject.voxels),
        **found,
        "seconds": seconds,
        "training_seconds": history.seconds,  # a stopped and resumed training counts both parts
        "step": history.step,
        "validation_r2": history.validation_r2,
        "best_step": history.best_step,
        "batch_size": settings.batch_size,
    }


def measure(model: FactorTopy, test: Examples, subject: Subject, split: Split) -> dict[str, float]:
    """Score of a model on held-out images, and what it found beside what was planted."""
    truth = subject.truth
    if truth is None:
        raise SystemExit("the subject is not simulated")
    held_out = shares(model, AlignedBatches(model, lambda: test.batches(64)))
    place = {name: row for row, name in enumerate(subject.image_ids)}
    rows = np.array([place[name] for name in split.test])
    responses = test.all_responses().numpy()
    depth = layer_position(held_out.layer.numpy())
    planted = layer_position(truth.layer_share)
    space = model.select().space.detach().numpy()
    return {
        "r2": float(r_squared(responses, held_out.predictions.numpy()).mean()),
        "ceiling_r2": float(r_squared(subject.responses[rows], truth.signal[rows]).mean()),
        "slope_error": fit_slope(depth, subject.voxels.rois).slope - fit_slope(planted, subject.voxels.rois).slope,
        "depth_r": correlation(depth, planted),
        "space_r": min(correlation(space[:, axis], truth.space[:, axis]) for axis in (0, 1)),
        "scale_r": correlation(held_out.scale.numpy(), truth.scale_share),
    }


def table(results: list[dict[str, Any]]) -> str:
    """Results as Markdown, one row a fit."""
    facts = ("images", "ceiling", "channels", "training", "steps x images", "R²", "of ceiling", "slope error")
    heads = (*facts, "depth r", "space r", "scale r", "seconds")
    order = {str(Case.parse(case)): place for place, case in enumerate(CASES)}
    rows = []
    for found in sorted(results, key=lambda item: (order.get(item["case"], len(order)), -item["r2"])):
        case = Case.parse(found["case"])
        cells = (
            f"{case.images:,}",
            case.ceiling,
            case.channels,
            found["variant"],
            f"{found['best_step']:,} x {found['batch_size']}",
            f"{found['r2']:.3f}",
            f"{found['r2'] / found['ceiling_r2']:.2f}",
            f"{found['slope_error']:+.3f}",
            *(f"{found[name]:.3f}" for name in ("depth_r", "space_r", "scale_r")),
            f"{found['seconds']:.0f}",
        )
        rows.append(cells)
    return markdown(heads, rows)


def main() -> None:
    """Run what is asked for and not yet done; print the table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder of .jpg files")
    parser.add_argument("--work", type=Path, required=True, help="folder of tokens and results")
    parser.add_argument("--tokens", type=Path, help="token store to use instead of WORK/tokens")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="IMAGES:CEILING:CHANNELS")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--page", type=Path, help="run nothing; write the table into this page")
    options = parser.parse_args()
    results = Results(options.work / "results.jsonl")
    given = None if options.tokens is None else TokenStore.open(options.tokens)
    if options.page is None:
        cases = [Case.parse(text) for text in options.cases]
        most = max(case.images for case in cases)
        laboratory = Laboratory(options.photographs, most, options.work, given)
        for case in cases:
            for variant in options.variants:
                if not results.has(case=str(case), variant=variant):
                    results.add(run(laboratory, case, variant))
    else:
        write_table(options.page, "ablation.py", table(results.rows))
    print(table(results.rows))
    network = NETWORK if given is None else given.network
    print(json.dumps({"fits": len(results.rows), "network": network, "simulated": True}))


if __name__ == "__main__":
    main()
