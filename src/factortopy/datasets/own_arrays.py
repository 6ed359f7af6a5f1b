"""Own arrays: the folder of a subject, as ``Subject.save`` writes it or made by hand, or a ``subject.toml``."""

from pathlib import Path
from typing import Any

import numpy as np

from factortopy.cortex import HEMISPHERES
from factortopy.datasets.data_set import SAMPLED, DataSet, Report, holding
from factortopy.images import FEWEST_TEST_IMAGES, SIDES, ImageSet, images_from_folder, split_images
from factortopy.storage import SUFFIXES, ArrayPath, npy_header
from factortopy.subjects import (
    LabelledRegion,
    Subject,
    described_files,
    described_images,
    load_subject_folder,
    read_description,
    read_ids,
)

_IN_FOLDER = holding("subject.toml", "responses.*")
UNLIKE = 20.0
"""Ratio of the largest noise ceilings of two hemispheres from which on it is no matter of brains."""
LARGEST = 2 * 10**9
"""Bytes of responses that are read whole, which takes seconds; of larger ones some rows are looked at."""


def check_arrays(path: Path, report: Report) -> None:
    """The files that make the subject up."""
    folder, facts = read_description(path)
    parts = described_files(folder, facts)
    _check_unread(report, folder, parts)
    responses = parts["responses"]
    files = [ArrayPath.parse(part).file for part in (responses if isinstance(responses, list) else [responses])]
    if sum(file.stat().st_size for file in files if file.is_file()) <= LARGEST:
        _check_subject(report, load_subject_folder(path))
    else:
        _check_large(report, folder, responses, parts["image_ids"])


def _check_subject(report: Report, subject: Subject) -> None:
    voxels, constant = subject.voxels, int((np.ptp(subject.responses, axis=0) == 0).sum())
    counted = {"images": len(subject.image_ids), "voxels": len(voxels), "ROIs": len(voxels.rois)}
    report.count(subject.name, counted)
    if voxels.assumption is None:
        report.count(subject.name, {f"{side} voxels": int((voxels.hemisphere == side).sum()) for side in HEMISPHERES})
    empty = [roi for roi, mask in voxels.rois.items() if not mask.any()]
    distinct, largest, sharing = subject.distinct_image_ids, _largest_by_side(subject), _sharing(subject)
    tested = len(split_images(distinct).test) if len(distinct) >= len(SIDES) else 0
    notes = {
        f"{len(distinct)} distinct images, of which 8:1:1 tests {tested}: too few for limits ({FEWEST_TEST_IMAGES}); "
        "fit folds (--split 1/5 to 5/5) and score them together": tested < FEWEST_TEST_IMAGES,
        f"all {len(voxels):,} voxels have the same coordinates, so that a fit takes them for one place; give their "
        "positions, or leave coordinates out where these are not known (docs/data.md)": sharing == len(voxels) > 1,
        f"{sharing} of {len(voxels):,} voxels share their coordinates with another: a fit takes them for one; give "
        "each its own": 0 < sharing < len(voxels),
        f"noise ceilings reach {' and '.join(f'{value:.3g} on the {side}' for side, value in largest.items())}: is one "
        "side divided by 100 twice?": max(largest.values(), default=0) > UNLIKE * min(largest.values(), default=0),
        f"{constant:,} of {len(voxels):,} voxels never change: they have no R^2; leave them out": constant > 0,
        f"no voxel in the ROI {', '.join(empty)}": bool(empty),
        f"{voxels.assumption}; no maps or spatial nulls": voxels.assumption is not None,
        "no surface is named: flat maps cannot be drawn": voxels.surface is None and voxels.assumption is None,
        "no noise ceiling: scores stay raw": subject.noise_ceiling is None,
        'no images/, nor images = "FOLDER" in subject.toml: ids must be those of the tokens': subject.images is None,
    }
    for note in (message for message, holds in notes.items() if holds):
        report.add("note", report.root, note)
    report.add("ok", report.root, "all files fit one another")


def _sharing(subject: Subject) -> int:
    """How many voxels lie where another one lies."""
    if subject.voxels.coordinates is None:
        return 0
    _, counts = np.unique(subject.voxels.coordinates, axis=0, return_counts=True)
    return int(counts[counts > 1].sum())


def _largest_by_side(subject: Subject) -> dict[str, float]:
    """The largest noise ceiling of each hemisphere."""
    if subject.noise_ceiling is None:
        return {}
    ceiling, sides = subject.noise_ceiling, subject.voxels.hemisphere
    return {str(side): float(ceiling[sides == side].max()) for side in np.unique(sides)}


def _check_unread(report: Report, folder: Path, parts: dict[str, Any]) -> None:
    """Arrays that lie in the folder but are no part of the subject: names that were misspelt."""
    every = (*parts.values(), *parts["rois"].values())
    sources = [part.labels if isinstance(part, LabelledRegion) else part for part in every]
    files = [file for source in sources for file in (source if isinstance(source, list) else [source])]
    read = {ArrayPath.parse(file).file.resolve() for file in files if isinstance(file, str | Path)}
    for file in sorted(folder.iterdir()):
        if file.name.lower().endswith(SUFFIXES) and not file.name.startswith(".") and file.resolve() not in read:
            report.add("note", file, "is not read: no part has this name", "name it in subject.toml, or take it away")


def _check_large(report: Report, folder: Path, responses: Any, ids: Any) -> None:
    if not isinstance(responses, Path) or responses.suffix.lower() != ".npy":
        report.add("note", folder, "responses are too large to look at in seconds in this format")
        return
    header = npy_header(responses)
    report.count(folder.resolve().name, {"images": header.shape[0], "voxels": header.shape[-1]})
    rows = np.load(responses, mmap_mode="r", allow_pickle=False)
    sample = np.array(rows[:: max(1, len(rows) // SAMPLED)][:SAMPLED], dtype=np.float64)
    if not np.isfinite(sample).all():
        report.add("problem", responses, "NaN or infinity in the rows sampled", "leave those voxels out")
    if isinstance(ids, Path) and len(read_ids(ids)) != header.shape[0]:
        message = f"{len(read_ids(ids)):,} ids for {header.shape[0]:,} rows of responses"
        report.add("problem", ids, message, "give one id for each row, in the same order")
    report.add("ok", responses, f"{len(sample)} rows sampled; values of the other files were not read")


def _images(path: Path) -> ImageSet | None:
    folder, facts = read_description(path)
    photographs = described_images(folder, facts)
    return None if photographs is None else images_from_folder(photographs)


def _load(path: Path, *, progress: bool = True) -> Subject:
    del progress  # it is read in seconds
    return load_subject_folder(path)


OWN_ARRAYS = DataSet(
    name="arrays",
    title="Own arrays",
    expected="own arrays (responses.npy or subject.toml)",
    recognises=lambda path: path.suffix.lower() == ".toml" if path.is_file() else _IN_FOLDER(path),
    load=_load,
    images=_images,
    check=check_arrays,
)
