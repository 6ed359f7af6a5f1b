"""Which choices of training matter: variants of the default recipe and the authors' own, planted subjects.

    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER            # everything; hours on two cores
    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER --cases 2300:0.2:32 --variants default paper
    python benchmarks/ablation.py PHOTOGRAPHS --work FOLDER --page docs/training.md   # into its table

Every case is a subject SIMULATED from real CLIP tokens of six views of each photograph, over the voxels of
NSD's streams mask where ``FACTORTOPY_SHARED_DATA`` has it: so many training images, one noise ceiling for
all voxels, so many planted channels. Views of one photograph stay on one side of the split. Results are
appended to ``FOLDER/results.jsonl``, and what is there is not run again. The last line is one JSON object.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from factortopy.analysis import fit_slope, layer_position, shares
from factortopy.analysis.scores import r_squared
from factortopy.brain import Split, Subject, simulate_subject
from factortopy.files import remove
from factortopy.fitting import (
    Checkpoint,
    Images,
    Machine,
    StandardisedResponses,
    build_selectors,
    fit_settings,
    train_default,
    train_paper,
)
from factortopy.images import ImageSet
from factortopy.networks import Tokens, load_network
from factortopy.tokens import TokenStore, extract

NETWORK = "clip-b16-openai"
CROPS = {  # left, upper, right, lower, as fractions of the photograph
    "whole": (0, 0, 1, 1),
    "upper-left": (0, 0, 0.75, 0.75),
    "upper-right": (0.25, 0, 1, 0.75),
    "lower-left": (0, 0.25, 0.75, 1),
    "lower-right": (0.25, 0.25, 1, 1),
    "middle": (0.125, 0.125, 0.875, 0.875),
}
HELD_OUT = 160
"""Photographs to validate with, and as many to test with."""
CASES = (
    "500:0.2:32",
    "2300:0.05:32",
    "2300:0.2:32",
    "2300:0.2:8",
    "2300:0.6:32",
    "8000:0.05:32",
    "8000:0.6:32",
)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no closed-form start": {"start": False},
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
    "weight decay / 10": {"align_decay": 0.01, "channel_decay": 0.01},
    "weight decay x 10": {"align_decay": 1.0, "channel_decay": 1.0},
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


def views(photographs: Path) -> ImageSet:
    """Six views of every photograph: all whole ones first."""
    files = sorted(photographs.glob("*.jpg"), key=lambda file: (len(file.stem), file.stem))
    ids = [f"{file.stem}-{crop}" for crop in CROPS for file in files]

    def load(name: str) -> Image.Image:
        stem, _, crop = name.partition("-")
        photograph = Image.open(photographs / f"{stem}.jpg").convert("RGB")
        sides = photograph.size * 2
        return photograph.crop(
            tuple(round(part * side) for part, side in zip(CROPS[crop], sides, strict=True))
        )

    groups = tuple(name.partition("-")[0] for name in ids)
    return ImageSet("views of photographs", tuple(ids), load, groups)


def split_views(tokens: TokenStore, images: int, seed: int = 0) -> Split:
    """``images`` views to train on, the whole views of other photographs to validate and test with."""
    groups = list(dict.fromkeys(tokens.image_groups or ()))
    held = np.random.default_rng(seed).permutation(groups)[: 2 * HELD_OUT]
    pairs = list(zip(tokens.image_ids, tokens.image_groups or (), strict=True))
    whole = [pair for pair in pairs if pair[0].endswith("-whole")]
    training = [name for name, group in pairs if group not in set(held)]
    if len(training) < images:
        raise SystemExit(f"only {len(training)} views can train; asked for {images}")
    sides = [[name for name, group in whole if group in set(part)] for part in np.split(held, 2)]
    return Split(tuple(training[:images]), tuple(sides[0]), tuple(sides[1]))


def streams(subject: Subject) -> Subject:
    """The subject's voxels within NSD's streams mask, where it can be had."""
    shared = os.environ.get("FACTORTOPY_SHARED_DATA")
    if not shared:
        return subject
    masks = {
        side: np.load(Path(shared) / "nsd_rois_fsaverage" / f"{short}.streams.npy") > 0
        for side, short in (("left", "lh"), ("right", "rh"))
    }
    pairs = zip(subject.hemisphere, subject.vertex, strict=True)
    # The first vertices of fsaverage7 are those of fsaverage5.
    return subject.select(np.array([masks[str(side)][vertex] for side, vertex in pairs]))


class Laboratory:
    """Planted subjects over one store of tokens."""

    def __init__(self, tokens: TokenStore, work: Path) -> None:
        self.tokens, self.work = tokens, work
        self.place = {name: index for index, name in enumerate(tokens.image_ids)}

    @cache  # noqa: B019 (one laboratory a process)
    def subject(self, ceiling: float, channels: int) -> Subject:
        """A subject with one noise ceiling everywhere."""
        sizes = simulate_subject(_first(self.tokens, 50), planted_channels=channels, progress=False)
        everywhere = np.full(sizes.voxels, ceiling)
        return streams(simulate_subject(self.tokens, planted_channels=channels, noise_ceiling=everywhere))

    @cache  # noqa: B019
    def read(self, side: tuple[str, ...]) -> Tokens:
        """Tokens of images, kept in memory."""
        return self.tokens.read([self.place[name] for name in side])

    def run(self, case: Case, variant: str) -> dict[str, Any]:
        """Fit one variant to one case."""
        changes = dict(VARIANTS[variant])
        start, recipe = changes.pop("start", True), changes.pop("recipe", "default")
        machine = Machine.choose("cpu", changes.pop("precision", None if recipe == "default" else "fp32"))
        settings = fit_settings(recipe, **changes)
        subject, split = self.subject(case.ceiling, case.channels), split_views(self.tokens, case.images)
        train, validation, test = self.sides(subject, split)
        places = torch.from_numpy(subject.coordinates).float()
        bounds = torch.from_numpy(subject.coordinate_bounds)
        unstarted = build_selectors(settings, places, bounds, len(self.tokens.layers))
        folder = self.work / "checkpoints" / f"{case} {variant}".replace(":", "-").replace("/", "over")
        begun = time.perf_counter()
        trainer = train_paper if recipe == "paper" else train_default
        model, history = trainer(
            train,
            validation,
            settings,
            places,
            bounds,
            None if start else unstarted,
            machine=machine,
            checkpoint=Checkpoint(folder, f"{case} {variant}"),
            description=variant[:20],
        )
        seconds = time.perf_counter() - begun
        remove(folder)
        held_out = shares(model, lambda: test.batches(64))
        rows = np.array([self.place[name] for name in split.test])
        truth = subject.truth
        if truth is None:
            raise SystemExit("the subject is not simulated")
        responses = test.responses[torch.arange(len(test))].numpy()
        depth = layer_position(held_out.layer.numpy())
        planted = layer_position(truth.layer_share)
        space = model.select().space.detach().numpy()
        return {
            "case": str(case),
            "variant": variant,
            "voxels": subject.voxels,
            "r2": float(r_squared(responses, held_out.predictions.numpy()).mean()),
            "ceiling_r2": float(r_squared(subject.responses[rows], truth.signal[rows]).mean()),
            "slope_error": fit_slope(depth, subject.rois).slope - fit_slope(planted, subject.rois).slope,
            "depth_r": _correlation(depth, planted),
            "space_r": min(_correlation(space[:, axis], truth.space[:, axis]) for axis in (0, 1)),
            "scale_r": _correlation(held_out.scale.numpy(), truth.scale_share),
            "seconds": seconds,
            "training_seconds": history.seconds,  # a stopped and resumed training counts both parts
            "step": history.step,
            "validation_r2": history.validation_r2,
            "best_step": history.best_step,
            "batch_size": settings.batch_size,
        }

    def sides(self, subject: Subject, split: Split) -> list[Images]:
        """Images of every side, with responses z-scored by the training images."""
        names = (split.train, split.validation, split.test)
        rows = [np.array([self.place[name] for name in side]) for side in names]
        responses = StandardisedResponses.by_training(subject.responses, rows[0])
        return [
            Images(_reader(self.read(side)), responses.of(row)) for side, row in zip(names, rows, strict=True)
        ]


def _reader(tokens: Tokens) -> Any:
    return lambda chosen: tokens[chosen]


class _First:
    """The first images of a store: enough to learn how many voxels a simulated subject has."""

    def __init__(self, tokens: TokenStore, count: int) -> None:
        self.network, self.layers, self.channels, self.grid = (
            tokens.network,
            tokens.layers,
            tokens.channels,
            tokens.grid,
        )
        self.image_ids, self.read = tokens.image_ids[:count], tokens.read


def _first(tokens: TokenStore, count: int) -> _First:
    return _First(tokens, count)


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    valid = np.isfinite(left) & np.isfinite(right)
    return float(np.corrcoef(left[valid], right[valid])[0, 1])


def table(results: list[dict[str, Any]]) -> str:
    """Results as Markdown, one row a fit."""
    heads = ("images", "ceiling", "channels", "training", "steps x images", "R²", "of ceiling", "slope error")
    heads = (*heads, "depth r", "space r", "scale r", "seconds")
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    order = {str(Case.parse(case)): place for place, case in enumerate(CASES)}
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
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def write_table(page: Path, rows: str) -> None:
    """Put the table between its two marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- table: benchmarks/ablation.py -->\n")
    after = rest.partition("<!-- end -->")[2]
    text = f"{before}<!-- table: benchmarks/ablation.py -->\n{rows}\n<!-- end -->{after}"
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Run what is asked for and not yet done; print the table and a JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="folder of .jpg files")
    parser.add_argument("--work", type=Path, required=True, help="folder of tokens and results")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="IMAGES:CEILING:CHANNELS")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--page", type=Path, help="run nothing; write the table into this page")
    options = parser.parse_args()
    file = options.work / "results.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    results = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    if options.page is None:
        tokens = extract(load_network(NETWORK), views(options.photographs), options.work / "tokens")
        laboratory = Laboratory(tokens, options.work)
        for case in options.cases:
            for variant in options.variants:
                if any((found["case"], found["variant"]) == (case, variant) for found in results):
                    continue
                results.append(laboratory.run(Case.parse(case), variant))
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(results[-1]) + "\n")
                print(
                    json.dumps({key: value for key, value in results[-1].items() if key != "step"}),
                    flush=True,
                )
    else:
        write_table(options.page, table(results))
    print(table(results))
    print(json.dumps({"fits": len(results), "network": NETWORK, "simulated": True}))


if __name__ == "__main__":
    main()
