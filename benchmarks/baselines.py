"""The tables of ``docs/baselines.md``: methods on a simulated subject, and on real recordings beside it.

Run from the repository's root: ``python benchmarks/baselines.py --demo DEMO --recordings FOLDER --page PAGE``.
``DEMO`` is a folder that ``factortopy demo`` wrote. ``FOLDER`` holds a subject's folder each, as for
``benchmarks/winning.py``; their splits are JSON files, of several of which the means are taken. What is fitted is kept
in ``--work``, so that a run that was stopped goes on. Tables are put between the marks of their names in ``PAGE``; only
those are written whose folder is given. The last line is a JSON object with all rows.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pandas
import torch

import factortopy as ft
from winning import read_recording

NETWORK = "squeezenet-1.1"
LINEAR = ("training-mean", "ridge-best-layer", "ridge-all-layers", "banded-ridge", "fwrf", "factortopy")
STEPS = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="folder of the demo")
    parser.add_argument("--recordings", type=Path, help="folder of recordings")
    parser.add_argument("--work", type=Path, default=Path("runs/baselines"), help="where tokens and results are kept")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are replaced")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables, rows = {}, {}
    if options.demo:
        scores = simulated(options.demo, options.work / "simulated")
        tables["simulated"], rows["simulated"] = by_roi(scores.table()), scores.to_dict()["rows"]
    if options.recordings:
        found = {
            path.name: recording(path, options.work) for path in sorted(options.recordings.iterdir()) if path.is_dir()
        }
        tables["recordings"] = by_recording(found)
        rows["recordings"] = {name: json.loads(table.to_json(orient="records")) for name, table in found.items()}
    if options.page:
        text = options.page.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = put(text, name, table)
        options.page.write_text(text, encoding="utf-8")
    print(json.dumps(rows))


def simulated(demo: Path, work: Path) -> ft.baselines.BaselineScores:
    """All methods on every eighth voxel of a subject simulated from the demo's tokens, every other view."""
    tokens = ft.TokenStore.open(next((demo / "tokens").iterdir()))
    subject = ft.simulate_subject(tokens, planted_channels=5, progress=False)
    subject = subject.select(np.arange(0, len(subject.voxels), 8))
    views = ft.sample_views(len(tokens))
    views = views.subset(views.ids[::2])
    split = ft.split_images(views.ids, views.groups, fractions=(0.65, 0.12, 0.23))
    scores = ft.run_baselines(tokens, subject, work, split=split, steps=STEPS)
    ft.plot.save(ft.plot.baselines(scores), work / "baselines")
    return scores


def recording(path: Path, work: Path) -> pandas.DataFrame:
    """Rows of all units, a row for each method: the mean over splits."""
    tokens, subject, splits = read_recording(NETWORK, path, work)
    parts = []
    for name, split in splits.items():
        output = work / f"{path.name}-{NETWORK}-{name.replace(':', '-').replace(', ', '-').replace(' ', '-')}"
        table = ft.run_baselines(tokens, subject, output, which=LINEAR, split=split).table()
        parts.append(table[table["roi"] == ft.cortex.ALL_VOXELS].assign(split=name, units=len(subject.voxels)))
        print(path.name, name, parts[-1].set_index("method")["r2"].round(4).to_dict(), flush=True)
    return pandas.concat(parts)


def by_roi(table: pandas.DataFrame) -> str:
    """A column for each ROI; the last two are all voxels and the difference from FactorTopy there."""
    rois = list(dict.fromkeys(table["roi"]))
    lines = [[own["label"].iloc[0], *(number(own, roi) for roi in rois), less(own)] for own in methods(table)]
    return markdown(["method", *rois, "less FactorTopy"], lines)


def by_recording(found: dict[str, pandas.DataFrame]) -> str:
    """Two columns for each recording: R^2, and less FactorTopy; means over splits where there are several."""
    columns = ["method"]
    lines: dict[str, list[str]] = {}
    for name, table in found.items():
        splits = table["split"].nunique()
        columns += [
            f"{name}, {table['units'].iloc[0]:,} units" + (f", {splits} splits" if splits > 1 else ""),
            "less FactorTopy",
        ]
        for own in methods(table):
            difference = less(own) if splits == 1 else f"{own['difference'].mean():+.3f}"
            label = own["label"].iloc[0]
            lines.setdefault(label, [label]).extend(
                [f"{own['r2'].mean():.3f}", "–" if label == "FactorTopy" else difference]
            )
    return markdown(columns, list(lines.values()))


def methods(table: pandas.DataFrame) -> list[pandas.DataFrame]:
    """Rows of each method."""
    return [table[table["method"] == name] for name in dict.fromkeys(table["method"])]


def number(own: pandas.DataFrame, roi: str) -> str:
    return f"{own.set_index('roi').loc[roi, 'r2']:.3f}"


def less(own: pandas.DataFrame) -> str:
    return ft.analysis.text_in_row(own.iloc[-1].to_dict(), "difference", "+.3f")


def markdown(columns: list[str], lines: list[list[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def put(text: str, name: str, table: str) -> str:
    """The page with the table between the marks of its name."""
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"the page has no place for a table: {marks[0]} ... {marks[1]}")
    return pattern.sub(lambda _: f"{marks[0]}\n{table}\n{marks[1]}", text)


if __name__ == "__main__":
    main()
