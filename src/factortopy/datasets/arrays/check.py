"""Checks a subject of own arrays: the files that make it up, their sizes and, where small, their values."""

from pathlib import Path
from typing import Any

import numpy as np

from factortopy.datasets.findings import Report
from factortopy.errors import FactortopyError
from factortopy.storage import ArrayPath, npy_header
from factortopy.subjects import Subject, described_files, load_subject_folder, read_facts, read_ids

LARGEST = 2 * 10**9
"""Bytes of responses that are read whole, which takes seconds; of larger ones some rows are looked at."""
SAMPLED = 64


def check_arrays(root: Path) -> Report:
    """Check a subject's folder, or a ``subject.toml`` by another name.

    Args:
        root: the folder or file.

    Returns:
        Counts, and findings.
    """
    report = Report("arrays", root)
    try:
        if _size(root) <= LARGEST:
            _check_subject(report, load_subject_folder(root))
        else:
            _check_large(report, root)
    except FactortopyError as error:
        report.failed(root, error)
    return report


def _parts(root: Path) -> tuple[Path, dict[str, Any]]:
    folder = root if root.is_dir() else root.parent
    facts = read_facts(folder / "subject.toml" if root.is_dir() else root)
    return folder, described_files(folder, facts)


def _size(root: Path) -> int:
    responses = _parts(root)[1]["responses"]
    files = responses if isinstance(responses, list) else [responses]
    paths = [ArrayPath.parse(file).file for file in files]
    return sum(path.stat().st_size for path in paths if path.is_file())


def _check_subject(report: Report, subject: Subject) -> None:
    name = subject.name
    report.count(name, "images", len(subject.image_ids))
    report.count(name, "voxels", len(subject.voxels))
    report.count(name, "ROIs", len(subject.voxels.rois))
    for side in ("left", "right"):
        report.count(name, f"{side} voxels", int((subject.voxels.hemisphere == side).sum()))
    root = report.root
    constant = int((np.ptp(subject.responses, axis=0) == 0).sum())
    if constant:
        message = f"{constant:,} of {len(subject.voxels):,} voxels never change: they have no R^2"
        report.add("note", root, message, "leave them out")
    empty = [roi for roi, mask in subject.voxels.rois.items() if not mask.any()]
    if empty:
        report.add("note", root, f"no voxel in the ROI {', '.join(empty)}")
    if subject.voxels.surface is None:
        report.add("note", root, "no surface is named: flat maps cannot be drawn")
    if subject.noise_ceiling is None:
        report.add("note", root, "no noise ceiling: scores stay raw")
    if subject.images is None:
        report.add("note", root, "no folder of images is named; image ids must be those of the tokens")
    report.add("ok", root, "all files fit one another")


def _check_large(report: Report, root: Path) -> None:
    folder, parts = _parts(root)
    responses = parts["responses"]
    name = folder.resolve().name
    if not isinstance(responses, Path) or responses.suffix != ".npy":
        report.add("note", folder, "responses are too large to look at in seconds in this format")
        return
    header = npy_header(responses)
    report.count(name, "images", header.shape[0])
    report.count(name, "voxels", header.shape[-1])
    rows = np.load(responses, mmap_mode="r", allow_pickle=False)
    sample = np.array(rows[:: max(1, len(rows) // SAMPLED)][:SAMPLED], dtype=np.float64)
    if not np.isfinite(sample).all():
        report.add("problem", responses, "NaN or infinity in the rows sampled", "leave those voxels out")
    ids = parts["image_ids"]
    if isinstance(ids, Path) and len(read_ids(ids)) != header.shape[0]:
        message = f"{len(read_ids(ids)):,} ids for {header.shape[0]:,} rows of responses"
        report.add("problem", ids, message, "give one id for each row, in the same order")
    report.add("ok", responses, f"{len(sample)} rows sampled; values of the other files were not read")
