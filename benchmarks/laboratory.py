"""What the benchmarks on planted subjects share: views, splits, subjects over real tokens, kept results."""

import csv
import json
import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from factortopy.errors import DataError
from factortopy.images import ImageSet, Split, sample_views
from factortopy.networks import load_network
from factortopy.simulation import simulate_subject
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore, extract

NETWORK = "clip-b16-openai"
OTHER_NETWORK = "dinov2-s14-focus"
CROPS = {  # left, upper, right, lower, as fractions of the photograph
    "whole": (0, 0, 1, 1),
    "upper-left": (0, 0, 0.75, 0.75),
    "upper-right": (0.25, 0, 1, 0.75),
    "lower-left": (0, 0.25, 0.75, 1),
    "lower-right": (0.25, 0.25, 1, 1),
    "middle": (0.125, 0.125, 0.875, 0.875),
    "mirrored": (0, 0, 1, 1),
}
HELD_OUT = 160
"""Photographs to validate with, and as many to test with; at most a tenth of all."""
SAMPLES = 5_000
KINDS: dict[str, dict[str, Any]] = {
    "smooth": {},
    "one-layer": {"mixture": "one"},
    "two-layers": {"mixture": "two"},
    "sharp": {"areas": "sharp"},
    "normalised": {"normalisation": 0.5},
    "other-network": {},
    "real": {},
}
"""What is planted beyond the default, by the name of the kind."""
REAL_REGIONS = {
    "V1": ("V1v", "V1d"),
    "V2V3": ("V2v", "V2d", "V3v", "V3d"),
    "V4": ("hV4",),
    "OPA": ("OPA",),
    "EBA": ("EBA",),
    "FFA": ("FFA-1", "FFA-2"),
    "PPA": ("PPA",),
}
PEAKED = 0.02
"""A layer whose measured score is lower than the best one's by this is planted with 1 / e of its weight."""


def shared_data() -> Path | None:
    """Masks, ceilings and photographs that cannot be part of the project, where they can be had."""
    named = os.environ.get("FACTORTOPY_SHARED_DATA")
    return Path(named) if named else None


def views(photographs: Path | None) -> ImageSet:
    """Seven views of every photograph, all whole ones first; without photographs the sample views.

    Args:
        photographs: folder of .jpg files.
    """
    shared = shared_data()
    if photographs is None and shared is not None:
        photographs = shared / "kay2008_stimuli"
    if photographs is None:
        return sample_views(SAMPLES)
    files = sorted(photographs.glob("*.jpg"), key=lambda file: (len(file.stem), file.stem))
    ids = [f"{file.stem}-{crop}" for crop in CROPS for file in files]
    groups = tuple(name.partition("-")[0] for name in ids)
    return ImageSet(photographs.name, tuple(ids), lambda name: _view(photographs, name), groups)


def _view(photographs: Path, name: str) -> Image.Image:
    stem, _, crop = name.partition("-")
    photograph = Image.open(photographs / f"{stem}.jpg").convert("RGB")
    sides = photograph.size * 2
    box = [round(part * side) for part, side in zip(CROPS[crop], sides, strict=True)]
    view = photograph.crop((box[0], box[1], box[2], box[3]))
    return ImageOps.mirror(view) if crop == "mirrored" else view


def split_views(ids: tuple[str, ...], groups: tuple[str, ...], images: int, seed: int = 0) -> Split:
    """``images`` views to train on, the first views of other photographs to validate and test with."""
    distinct = list(dict.fromkeys(groups))
    count = min(HELD_OUT, len(distinct) // 10)
    held = [set(part) for part in np.split(np.random.default_rng(seed).permutation(distinct)[: 2 * count], 2)]
    pairs = list(zip(ids, groups, strict=True))
    sides = [[name for name, group in pairs if group in part][:HELD_OUT] for part in held]
    known = set.union(*held)
    training = [name for name, group in pairs if group not in known]
    if len(training) < images:
        raise SystemExit(f"only {len(training):,} views can train; asked for {images:,}")
    return Split(tuple(training[:images]), tuple(sides[0]), tuple(sides[1]))


def used_views(images: ImageSet, count: int) -> ImageSet:
    """The views that a split with so many training images takes, and so one with fewer."""
    split = split_views(images.ids, images.groups or images.ids, count)
    taken = {name for side in split.to_dict().values() for name in side}
    return images.subset(name for name in images.ids if name in taken)


def streams(subject: Subject) -> Subject:
    """The subject's voxels within NSD's streams mask, where it can be had."""
    shared = shared_data()
    if shared is None:
        return subject
    masks = {
        side: np.load(shared / "nsd_rois_fsaverage" / f"{short}.streams.npy") > 0
        for side, short in (("left", "lh"), ("right", "rh"))
    }
    pairs = zip(subject.voxels.hemisphere, subject.voxels.vertex, strict=True)
    # The first vertices of fsaverage7 are those of fsaverage5.
    return subject.select(np.array([masks[str(side)][vertex] for side, vertex in pairs]))


class Laboratory:
    """Planted subjects over real tokens.

    Args:
        folder: photographs (.jpg); sample photographs if None. Only the views that ``count`` training
            images take, and those held out, are extracted.
        count: training images of the largest case.
        work: folder of tokens.
        given: tokens of views to use instead of extracting those of the same network.
        voxels: so many voxels, evenly spread; all if None.
    """

    def __init__(
        self, folder: Path | None, count: int, work: Path, given: TokenStore | None = None, voxels: int | None = None
    ) -> None:
        self.folder, self.count, self.work, self.given, self.voxels = folder, count, work, given, voxels

    @cached_property
    def images(self) -> ImageSet:
        """All views."""
        return views(self.folder)

    @property
    def photographs(self) -> str:
        """What the views are of."""
        name = self.images.name if self.given is None else self.given.provenance["image_set"]
        return "the sample photographs" if name.startswith("sample-views") else name

    @lru_cache(maxsize=4)  # noqa: B019 (one laboratory a process)
    def tokens(self, network: str | None = None) -> TokenStore:
        """Tokens of the views: those given or there if they suffice, else extracted."""
        if self.given is not None and network in (None, self.given.network):
            return self.given
        network = network or NETWORK
        needed = used_views(self.images, self.count)
        plain = "tokens" if network == NETWORK else f"tokens-{network.replace('/', '_')}"
        for folder in (self.work / plain, self.work / f"{plain}-{len(needed)}"):
            try:
                store = TokenStore.open(folder)
            except DataError:  # none yet, or one that was stopped
                return extract(load_network(network), needed, folder)
            if set(needed.ids) <= set(store.image_ids):
                return store
        raise SystemExit(f"{folder} holds other views; give another folder to --work")

    def split(self, images: int, network: str | None = None) -> Split:
        """The split with so many training images; validation and test images are always the same."""
        if self.given is not None and network in (None, self.given.network):
            ids, groups = self.given.image_ids, self.given.image_groups
        else:
            ids, groups = self.images.ids, self.images.groups
        return split_views(ids, groups or ids, images)

    @lru_cache(maxsize=1)  # noqa: B019
    def subject(
        self, ceiling: float, channels: int, kind: str = "smooth", network: str | None = None, seed: int = 0
    ) -> Subject:
        """A simulated subject with one noise ceiling everywhere; of the kind "real", with that mean."""
        changes: dict[str, Any] = {"noise_ceiling": ceiling, **KINDS[kind]}
        if kind == "real":
            changes = real_facts(ceiling)
        seen = OTHER_NETWORK if kind == "other-network" else network
        subject = streams(simulate_subject(self.tokens(seen), planted_channels=channels, seed=seed, **changes))
        if self.voxels is None or self.voxels >= len(subject.voxels):
            return subject
        return subject.select(np.linspace(0, len(subject.voxels) - 1, self.voxels).astype(int))


def real_facts(ceiling: float) -> dict[str, Any]:
    """Ceilings of a real subject, scaled to a mean, and the layer profile of real encoding scores."""
    shared = shared_data()
    if shared is None:
        raise SystemExit("the kind 'real' needs FACTORTOPY_SHARED_DATA; leave it out")
    files = [shared / "algonauts2023_ceiling" / f"subj01_{side}.npy" for side in ("lh", "rh")]
    sample = np.concatenate([np.load(file, allow_pickle=False).ravel() for file in files]) / 100
    sample = sample[np.isfinite(sample) & (sample > 0)]
    with (shared / "subj01_layer_by_roi_scores.csv").open(newline="") as lines:
        rows = {row[""]: row for row in csv.DictReader(lines)}
    layers = [row for number in range(12) for name, row in rows.items() if name.startswith(f"DINOv2b+{number}+")]
    profile = {}
    for region, columns in REAL_REGIONS.items():
        scores = np.array([np.mean([float(row[column]) for column in columns]) for row in layers])
        profile[region] = np.exp((scores - scores.max()) / PEAKED)
    return {"ceiling_sample": (sample * ceiling / sample.mean()).clip(1e-4, 1), "profile": profile}


class Results:
    """Results of fits in a file, a JSON object a line: what is there is not run again."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def has(self, **facts: Any) -> bool:
        """Whether there is a result with these facts."""
        return any(all(row.get(name) == value for name, value in facts.items()) for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Keep a result, and print it."""
        self.rows.append(row)
        with self.file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        long = [name for name, value in row.items() if isinstance(value, list) or name == "settings"]
        print(json.dumps({name: value for name, value in row.items() if name not in long}), flush=True)


def correlation(left: np.ndarray, right: np.ndarray) -> float:
    """Correlation over voxels where both are finite."""
    valid = np.isfinite(left) & np.isfinite(right)
    return float(np.corrcoef(left[valid], right[valid])[0, 1])


def markdown(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, cells)) + " |" for cells in rows)])


def write_table(page: Path, script: str, rows: str) -> None:
    """Put a table between the marks of its script."""
    mark = f"<!-- table: benchmarks/{script} -->\n"
    before, found, rest = page.read_text(encoding="utf-8").partition(mark)
    if not found:
        raise SystemExit(f"{page} has no line {mark.strip()}")
    page.write_text(f"{before}{mark}{rows}\n<!-- end -->{rest.partition('<!-- end -->')[2]}", encoding="utf-8")
