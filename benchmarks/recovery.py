"""How well a planted map is found: a grid of noise, images, networks, recipes and kinds of planted subjects.

    python benchmarks/recovery.py --work FOLDER                      # sample photographs; hours on two cores
    python benchmarks/recovery.py PHOTOGRAPHS --work FOLDER --cases 2300:0.2 8000:0.05 --recipes default
    python benchmarks/recovery.py PHOTOGRAPHS --work FOLDER --page docs/recovery.md --figures docs/images

Every case is a subject SIMULATED from real tokens of views of photographs (those that ship with scikit-image
and scikit-learn where no folder is given), over the voxels of NSD's streams mask where
``FACTORTOPY_SHARED_DATA`` has it: so many training images, one noise ceiling for all voxels. Views of one
photograph stay on one side of the split. Each subject is fitted by every recipe and by an oracle: the default
recipe, given the planted place, layers and scale, so that only channels are left to learn. Results are
appended to ``FOLDER/recovery.jsonl``, and what is there with the same settings is not run again; a fit that
was stopped goes on from its checkpoint. The recipe ``paper`` takes at most 20,000 steps (the authors' number
is not known): ``--paper-steps`` takes fewer, and the table says so. The last line is one JSON object, for the
case nearest to 2,300 images at a ceiling of 0.2 and, for a low ceiling, nearest to 9,000 at 0.05.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from factortopy.analysis import estimate, fit_slope, layer_position, r_squared, recovery
from factortopy.analysis.planted.forecast import FORMAT
from factortopy.fitting import FitSettings, fit_settings
from factortopy.machine import Machine
from factortopy.mapping import Mapping
from factortopy.model import Selection
from factortopy.provenance import package_versions
from factortopy.simulation.planting import layer_bump
from factortopy.storage import remove, write_text
from factortopy.subjects import PlantedTruth, Subject
from factortopy.tokens import TokenStore
from factortopy.workflow import Fit, fit_model
from laboratory import KINDS, NETWORK, Laboratory, Results, markdown, write_table
from recovery_summary import ORACLE, key_numbers, summarise, table

THIRDS = 3
"""Classes of voxels by R^2."""
DRAWS = 200
"""Draws of test images behind the limits of the default recipe, unless others are asked for."""
CASES = ("500:0.2", "1000:0.2", "2300:0.05", "2300:0.1", "2300:0.2", "2300:0.6", "5000:0.05", "9000:0.05")


@dataclass(frozen=True)
class Case:
    """A planted subject.

    Attributes:
        network: that is fitted.
        kind: what was planted; see ``laboratory.KINDS``.
        images: training images.
        ceiling: noise ceiling (R^2) of all voxels.
        channels: planted channels.
        voxels_asked: so many voxels; all if None.
        seed: of the subject and the fit.
    """

    network: str
    kind: str
    images: int
    ceiling: float
    channels: int
    voxels_asked: int | None
    seed: int


def run(
    laboratory: Laboratory, case: Case, recipe: str, settings: FitSettings, machine: Machine, draws: int = DRAWS
) -> dict[str, Any]:
    """Fit one recipe, or the oracle, to one case."""
    tokens = laboratory.tokens(case.network)
    subject = laboratory.subject(case.ceiling, case.channels, case.kind, case.network, case.seed)
    truth = subject.truth
    if truth is None:
        raise SystemExit("the subject is not simulated")
    split = laboratory.split(case.images, case.network)
    label = "-".join(map(str, (*asdict(case).values(), recipe, settings.steps))).replace("/", "_")
    folder = laboratory.work / "checkpoints" / label
    begun = time.perf_counter()
    fitted = fit_model(
        tokens,
        subject,
        settings,
        split=split,
        selection=planted_selection(truth, len(tokens.layers)) if recipe == ORACLE else None,
        machine=replace(machine, precision="fp32") if recipe == "paper" else machine,
        checkpoint=folder,
        bootstrap=draws if recipe == "default" else 0,
        yardstick=recipe == "default",
        description=recipe,
    )
    remove(folder)
    return {
        **asdict(case),
        "recipe": recipe,
        "budget": budget(settings),
        "settings": settings.model_dump_json(),
        "voxels": len(subject.voxels),
        **found_of(fitted, subject, truth),
        "photographs": laboratory.photographs,
        "split": split.digest,
        "images_validation": len(split.validation),
        "images_test": len(split.test),
        "best_step": fitted.history.best_step,
        "seconds": round(time.perf_counter() - begun, 1),
    }


def found_of(fitted: Fit, subject: Subject, truth: PlantedTruth) -> dict[str, float]:
    """Score of a fit beside that of the noise-free signal, and what it found beside what was planted."""
    found = recovery(fitted.mapping, truth)
    place = {name: row for row, name in enumerate(subject.image_ids)}
    rows = [place[name] for name in fitted.split.test]
    return {
        "r2": float(fitted.mapping.dataset["r2"].mean()),
        "ceiling_r2": float(np.nanmean(r_squared(subject.responses[rows], truth.signal[rows]))),
        **beside(fitted.mapping, truth),
        "slope_error": found.slope_found - found.slope_planted,
        "slope_planted": found.slope_planted,
        "depth_r": found.depth_r,
        "space_r": min(found.space_x_r, found.space_y_r),
        "scale_r": found.scale_r,
    }


def beside(mapping: Mapping, truth: PlantedTruth) -> dict[str, float]:
    """R^2 less the ridge's on the voxels of both, and how often limits hold what was planted.

    ``depth_coverage`` and ``scale_coverage`` are parts of the voxels that have limits, and with a number those of the
    thirds of lowest, middle and highest R^2; ``roi_coverage`` of the means of depth and scale over ROIs;
    ``slope_coverage`` is 1 or 0. Means and slope are over the same voxels as those found.
    """
    data, measures = mapping.dataset, {}
    if "ridge_r2" in data:
        measures["margin_to_ridge"] = float((data["r2"] - data["ridge_r2"]).mean())
    if "depth_low" not in data:
        return measures
    depth, of_rois = layer_position(truth.layer_share), []
    told = np.isfinite(data["depth"].values)
    for name, variable, planted in (("depth", "depth", depth), ("scale", "scale_share", truth.scale_share)):
        low, high = (data[f"{variable}_{end}"].values[told] for end in ("low", "high"))
        holds, r2 = (low <= planted[told]) & (planted[told] <= high), data["r2"].values[told]
        measures[f"{name}_coverage"], measures[f"{name}_half_width"] = (
            float(holds.mean()),
            float(np.median(high - low) / 2),
        )
        thirds = np.digitize(r2, np.quantile(r2, (1 / 3, 2 / 3)))
        measures |= {f"{name}_coverage_{third + 1}": float(holds[thirds == third].mean()) for third in range(THIRDS)}
        members = {roi: inside & told for roi, inside in mapping.rois.items() if (inside & told).any()}
        means = {roi: estimate(mapping, name, roi) for roi in members}
        of_rois += [means[roi].low <= planted[inside].mean() <= means[roi].high for roi, inside in members.items()]
    if of_rois:
        measures["roi_coverage"] = float(np.mean(of_rois))
    slope = estimate(mapping, "slope")
    if slope.limited:
        line = fit_slope(np.where(told, depth, np.nan), mapping.rois)
        measures["slope_coverage"] = float(slope.low <= line.slope <= slope.high)
    return measures


def coverage_table(rows: list[dict[str, Any]]) -> str:
    """How often limits of the default recipe hold what was planted, a row a case, means over seeds."""
    told = [row for row in rows if row["recipe"] == "default" and "scale_coverage_1" in row]
    cases: dict[tuple[int, float, int], list[dict[str, Any]]] = {}
    for row in sorted(told, key=lambda row: (row["images"], row["ceiling"])):
        cases.setdefault((row["images"], row["ceiling"], row["voxels"]), []).append(row)

    def cells(name: str, same: list[dict[str, Any]]) -> list[str]:
        names = (name, *(f"{name}_{third + 1}" for third in range(THIRDS)))
        whole, *thirds = (f"{100 * np.mean([row[key] for row in same]):.0f}" for key in names)
        width = np.mean([row[name.replace("coverage", "half_width")] for row in same])
        return [f"{whole} ({', '.join(thirds)})", f"{width:.2f}"]

    heads = (
        "images",
        "ceiling",
        "voxels",
        "R²",
        "depth, %",
        "half-width",
        "scale, %",
        "half-width",
        "ROIs, %",
        "slope",
    )
    lines = []
    for (images, ceiling, voxels), same in cases.items():
        r2, rois, slopes = (np.array([row[key] for row in same]) for key in ("r2", "roi_coverage", "slope_coverage"))
        of_voxels = *cells("depth_coverage", same), *cells("scale_coverage", same)
        of_rois = f"{100 * rois.mean():.0f}", f"{slopes.sum():.0f} of {len(same)}"
        lines.append((f"{images:,}", ceiling, voxels, f"{r2.mean():.2f}", *of_voxels, *of_rois))
    return markdown(heads, lines)


def settings_of(recipe: str, seed: int, options: argparse.Namespace) -> FitSettings:
    """Settings of a fit with its budget of steps; the oracle's are the default recipe's."""
    own = fit_settings("paper" if recipe == "paper" else "default")
    steps = options.paper_steps if recipe == "paper" else options.default_steps
    if steps is None:
        return own.model_copy(update={"seed": seed})
    looks = max(1, min(own.validate_every, steps // 6))
    return own.model_copy(update={"seed": seed, "steps": steps, "passes": None, "validate_every": looks})


def budget(settings: FitSettings) -> str:
    """Steps and images a step, beside the recipe's own number of steps where that is another."""
    if settings.passes is not None:
        return f"{settings.steps:,} x {settings.batch_size} or {settings.passes:g} passes"
    own = fit_settings(settings.recipe).steps
    of = "" if settings.steps == own else f" of {own:,}"
    return f"{settings.steps:,}{of} x {settings.batch_size}"


def planted_selection(truth: PlantedTruth, layers: int) -> Selection:
    """What the oracle is given; where another network was planted, a bump of layers at the planted depth."""
    layer = truth.layer if truth.layer.shape[1] == layers else layer_bump(truth.depth, layers, 1.0)
    return Selection(*(torch.from_numpy(np.asarray(part)).float() for part in (truth.space, layer, truth.scale)))


def run_all(options: argparse.Namespace, results: Results) -> None:
    """Run what is asked for and not yet done; fits to one subject follow each other."""
    cases = sorted(((float(ceiling), int(images)) for images, ceiling in (c.split(":") for c in options.cases)))
    given = None if options.tokens is None else TokenStore.open(options.tokens)
    most = max(images for _, images in cases)
    laboratory = Laboratory(options.photographs, most, options.work, given, options.voxels)
    machine = Machine.choose(options.device)
    networks = options.networks or [NETWORK if given is None else given.network]
    for network, kind, seed, (ceiling, images) in product(networks, options.kinds, options.seeds, cases):
        case = Case(network, kind, images, ceiling, options.channels, options.voxels, seed)
        for recipe in (ORACLE, *options.recipes):
            settings = settings_of(recipe, seed, options)
            facts = {"recipe": recipe, "settings": settings.model_dump_json()}
            if not results.has(**asdict(case), **facts, photographs=laboratory.photographs):
                results.add(run(laboratory, case, recipe, settings, machine, options.draws))


def main() -> None:
    """Run what is asked for and not yet done, or only show; print the table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photographs", type=Path, nargs="?", help="folder of .jpg files; sample photographs if left out")
    add("--work", type=Path, required=True, help="folder of tokens and results")
    add("--tokens", type=Path, help="token store of views to use instead of extracting")
    add("--cases", nargs="+", default=CASES, metavar="IMAGES:CEILING")
    add("--networks", nargs="+", help=f"{NETWORK}, or that of --tokens, if left out")
    add("--kinds", nargs="+", default=["smooth"], choices=KINDS)
    add("--recipes", nargs="+", default=["default", "paper"], choices=("default", "paper"))
    add("--seeds", nargs="+", type=int, default=[0])
    add("--channels", type=int, default=32, help="planted channels")
    add("--voxels", type=int, help="so many voxels, evenly spread; all if left out")
    add("--paper-steps", type=int, default=fit_settings("paper").steps, metavar="N")
    add("--default-steps", type=int, metavar="N", help="as many as images ask for if left out")
    add("--draws", type=int, default=DRAWS, metavar="N", help="of test images, for limits; 0 for none")
    add("--device", help="cuda, mps or cpu; the best there is if left out")
    add("--show", action="store_true", help="run nothing; show, draw and write what there is")
    add("--page", type=Path, help="write the table into this page")
    add("--figures", type=Path, help="folder of the figures")
    add("--limits", type=Path, help="write the table of what limits hold into this page")
    add("--table", type=Path, help="write the table that `factortopy plan` reads")
    options = parser.parse_args()
    results = Results(options.work / "recovery.jsonl")
    if not options.show:
        run_all(options, results)
    rows = summarise(results.rows)
    if options.page is not None:
        write_table(options.page, "recovery.py", table(rows))
    if options.limits is not None:
        write_table(options.limits, "recovery.py", coverage_table(results.rows))
    if options.table is not None:
        facts = {"format": FORMAT, "simulated": True, "versions": package_versions()}
        write_text(options.table, json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    if options.figures is not None:
        from recovery_figures import draw

        draw(rows, options.figures)
    print(table(rows))
    print(json.dumps({"fits": len(results.rows), "simulated": True, **key_numbers(rows)}))


if __name__ == "__main__":
    main()
