"""What a start from another subject's mapping is worth with few images; the last line is one JSON object.

    python benchmarks/transfer.py --work FOLDER                     # photographs are views of the sample ones
    python benchmarks/transfer.py PHOTOGRAPHS --work FOLDER --page docs/transfer.md
    python benchmarks/transfer.py --work FOLDER --show --page docs/transfer.md

Subjects are SIMULATED from a network's tokens. The new one differs from the donor smoothly along the cortex, by random
fields of the standard deviations of ``DIFFERENCE``, in places, depth and scale; channel weights are drawn anew, and
noise too. The donor is fitted to ``--donor-images``; the new one to so many images, of which a fifth validate, from
scratch and with ``start``:

- ``subject``: the donor's mapping; ``two``: that and another donor's;
- ``network``: a mapping of another network (``--other``) onto the new subject itself: layers do not carry over;
- ``chance``: a donor whose places, depth and scale are those of another cortex, turned and reversed;
- ``oracle``: no donor, but the planted selectors are given, and the rest is fitted as from scratch.

R^2 is of 160 photographs that no fit has seen. Results are appended to ``FOLDER/transfer.jsonl``; what is there is not
run again. ``gain_100`` is R^2 over that from scratch with 100 images, ``worst_loss`` the largest R^2 lost to scratch
of all cases (0 if none), ``recovery_*`` correlations with what was planted, with 100 images.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import factortopy as ft
from factortopy.cortex import load_surface
from factortopy.fitting import fit_settings
from factortopy.images import Split
from factortopy.mapping import Mapping
from factortopy.model import Selection
from factortopy.simulation.maps import PlantedMaps, planted_maps
from factortopy.simulation.planting import layer_bump
from factortopy.simulation.signal import plant_channels, read_signal
from factortopy.subjects import PlantedTruth, Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import fit_to_folder
from laboratory import Laboratory, Results, markdown, streams, write_table

DIFFERENCE = {"places": 0.1, "depth": 0.08, "scale": 0.08}
"""Standard deviations over the cortex: places in the image's [-1, 1], depth and scale in 0..1."""
SMOOTHINGS = 4
"""Times that white noise is smoothed along the cortex to make the fields of the differences."""
CHANNELS, CEILING = 32, 0.3
VALIDATION = 5
"""One of so many images validates."""
SHOWN = 100
"""Images of the key numbers."""
STARTS = ("subject", "two", "network", "chance", "oracle")


def planted(tokens: TokenStore, seed: int, chance: bool = False) -> Subject:
    """A subject whose maps are the usual ones changed by random fields; seed 0 has none."""
    maps = planted_maps(load_surface("fsaverage5"))
    channels = plant_channels(tokens, CHANNELS, np.random.default_rng(0), progress=False)
    random = np.random.default_rng(1 + seed)
    sizes = {name: size if seed else 0.0 for name, size in DIFFERENCE.items()}
    space, depth, scale = maps.space, maps.depth, maps.scale
    if chance:
        space, depth, scale = -space[:, ::-1], 1 - depth, 1 - scale
    space = (space + sizes["places"] * field(maps, random, 2)).clip(-0.95, 0.95)
    depth = (depth + sizes["depth"] * field(maps, random, 1)[:, 0]).clip(0, 1)
    scale = (scale + sizes["scale"] * field(maps, random, 1)[:, 0]).clip(0.02, 0.98)
    layer, ceiling = layer_bump(depth, len(tokens.layers), 1.0), np.full(len(depth), CEILING)
    weights = maps.smooth_weights(CHANNELS, random)
    read = read_signal(channels, space=space, layer=layer, scale=scale, weights=weights, variance=ceiling)
    noise = random.standard_normal(read["signal"].shape, dtype=np.float32)
    single = {"space": space, "layer": layer, "scale": scale, "depth": depth, "noise_ceiling": ceiling}
    return Subject(
        name=f"chance-{seed}" if chance else f"planted-{seed}",
        responses=(read["signal"] + np.sqrt(1 - CEILING) * noise).astype(np.float32),
        image_ids=tuple(tokens.image_ids),
        voxels=maps.voxels,
        noise_ceiling=ceiling.astype(np.float32),
        truth=PlantedTruth(
            **{name: part.astype(np.float32) for name, part in single.items()},
            **read,
            local_projections=channels.local_projections,
            global_projections=channels.global_projections,
            seed=seed,
        ),
        provenance={"kind": "simulated", "seed": seed},
    )


def field(maps: PlantedMaps, random: np.random.Generator, count: int) -> np.ndarray:
    """Random functions of the place on the cortex, of standard deviation 1."""
    values = random.standard_normal((len(maps.voxels), count))
    for _ in range(SMOOTHINGS):
        values = maps.smooth(values)
    return values / values.std(axis=0)


class Cases:
    """Subjects, donors and fits of a run, each made once.

    Args:
        laboratory: views, tokens and splits.
        options: of the command line.
    """

    def __init__(self, laboratory: Laboratory, options: argparse.Namespace) -> None:
        self.laboratory, self.options = laboratory, options
        self.tokens = laboratory.tokens(options.network)
        self._subjects: dict[tuple[int, bool], Subject] = {}

    def subject(self, seed: int, chance: bool = False) -> Subject:
        """A subject on so many voxels of NSD's streams mask."""
        if (seed, chance) not in self._subjects:
            whole = streams(planted(self.tokens, seed, chance))
            chosen = np.linspace(0, len(whole.voxels) - 1, min(self.options.voxels, len(whole.voxels))).astype(int)
            self._subjects[seed, chance] = whole.select(chosen)
        return self._subjects[seed, chance]

    def split(self, images: int, validation: int | None = None) -> Split:
        """So many training images beside all validation images, or so many images of which some validate."""
        whole = self.laboratory.split(images, self.options.network)
        if validation is None:
            return whole
        return Split(whole.train[: images - validation], whole.validation[:validation], whole.test)

    def donor(self, seed: int, chance: bool = False, network: str | None = None) -> Mapping:
        """The mapping of a subject with many images."""
        tokens = self.tokens if network is None else self.laboratory.tokens(network)
        name = f"{self.subject(seed, chance).name}-{tokens.network}-{self.options.donor_images}-{self.options.voxels}"
        split = self.split(self.options.donor_images)
        folder = self.options.work / "donors" / name.replace("/", "_")
        kept: dict[str, Any] = {"split": split, "bootstrap": 0, "yardstick": False}
        return fit_to_folder(tokens, self.subject(seed, chance), folder, fit_settings(), **kept)

    def start(self, kind: str, seed: int) -> list[Mapping]:
        """The donors of a start."""
        if kind == "network":
            return [self.donor(seed, network=self.options.other)]
        if kind == "chance":
            return [self.donor(0, chance=True)]
        return [self.donor(0), *([self.donor(seed + 100)] if kind == "two" else [])]


def planted_selection(subject: Subject) -> Selection:
    """What was planted, to be given instead of trained."""
    assert isinstance(subject.truth, PlantedTruth)
    parts = (getattr(subject.truth, name) for name in ("space", "layer", "scale"))
    return Selection(*(torch.from_numpy(part).float() for part in parts))


def measures(mapping: Mapping, subject: Subject) -> dict[str, float]:
    """R^2, of the ridge too where there is one, and correlations with what was planted."""
    found = ft.recovery(mapping, subject.truth)
    told = {"r2": float(mapping.dataset["r2"].mean()), "depth": found.depth_r, "scale": found.scale_r}
    told |= {"space": min(found.space_x_r, found.space_y_r)}
    if "ridge_r2" in mapping.dataset:
        told["ridge"] = float(np.nanmean(mapping.dataset["ridge_r2"]))
    return told


def run_all(cases: Cases, results: Results, options: argparse.Namespace) -> None:
    """Run what is asked for and not yet done."""
    for seed in options.seeds:
        for images in options.images:
            for kind in ("scratch", *options.starts):
                facts = {
                    "network": cases.tokens.network,
                    "images": images,
                    "start": kind,
                    "seed": seed,
                    "voxels": options.voxels,
                    "donor_images": options.donor_images,
                }
                if results.has(**facts):
                    continue
                donors = [] if kind in ("scratch", "oracle") else cases.start(kind, seed)
                subject, begun = cases.subject(seed), time.perf_counter()
                mapping = ft.workflow.fit_model(
                    cases.tokens,
                    subject,
                    fit_settings(),
                    split=cases.split(images, images // VALIDATION),
                    start=donors,
                    selection=planted_selection(subject) if kind == "oracle" else None,
                    bootstrap=0,
                    yardstick=kind == "scratch",
                ).mapping
                took = mapping.provenance.get("start", {}).get("voxels", {})
                seconds = round(time.perf_counter() - begun, 1)
                results.add({**facts, **measures(mapping, subject), "took": took, "seconds": seconds})


def paired(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every fit with a start beside the one from scratch."""
    same = ("network", "images", "seed", "voxels", "donor_images")
    scratch = {tuple(row[name] for name in same): row for row in rows if row["start"] == "scratch"}
    return [
        (row, scratch[key])
        for row in rows
        if row["start"] != "scratch" and (key := tuple(row[name] for name in same)) in scratch
    ]


def key_numbers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of the last line."""
    pairs = paired(rows)
    lost = [old["r2"] - new["r2"] for new, old in pairs if new["start"] != "oracle"]
    told: dict[str, Any] = {"worst_loss": round(max(0.0, *lost), 4) if lost else 0.0}
    for kind, end in zip(STARTS, ("", "_two", "_network", "_chance", "_oracle"), strict=True):
        here = [(new, old) for new, old in pairs if new["start"] == kind and new["images"] == SHOWN]
        if not here:
            continue
        mean: Callable[[int, str], float] = lambda side, name, here=here: float(  # noqa: E731
            np.mean([pair[side][name] for pair in here])
        )
        told |= {f"r2_transfer{end}_{SHOWN}": mean(0, "r2"), f"gain{end}_{SHOWN}": mean(0, "r2") / mean(1, "r2")}
        told |= {f"recovery_{name}{end}_{SHOWN}": mean(0, name) for name in ("depth", "space", "scale")}
        if kind == "subject":
            told |= {f"r2_scratch_{SHOWN}": mean(1, "r2"), f"r2_ridge_{SHOWN}": mean(1, "ridge")}
            told |= {f"recovery_{name}_scratch_{SHOWN}": mean(1, name) for name in ("depth", "space", "scale")}
    return {name: round(value, 4) for name, value in told.items()}


def table(rows: list[dict[str, Any]]) -> str:
    """All fits as Markdown, those of one number of images together."""
    heads = (
        "images",
        "start",
        "seed",
        "R²",
        "ridge",
        "depth r",
        "space r",
        "scale r",
        "voxels by what they took",
        "seconds",
    )
    order = ("scratch", *STARTS)
    lines = []
    for row in sorted(rows, key=lambda one: (one["images"], one["seed"], order.index(one["start"]))):
        numbers = (f"{row[name]:.3f}" for name in ("depth", "space", "scale"))
        took = ", ".join(f"{count} {name}" for name, count in row["took"].items())
        ridge = f"{row['ridge']:.3f}" if "ridge" in row else ""
        lines.append(
            (
                f"{row['images']:,}",
                row["start"],
                row["seed"],
                f"{row['r2']:.3f}",
                ridge,
                *numbers,
                took,
                round(row["seconds"]),
            )
        )
    first = rows[0]
    words = ", ".join(f"{name} {size}" for name, size in DIFFERENCE.items())
    sizes = f"{first['voxels']} voxels, {CHANNELS} planted channels, ceiling {CEILING}"
    note = (
        f"*SIMULATED subjects over {first['network']}; {sizes}; donors were fitted to {first['donor_images']:,}, "
        f"new ones to images of which a fifth validates. Standard deviations of differences: {words}. R² is raw, a "
        "mean over voxels and 160 test images. Depth and scale by share.*"
    )
    return f"{note}\n\n{markdown(heads, lines)}"


def main() -> None:
    """Run what is asked for and not yet done, or only show; print the table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photographs", type=Path, nargs="?", help="folder of .jpg files; sample photographs if left out")
    add("--work", type=Path, required=True, help="folder of tokens, donors and results")
    add("--network", default="squeezenet-1.1")
    add("--other", default="efficientnet-lite0", help="network of the start 'network'")
    add("--images", nargs="+", type=int, default=[50, 100, 300, 1_000])
    add("--donor-images", type=int, default=4_000, help="a measured donor has seen 9,000 or more")
    add("--voxels", type=int, default=600, help="so many, evenly spread")
    add("--starts", nargs="+", default=list(STARTS), choices=STARTS)
    add("--seeds", nargs="+", type=int, default=[1], help="of new subjects, above 0")
    add("--show", action="store_true", help="run nothing; show and write what there is")
    add("--page", type=Path, help="write the table into this page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(options.work / "transfer.jsonl")
    if not options.show:
        laboratory = Laboratory(options.photographs, max(*options.images, options.donor_images), options.work)
        run_all(Cases(laboratory, options), results, options)
    if options.page is not None:
        write_table(options.page, "transfer.py", table(results.rows))
    print(table(results.rows))
    print(json.dumps({"fits": len(results.rows), "simulated": True, **key_numbers(results.rows)}))


if __name__ == "__main__":
    main()
