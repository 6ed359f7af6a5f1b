"""Checks a folder of Algonauts 2023 from heads, sizes and a few sampled rows."""

import re
from pathlib import Path

import numpy as np

from factortopy.datasets.algonauts.files import (
    CLASSES,
    SIDES,
    ceiling_file,
    challenge_mask,
    fmri_file,
    images_folder,
    read_noise_ceiling,
    read_rois,
    response_headers,
)
from factortopy.datasets.findings import Report
from factortopy.datasets.recognise import algonauts_subjects
from factortopy.errors import DataError, ShapeError
from factortopy.storage import npy_header

PUBLISHED = {
    "training images": (9841, 9841, 9082, 8779, 9841, 9082, 9841, 8779),
    "test images": (159, 159, 293, 395, 159, 293, 159, 395),
    "left vertices": (19004, 19004, 19004, 19004, 19004, 18978, 19004, 18981),
    "right vertices": (20544, 20544, 20544, 20544, 20544, 20220, 20544, 20530),
}
"""Of subjects 1 to 8; 6 and 8 have fewer vertices, as those with NaN were taken out."""
NAMES = {
    "training": re.compile(r"train-(\d{4,})_nsd-(\d{5})\.png"),
    "test": re.compile(r"test-(\d{4,})_nsd-(\d{5})\.png"),
}
LARGEST_ID = 72_999
ZSCORED = (0.3, 2.0)
"""Standard deviation of responses that were z-scored and then averaged over one to three presentations."""
SAMPLED = 64


def check_algonauts(root: Path) -> Report:
    """Check every subject in a folder of Algonauts 2023, or the folder of one subject.

    Args:
        root: the folder.

    Returns:
        Counts beside the published ones, and findings.
    """
    report = Report("algonauts", root)
    for folder in algonauts_subjects(root).values() or [root]:
        check_subject(report, folder)
    return report


def check_subject(report: Report, folder: Path) -> None:
    """Add what is found in one subject's folder."""
    name = folder.resolve().name
    number = int(name[-1]) if re.fullmatch(r"subj0[1-8]", name) else None
    published = {what: None if number is None else row[number - 1] for what, row in PUBLISHED.items()}
    ids = {split: _check_names(report, images_folder(folder, split), split) for split in NAMES}
    twice = set(ids["training"]) & set(ids["test"])
    if twice:
        place = images_folder(folder, "test")
        report.add("problem", place, f"nsd-{min(twice):05d} is a training image too", "get both folders again")
    found = {f"{split} images": len(numbers) for split, numbers in ids.items()}
    counts: dict[str, int] = {}
    for side in SIDES:
        try:
            _check_values(report, fmri_file(folder, side))
            counts[side] = npy_header(fmri_file(folder, side)).shape[1]
            found[f"{SIDES[side]} vertices"] = counts[side]
        except DataError as error:
            report.failed(fmri_file(folder, side), error)
    if len(counts) == len(SIDES):
        _check_together(report, folder, counts, len(ids["training"]))
    for what, row in published.items():
        report.count(name, what, found.get(what), row)
    other = [what for what, row in published.items() if row is not None and found.get(what, row) != row]
    if other:
        meaning = "a part of the data, or another release"
        report.add("note", folder, f"{', '.join(other)} differ from the published numbers: {meaning}")


def _check_together(report: Report, folder: Path, counts: dict[str, int], images: int) -> None:
    """Whether responses, images, masks and labels fit one another."""
    try:
        rows = response_headers(folder)["lh"].shape[0]
        if rows != images:
            report.add(
                "problem",
                fmri_file(folder, "lh"),
                f"{rows:,} rows of responses but {images:,} training images",
                "one of them is incomplete: get it again",
            )
        _check_masks(report, folder, counts)
        _check_ceiling(report, folder, counts)
    except DataError as error:
        report.failed(error.path or folder, error)


def _check_names(report: Report, place: Path, split: str) -> list[int]:
    """NSD ids of the images of a split; rows of responses follow the order of names."""
    names = sorted(file.name for file in place.glob("*.png"))
    if not names:
        level, fix = ("problem", "get the images") if split == "training" else ("note", "")
        report.add(level, place, f"no {split} images are here", fix)  # type: ignore[arg-type]
        return []
    found = [NAMES[split].fullmatch(name) for name in names]
    for row, (name, match) in enumerate(zip(names, found, strict=True), start=1):
        if match is None or int(match[1]) != row:
            wanted = f"{'train' if split == 'training' else split}-{row:04d}_nsd-*.png"
            fix = "rows of responses follow the names: get the missing image or take away the one too many"
            report.add("problem", place / name, f"stands where {wanted} should", fix)
            return [int(match[2]) for match in found if match]
    ids = [int(match[2]) for match in found if match]
    if ids != sorted(set(ids)) or ids[-1] > LARGEST_ID:
        report.add("problem", place, "NSD ids in the names do not ascend from 0 to 72999", "get the images again")
    empty = [name for name in names if (place / name).stat().st_size == 0]
    if empty:
        report.add("problem", place / empty[0], f"{len(empty)} images are empty files", "get them again")
    return ids


def _check_masks(report: Report, folder: Path, counts: dict[str, int]) -> None:
    for side, count in counts.items():
        challenge_mask(folder, side, count)
    rois = read_rois(folder, counts)
    there = [name for name in CLASSES if (folder / "roi_masks" / f"mapping_{name}.npy").is_file()]
    missing = [name for name in CLASSES if name not in there]
    masks = folder / "roi_masks"
    if missing:
        report.add("note", masks, f"no labels of {', '.join(missing)}: these ROIs will be missing")
    report.add("ok", masks, f"{len(rois)} ROIs with vertices; masks, labels and their names fit the responses")


def _check_values(report: Report, file: Path) -> None:
    """A few rows from the beginning, middle and end of the responses, and the ceiling beside them."""
    header = npy_header(file)
    if len(header.shape) != 2 or 0 in header.shape or header.dtype.kind != "f":
        raise ShapeError(f"{file}: {header.dtype} of shape {header.shape}, expected float32 (image, vertex)", path=file)
    values = np.load(file, mmap_mode="r", allow_pickle=False)
    rows = np.unique(np.linspace(0, len(values) - 1, min(SAMPLED, len(values))).astype(int))
    sample = np.array(values[rows], dtype=np.float64)
    bad = int((~np.isfinite(sample)).any(axis=0).sum())
    if bad:
        message = f"NaN or infinity in {bad:,} of {sample.shape[1]:,} vertices ({len(rows)} rows sampled)"
        report.add("problem", file, message, "the challenge took such vertices out: get the file again")
        return
    spread, (low, high) = float(np.median(sample.std(axis=0))), ZSCORED
    scale = f"median standard deviation {spread:.3g}"
    if not low <= spread <= high and len(rows) > 2:
        message = f"{scale}, expected about 0.6 to 1: these are not the z-scored responses of the challenge"
        report.add("problem", file, message, "get the file again, without scaling it")
    else:
        report.add("ok", file, f"{scale}, z-scored and averaged as the challenge has them")


def _check_ceiling(report: Report, folder: Path, counts: dict[str, int]) -> None:
    ceiling = read_noise_ceiling(folder, counts)
    file = ceiling_file(folder, "lh")
    if ceiling is None:
        report.add("note", file, "no noise ceiling (the organisers did not release it): scores stay raw")
    else:
        report.add("ok", file, f"median noise ceiling {np.median(ceiling):.3f} of the variance")
