"""Algonauts 2023: a subject's folder, or the one above; checked from heads, sizes and a few sampled rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.algonauts.files import (
    CEILING,
    CLASSES,
    MAPPING,
    RESPONSES,
    SIDES,
    challenge_mask,
    check_response_header,
    images_folder,
    nsd_ids,
    read_noise_ceiling,
    read_rois,
    response_headers,
    several_subjects,
    subject_folder,
    subject_folders,
)
from factortopy.datasets.algonauts.reader import load_algonauts, training_images
from factortopy.datasets.data_set import DataSet, Report, spread_over
from factortopy.subjects import Subject

LARGEST_ID = 72_999
ZSCORED = (0.3, 2.0)
"""Standard deviation of responses that were z-scored and then averaged over one to three presentations."""


def check_algonauts(path: Path, report: Report) -> None:
    """Names of images, values, masks, labels and ceilings of every subject."""
    for folder in subject_folders(path).values():
        _check_subject(report, folder)


def _check_subject(report: Report, folder: Path) -> None:
    name = folder.resolve().name
    ids = {split: _check_images(report, folder, split) for split in ("training", "test")}
    twice = set(ids["training"]) & set(ids["test"])
    if twice:
        images = images_folder(folder, "test")
        report.add("problem", images, f"nsd-{min(twice):05d} is a training image too", "get both folders again")
    vertices: dict[str, int] = {}
    for side in SIDES:
        with report.problems_at(folder / RESPONSES.format(side)):
            vertices[side] = _check_values(report, folder / RESPONSES.format(side))
    report.count(name, {f"{word} vertices": vertices.get(side) for side, word in SIDES.items()})
    if len(vertices) == len(SIDES):
        with report.problems_at(folder):
            _check_together(report, folder, vertices)
    if differing := report.differing(name):
        meaning = "a part of the data, or another release"
        report.add("note", folder, f"{', '.join(differing)} differ from the published numbers: {meaning}")


def _pictures(folder: Path) -> list[Path]:
    """The images of a folder as they are read: without the hidden files that macOS puts beside them."""
    return sorted(file for file in folder.glob("*.png") if not file.name.startswith("."))


def _check_images(report: Report, subject: Path, split: str) -> list[int]:
    """NSD ids of the images of a split, where they are named as they should be."""
    folder = images_folder(subject, split)
    files = _pictures(folder)
    report.count(subject.resolve().name, {f"{split} images": len(files)})
    if not files and split == "training":
        report.add("problem", folder, f"no {split} images are here", "get the images")
    elif not files:
        report.add("note", folder, f"no {split} images are here")
    empty = [file for file in files if file.stat().st_size == 0]
    if empty:
        report.add("problem", empty[0], f"{len(empty)} images are empty files", "get them again")
    with report.problems_at(folder):
        ids = nsd_ids(folder, split, [file.name for file in files])
        if ids != sorted(set(ids)) or max(ids, default=0) > LARGEST_ID:
            message = "NSD ids in the names do not ascend from 0 to 72999"
            report.add("problem", folder, message, "get the images again")
        return ids
    return []


def _check_values(report: Report, file: Path) -> int:
    """The number of vertices; a few rows of the responses are looked at."""
    header = check_response_header(file)
    values = np.load(file, mmap_mode="r", allow_pickle=False)
    rows = spread_over(len(values))
    sample = np.array(values[rows], dtype=np.float64)
    bad = int((~np.isfinite(sample)).any(axis=0).sum())
    if bad:
        message = f"NaN or infinity in {bad:,} of {sample.shape[1]:,} vertices ({len(rows)} rows sampled)"
        report.add("problem", file, message, "the challenge took such vertices out: get the file again")
        return header.shape[1]
    spread, (low, high) = float(np.median(sample.std(axis=0))), ZSCORED
    scale = f"median standard deviation {spread:.3g}"
    if not low <= spread <= high and len(rows) > 2:
        message = f"{scale}, expected about 0.6 to 1: these are not the z-scored responses of the challenge"
        report.add("problem", file, message, "get the file again, without scaling it")
    else:
        report.add("ok", file, f"{scale}, z-scored and averaged as the challenge has them")
    return header.shape[1]


def _check_together(report: Report, folder: Path, vertices: Mapping[str, int]) -> None:
    """Whether responses, images, masks and labels fit one another."""
    rows, images = response_headers(folder)["lh"].shape[0], len(_pictures(images_folder(folder)))
    if rows != images:
        message = f"{rows:,} rows of responses but {images:,} training images"
        report.add("problem", folder / RESPONSES.format("lh"), message, "one of them is incomplete: get it again")
    for side, count in vertices.items():
        challenge_mask(folder, side, count)
    rois, masks = read_rois(folder, vertices), folder / "roi_masks"
    missing = [name for name in CLASSES if not (folder / MAPPING.format(name)).is_file()]
    if missing:
        report.add("note", masks, f"no labels of {', '.join(missing)}: these ROIs will be missing")
    report.add("ok", masks, f"{len(rois)} ROIs with vertices; masks, labels and their names fit the responses")
    ceiling, file = read_noise_ceiling(folder, vertices), folder / CEILING.format("lh")
    if ceiling is None:
        report.add("note", file, "no noise ceiling (the organisers did not release it): scores stay raw")
    else:
        report.add("ok", file, f"median noise ceiling {np.median(ceiling):.3f} of the variance")


def _load(path: Path, subject: int | None = None, *, progress: bool = True, **options: Any) -> Subject:
    del progress  # it is read in seconds
    return load_algonauts(subject_folder(path, subject), **options)


ALGONAUTS = DataSet(
    name="algonauts",
    title="Algonauts 2023",
    expected="Algonauts 2023 (training_split, roi_masks)",
    recognises=lambda path: bool(subject_folders(path)),
    subjects=several_subjects,
    load=_load,
    images=lambda path: training_images(subject_folder(path)),
    check=check_algonauts,
    counts_file=Path(__file__).with_name("published.toml"),
)
