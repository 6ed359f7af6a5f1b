"""Held-out R^2 of a fit beside that of independent ridge regressions, on real recordings without coordinates.

Run from the repository's root: ``python benchmarks/winning.py FOLDER [--networks NAME ...] [--quick] [--page FILE]``.
``FOLDER`` holds a subject's folder each: ``responses.npy``, ``image_ids.txt``, ``images/``, and splits as JSON files
(8:1:1 by image where there is none). The last line is a JSON object:

- ``worst_margin_to_baseline``, ``mean_margin_to_baseline``: R^2 of the fit less that of the best ridge;
- ``rows``: every case: ``r2``, the ridges, the training mean, seconds.

The ridges are himalaya's ``KernelRidgeCV`` (5 folds of training and validation images, a penalty a unit, refit on
all of them): all places of all layers, these with the global tokens, and each unit's best layer by cross-validation.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from himalaya.kernel_ridge import KernelRidgeCV

import factortopy as ft

ALPHAS = np.logspace(-3, 5, 17)
GLOBAL = 0.25
"""Share of the global tokens' kernel beside that of the local ones."""
QUICK = ("v4_190923",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--networks", nargs="+", default=["squeezenet-1.1"])
    parser.add_argument("--work", type=Path, default=Path("runs/winning"), help="where tokens are kept")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--page", type=Path, help="Markdown file for the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    subjects = sorted(path for path in options.folder.iterdir() if (path / "responses.npy").is_file())
    rows = [
        row
        for network in options.networks
        for path in subjects
        if not options.quick or path.name in QUICK
        for row in cases(network, path, options.work)
    ]
    margins = [row["r2"] - row["best_ridge"] for row in rows]
    if options.page:
        options.page.write_text(page(rows), encoding="utf-8")
    summary = {"worst_margin_to_baseline": min(margins), "mean_margin_to_baseline": float(np.mean(margins))}
    print(json.dumps({**summary, "rows": rows}))


def cases(network: str, path: Path, work: Path) -> list[dict]:
    """A row a split of one subject."""
    tokens, subject, splits = read_recording(network, path, work)
    rows = []
    for name, split in splits.items():
        start = time.perf_counter()
        mapping = ft.fit(tokens, subject, split=split, bootstrap=0, progress=False)
        seconds = time.perf_counter() - start
        scores = ridges(tokens, subject, split)
        row = {"subject": path.name, "units": len(subject.voxels), "network": network, "split": name}
        row |= {f"images_{side}": len(ids) for side, ids in split.to_dict().items()}
        row |= {"r2": float(mapping.dataset["r2"].mean()), **scores, "seconds": round(seconds, 1)}
        row["best_ridge"] = max(value for key, value in scores.items() if key.startswith("ridge"))
        rows.append(row)
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    return rows


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


def page(rows: list[dict]) -> str:
    """The table as a page."""
    columns = ["recording", "units", "network", "split", "images (fit, test)", "FactorTopy", "ridge, all layers"]
    columns += ["with global", "best layer", "training mean"]
    lines = [
        "# Real recordings",
        "",
        "Written by `python benchmarks/winning.py FOLDER --page FILE`: mean held-out R² over units, of the",
        "default recipe without coordinates and of himalaya's ridge regressions (5 folds, a penalty a unit, refit on",
        "training and validation images). Ridges that beat the fit are in bold. No recording ships with this package.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + " --- |" * len(columns),
    ]
    for row in rows:
        ridge = [row["ridge_all_layers"], row["ridge_all_and_global"], row["ridge_best_layer"]]
        cells = [f"**{value:.3f}**" if value > row["r2"] else f"{value:.3f}" for value in ridge]
        fitted = row["images_train"] + row["images_validation"]
        first = [row["subject"], str(row["units"]), row["network"], row["split"], f"{fitted}, {row['images_test']}"]
        lines.append("| " + " | ".join([*first, f"{row['r2']:.3f}", *cells, f"{row['training_mean']:.3f}"]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
