"""Held-out R^2 of a fit beside that of independent ridges, on real recordings and on planted subjects.

Run from the repository's root: ``python benchmarks/winning.py [FOLDER] [--networks NAME ...] [--planted IMAGES:CEILING
...] [--paper-steps N] [--shuffled] [--quick] [--page FILE]``. ``FOLDER`` holds a subject's folder each:
``responses.npy``, ``image_ids.txt``, ``images/``, and splits as JSON files (8:1:1 by image where there are none);
without one only planted subjects are fitted, as ``benchmarks/recovery.py`` fits them. Cases in ``--work`` are not run
again. The last line is a JSON object:

- ``worst_margin_to_baseline``, ``mean_margin_to_baseline``: R^2 of the fit less that of the best ridge, of recordings
  the best of the fit's own yardstick and of three of himalaya's ``KernelRidgeCV`` (5 folds of training and validation
  images, a penalty a unit, refit on all of them): all places of all layers, these with the global tokens, and each
  unit's best layer by cross-validation; of planted subjects that of the fit's own yardstick;
- ``worst_margin_to_mean``: R^2 less that of the training mean on the same test images, of all recordings and, with
  ``--shuffled``, of the same with responses permuted over images, from which nothing can be predicted. R^2 is by the
  test images' own mean, so that of the training mean is about -(1 / test images + 1 / fitted images);
- ``worst_of_oracle``: R^2 over that of a fit that is given the planted selection, the smallest of all planted subjects;
- ``worst_margin_to_paper``: R^2 less that of ``recipe="paper"`` after ``--paper-steps`` steps; null if it was not run;
- ``worst_coverage``: the part of the voxels whose 95 % limits hold the planted depth, or scale, the smallest;
- ``rows``, ``shuffled``, ``planted``: every case.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from himalaya.kernel_ridge import KernelRidgeCV

import factortopy as ft
from laboratory import KINDS, Results, markdown, write_table
from recovery import DRAWS, run_all
from recovery_summary import share

ALPHAS = np.logspace(-3, 5, 17)
GLOBAL = 0.25
"""Share of the global tokens' kernel beside that of the local ones."""
QUICK = ("v4_190923",)
PLANTED = [f"{images}:{ceiling}" for images in (500, 2_300, 4_100, 9_000) for ceiling in (0.05, 0.2, 0.6)]
COVERAGE = ("depth_coverage", "scale_coverage", "roi_coverage", "slope_coverage")
FACTS = ("network", "kind", "images", "ceiling", "channels", "voxels_asked", "seed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="folder of recordings")
    add("--networks", nargs="+", default=["squeezenet-1.1"], help="that recordings are fitted with")
    add("--work", type=Path, default=Path("runs/winning"), help="where tokens and results are kept")
    add("--planted", nargs="*", default=PLANTED, metavar="IMAGES:CEILING")
    add("--kinds", nargs="+", default=["smooth", "two-layers", "sharp", "normalised"], choices=KINDS)
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--photographs", type=Path, help="that planted subjects saw; sample photographs if left out")
    add("--tokens", type=Path, help="token store of views of these, instead of extracting")
    add("--voxels", type=int, help="so many planted voxels, evenly spread; all if left out")
    add("--paper-steps", type=int, default=0, metavar="N", help='also fit recipe="paper"')
    add("--shuffled", action="store_true", help="also fit responses that are permuted over the images")
    add("--quick", action="store_true", help=f"only {', '.join(QUICK)} and one small planted subject, for minutes")
    add("--draws", type=int, default=DRAWS, metavar="N", help="of test images, for limits of planted subjects")
    add("--page", type=Path, help="write the table of recordings into this page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.quick:
        options.planted, options.kinds, options.seeds, options.voxels = ["250:0.3"], ["smooth"], [0], 300
    rows, shuffled = [], []
    if options.folder is not None:
        rows = recordings(options)
        shuffled = recordings(options, shuffled=True) if options.shuffled else []
    planted = planted_cases(options) if options.planted else []
    if options.page:
        write_table(options.page, "winning.py", page([*rows, *shuffled]))
    print(json.dumps({**summary(rows, shuffled, planted), "rows": rows, "shuffled": shuffled, "planted": planted}))


def recordings(options: argparse.Namespace, shuffled: bool = False) -> list[dict]:
    """A row a network, recording and split; responses of all images are permuted over them if ``shuffled``."""
    subjects = sorted(path for path in options.folder.iterdir() if (path / "responses.npy").is_file())
    results = Results(options.work / "recordings.jsonl")
    chosen = [path for path in subjects if not options.quick or path.name in QUICK]
    pairs = [(network, path) for network in options.networks for path in chosen]
    return [row for network, path in pairs for row in cases(network, path, results, shuffled)]


def planted_cases(options: argparse.Namespace) -> list[dict]:
    """A row a planted subject: R^2 beside that of the oracle, of the fit's ridge and of the recipe ``paper``."""
    recipes = ["default", *(["paper"] if options.paper_steps else [])]
    asked = argparse.Namespace(
        **{name: getattr(options, name) for name in ("photographs", "work", "voxels", "kinds", "seeds")},
        tokens=options.tokens, cases=options.planted, networks=None if options.tokens else ["squeezenet-1.1"],
        channels=32, recipes=recipes, paper_steps=options.paper_steps or 1,
        default_steps=100 if options.quick else None, device=None, draws=options.draws,
    )  # fmt: skip
    results = Results(options.work / "recovery.jsonl")
    run_all(asked, results)
    wanted = {(float(ceiling), int(images)) for images, ceiling in (case.split(":") for case in options.planted)}
    rows = []
    for fit in results.rows:
        asked_for = fit["kind"] in options.kinds and fit["seed"] in options.seeds
        if fit["recipe"] != "default" or not asked_for or (fit["ceiling"], fit["images"]) not in wanted:
            continue
        same = {row["recipe"]: row["r2"] for row in results.rows if all(row[name] == fit[name] for name in FACTS)}
        names = (*FACTS, "r2", "margin_to_ridge", *COVERAGE, "slope_error", "depth_r", "space_r", "scale_r")
        row = {name: fit.get(name) for name in names} | {"oracle_r2": same["oracle"], "paper_r2": same.get("paper")}
        rows.append(row | {"r2_of_oracle": share(fit["r2"], same["oracle"])})
    return rows


def summary(rows: list[dict], shuffled: list[dict], planted: list[dict]) -> dict[str, float | None]:
    """The worst and the mean of what is asked of all cases; None where no case tells."""

    def worst(values: list[float | None]) -> float | None:
        return min((value for value in values if value is not None), default=None)

    margins = [row["r2"] - row["best_ridge"] for row in rows]
    margins += [row["margin_to_ridge"] for row in planted if row["margin_to_ridge"] is not None]
    return {
        "worst_margin_to_baseline": worst([*margins]),
        "mean_margin_to_baseline": float(np.mean(margins)) if margins else None,
        "worst_margin_to_mean": worst([row["r2"] - row["training_mean"] for row in (*rows, *shuffled)]),
        "worst_of_oracle": worst([row["r2_of_oracle"] for row in planted]),
        "worst_margin_to_paper": worst(
            [None if row["paper_r2"] is None else row["r2"] - row["paper_r2"] for row in planted]
        ),
        "worst_coverage": worst([row[name] for row in planted for name in COVERAGE[:2]]),
    }


def cases(network: str, path: Path, results: Results, shuffled: bool) -> list[dict]:
    """A row a split of one subject."""
    tokens, subject, splits = read_recording(network, path, results.file.parent)
    if shuffled:
        order = np.random.default_rng(0).permutation(len(subject.responses))
        subject = replace(subject, responses=subject.responses[order])
    for name, split in splits.items():
        facts = {"subject": path.name, "network": network, "split": name, "shuffled": shuffled}
        if results.has(**facts):
            continue
        start = time.perf_counter()
        mapping = ft.fit(tokens, subject, split=split, bootstrap=0, progress=False)
        row = {**facts, "units": len(subject.voxels), "seconds": round(time.perf_counter() - start, 1)}
        row |= {f"images_{side}": len(ids) for side, ids in split.to_dict().items()}
        data = mapping.dataset
        r2, margin = float(data["r2"].mean()), float((data["r2"] - data["ridge_r2"]).mean())
        scores = {"ridge_yardstick": r2 - margin, **ridges(tokens, subject, split)}
        best = max(value for key, value in scores.items() if key.startswith("ridge"))
        results.add({**row, "r2": r2, **scores, "best_ridge": best})
    asked = {"subject": path.name, "network": network, "shuffled": shuffled}
    return [row for row in results.rows if all(row[name] == value for name, value in asked.items())]


def read_recording(network: str, path: Path, work: Path) -> tuple[ft.TokenStore, ft.Subject, dict[str, ft.Split]]:
    """Tokens, extracted if they are not in ``work``, responses, and splits by name: 8:1:1 where none is given."""
    images = ft.open_images(path / "images")
    tokens = ft.extract(ft.load_network(network), images, work / f"{path.name}-{network}")
    subject = ft.load_arrays(path / "responses.npy", path / "image_ids.txt", name=path.name, images=images)
    files = sorted(path.glob("*.json"))
    splits = {file.stem: ft.Split.from_dict(json.loads(file.read_text())) for file in files}
    return tokens, subject, splits or {"8:1:1, seed 0": ft.split_images(subject.image_ids, seed=0)}


def ridges(tokens: ft.TokenStore, subject: ft.Subject, split: ft.Split) -> dict[str, float]:
    """Mean R^2 over units of each ridge and of the training mean, on the test images."""
    index = {name: number for number, name in enumerate(tokens.image_ids)}
    row = {name: number for number, name in enumerate(subject.image_ids)}
    fitted, test = [*split.train, *split.validation], list(split.test)
    read = tokens.read([index[name] for name in (*fitted, *test)])
    count = len(fitted)
    y, held_out = (subject.responses[[row[name] for name in names]].astype(np.float64) for names in (fitted, test))
    mean, spread = y.mean(axis=0), y.std(axis=0)
    spread[spread == 0] = 1
    y, held_out = (y - mean) / spread, (held_out - mean) / spread
    layers = [kernel(layer, count) for layer in read.local]
    local, global_ = sum(layers) / len(layers), sum(kernel(layer, count) for layer in read.global_) / len(layers)
    predicted = {
        "ridge_all_layers": fit_ridge(local, y, count)[1],
        "ridge_all_and_global": fit_ridge((1 - GLOBAL) * local + GLOBAL * global_, y, count)[1],
    }
    each = [fit_ridge(layer, y, count) for layer in layers]
    best = np.argmax([scores for scores, _ in each], axis=0)
    predicted["ridge_best_layer"] = np.stack([prediction for _, prediction in each])[best, :, np.arange(y.shape[1])].T
    predicted["training_mean"] = np.zeros_like(held_out)
    total = ((held_out - held_out.mean(axis=0)) ** 2).sum(axis=0)
    return {
        name: float(np.mean(1 - ((held_out - values) ** 2).sum(axis=0)[total > 0] / total[total > 0]))
        for name, values in predicted.items()
    }


def kernel(layer: torch.Tensor, count: int) -> np.ndarray:
    """Linear kernel of channels standardised over the fitted images, of mean square 1 on them."""
    values = layer.float().flatten(2) if layer.ndim > 2 else layer.float()[:, :, None]
    dims = (0, 2)
    values = values - values[:count].mean(dim=dims, keepdim=True)
    values = values / values[:count].std(dim=dims, keepdim=True).clamp(min=1e-6)
    features = values.flatten(1).numpy()
    features = features - features[:count].mean(axis=0)
    gram = features @ features[:count].T
    return gram / np.diag(gram).mean()


def fit_ridge(gram: np.ndarray, y: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cross-validated R^2 of every unit, and predictions of the rows after the first ``count``."""
    model = KernelRidgeCV(alphas=ALPHAS, kernel="precomputed", cv=5, fit_intercept=False)
    model.fit(gram[:count].astype(np.float64), y)
    return model.cv_scores_.max(axis=0), model.predict(gram[count:].astype(np.float64))


RIDGES = {
    "ridge_all_layers": "ridge, all layers",
    "ridge_all_and_global": "with global",
    "ridge_best_layer": "best layer",
    "ridge_yardstick": "yardstick",
}


def page(rows: list[dict]) -> str:
    """The table of recordings as Markdown."""
    heads = ("recording", "units", "network", "split", "images (fit, test)", "FactorTopy")
    cells = []
    for row in rows:
        name = f"{row['subject']}{', permuted' if row['shuffled'] else ''}"
        fitted = row["images_train"] + row["images_validation"]
        found = [row.get(key) for key in RIDGES]
        ridge = ["–" if r2 is None else f"**{r2:.3f}**" if r2 > row["r2"] else f"{r2:.3f}" for r2 in found]
        facts = [name, row["units"], row["network"], row["split"], f"{fitted:,}, {row['images_test']}"]
        cells.append((*facts, f"{row['r2']:.3f}", *ridge, f"{row['training_mean']:.3f}"))
    return markdown((*heads, *RIDGES.values(), "training mean"), cells)


if __name__ == "__main__":
    main()
