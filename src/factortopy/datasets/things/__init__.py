"""THINGS-fMRI: the folder that holds ``betas_csv``, or that one itself; it ships no photographs."""

from collections import Counter
from pathlib import Path

import numpy as np

from factortopy.datasets.data_set import DataSet, Report, holding, numbered, spread_over
from factortopy.datasets.things.files import open_responses, read_table, read_trials, tables_folder, whole_numbers
from factortopy.datasets.things.reader import load_things

PARTS = {"ResponseData.h5": "responses", "VoxelMetadata.csv": "voxels", "StimulusMetadata.csv": "trials"}


def check_things(path: Path, report: Report) -> None:
    """The three tables of every subject, and the responses of a few voxels."""
    tables = tables_folder(path)
    names = sorted({file.name[:6] for file in tables.glob("sub-0[1-9]_*") if file.name[7:] in PARTS})
    for name in names:
        with report.problems_at(tables):
            _check_subject(report, tables, name)
    if not names:
        fix = "get sub-01_ResponseData.h5 and the two tables beside it"
        report.add("problem", tables, "no subject in table form is here (betas_csv)", fix)


def _check_subject(report: Report, tables: Path, name: str) -> None:
    files = {part: tables / f"{name}_{part}" for part in PARTS}
    missing = {part: file for part, file in files.items() if not file.is_file()}
    for part, file in missing.items():
        report.add("problem", file, f"missing: the {PARTS[part]} of {name}", "get it from the same release")
    if missing:
        return
    shown = read_trials(files["StimulusMetadata.csv"])
    voxels = read_table(files["VoxelMetadata.csv"], ("voxel_id",))
    trials = Counter(shown["trial_type"])
    test_images = shown.loc[shown["trial_type"] == "test", "stimulus"].nunique()
    counted = {"train trials": trials["train"], "test trials": trials["test"]}
    report.count(name, counted | {"test images": test_images, "voxels": len(voxels)})
    if set(counted) & set(report.differing(name)):
        message = "numbers of trials differ from the published ones: a part of the data"
        report.add("note", files["StimulusMetadata.csv"], message)
    ids = whole_numbers(voxels, "voxel_id", files["VoxelMetadata.csv"])
    _check_responses(report, files["ResponseData.h5"], ids, len(shown))


def _check_responses(report: Report, file: Path, ids: np.ndarray, trials: int) -> None:
    """Whether the responses are those of both tables, and a few voxels have values."""
    chosen = spread_over(len(ids))
    with open_responses(file, ids, trials) as responses:
        sample = responses.read(chosen)
    bad = int((~np.isfinite(sample)).any(axis=0).sum())
    constant = int((sample.std(axis=0) == 0).sum())
    if len(chosen) in (bad, constant):
        report.add("problem", file, "all voxels sampled are NaN or constant", "get it again")
        return
    if bad or constant:
        message = f"{bad} of {len(chosen)} voxels sampled hold NaN, {constant} never change: left out by the reader"
        report.add("note", file, message)
    report.add("ok", file, f"{len(ids):,} voxels x {trials:,} trials, as both tables say")


THINGS = DataSet(
    name="things",
    title="THINGS-fMRI",
    expected="THINGS-fMRI (betas_csv)",
    recognises=holding("sub-*_ResponseData.h5", "betas_csv/sub-*_ResponseData.h5", "betas_vol/sub-*"),
    subjects=numbered("sub-0?_ResponseData.h5", "betas_csv/sub-0?_ResponseData.h5"),
    load=load_things,
    check=check_things,
    counts_file=Path(__file__).with_name("published.toml"),
)
