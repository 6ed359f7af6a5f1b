"""The files of an Algonauts 2023 subject, each read and checked by itself."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from factortopy.cortex import Labels
from factortopy.datasets.algonauts.safe_mapping import read_mapping
from factortopy.errors import DataError, ShapeError
from factortopy.storage import NpyHeader, npy_header, read_array

SIDES = {"lh": "left", "rh": "right"}
RESPONSES = "training_split/training_fmri/{}_training_fmri.npy"
CEILING = "test_split/noise_ceiling/{}_noise_ceiling.npy"
MASK = "roi_masks/{}.all-vertices_fsaverage_space.npy"
LABELS = "roi_masks/{}.{}_challenge_space.npy"
"""By hemisphere (``"lh"`` or ``"rh"``) and class; in challenge space."""
MAPPING = "roi_masks/mapping_{}.npy"
CLASSES = ("prf-visualrois", "floc-bodies", "floc-faces", "floc-places", "floc-words", "streams")
MERGED = {
    "V1": ("V1v", "V1d"),
    "V2": ("V2v", "V2d"),
    "V3": ("V3v", "V3d"),
    "V2V3": ("V2v", "V2d", "V3v", "V3d"),
    "V4": ("hV4",),
    "FFA": ("FFA-1", "FFA-2"),
    "FBA": ("FBA-1", "FBA-2"),
    "VWFA": ("VWFA-1", "VWFA-2"),
}
"""ROIs added as the union of parts; the hierarchy's slope and the tables use these names."""
BLOCK = 256
"""Rows of responses read at a time."""
SUBJECT = re.compile(r"subj(\d\d)")


def subject_folders(root: Path) -> dict[int, Path]:
    """The subjects' folders in a folder of Algonauts 2023 by number; a subject's own folder by its own, or 0."""
    if _is_subject(root):
        match = SUBJECT.fullmatch(root.resolve().name)
        return {int(match[1]) if match else 0: root}
    named = ((SUBJECT.fullmatch(folder.name), folder) for folder in sorted(root.glob("subj??")))
    return {int(match[1]): folder for match, folder in named if match and _is_subject(folder)}


def several_subjects(root: Path) -> tuple[int, ...]:
    """Numbers of the subjects in a folder; none where it is one subject's own."""
    return () if _is_subject(root) else tuple(subject_folders(root))


def subject_folder(root: Path, subject: int | None = None) -> Path:
    """The folder of one subject, the first by default."""
    folders = subject_folders(root)
    if subject is not None and subject not in folders:
        if _is_subject(root):
            raise DataError.of(root, "is one subject's folder; give the folder above it for another")
        raise DataError.of(root, f"has no subject {subject}; it has {', '.join(map(str, folders))}")
    return folders[min(folders) if subject is None else subject]


def _is_subject(folder: Path) -> bool:
    return (folder / "training_split").is_dir() or (
        (folder / "roi_masks").is_dir() and (folder / "test_split").is_dir()
    )


def images_folder(folder: Path, split: str = "training") -> Path:
    """The folder of the ``"training"`` or ``"test"`` images."""
    return folder / f"{split}_split" / f"{split}_images"


def nsd_ids(folder: Path, split: str, names: Sequence[str]) -> list[int]:
    """NSD ids of the images of a split by their names, which number the rows of responses."""
    ids, stem = [], "train" if split == "training" else split
    for number, name in enumerate(names, start=1):
        match = re.fullmatch(rf"{stem}-(\d{{4,}})_nsd-(\d{{5}})\.png", name)
        if match is None or int(match[1]) != number:
            fault = f"stands where {stem}-{number:04d}_nsd-*.png should; rows of responses follow the file names"
            raise DataError.of(folder / name, f"{fault}: get the missing image, or take away the one too many")
        ids.append(int(match[2]))
    return ids


def check_response_header(file: Path) -> NpyHeader:
    """The head of a file of responses, float (image, vertex)."""
    header = npy_header(file)
    if len(header.shape) != 2 or 0 in header.shape or header.dtype.kind != "f":
        fault = f"holds {header.dtype} of shape {header.shape}, expected float32 (image, vertex); get it again"
        raise ShapeError.of(file, fault)
    return header


def response_headers(folder: Path) -> dict[str, NpyHeader]:
    """The heads of the responses of ``"lh"`` and ``"rh"``, which have the same number of rows."""
    headers = {side: check_response_header(folder / RESPONSES.format(side)) for side in SIDES}
    left, right = (header.shape[0] for header in headers.values())
    if left != right:
        file, other = (folder / RESPONSES.format(side) for side in SIDES)
        fault = f"has {left} rows, {other.name} {right}; they are of different subjects: get both again"
        raise ShapeError.of(file, fault)
    return headers


def read_responses(
    folder: Path, headers: Mapping[str, NpyHeader], chosen: Bool[np.ndarray, "vertex"]
) -> Float[np.ndarray, "image voxel"]:
    """The training responses of some vertices of both hemispheres, the left first; no more than these are in memory."""
    left, right = np.split(chosen, [headers["lh"].shape[1]])
    responses = np.empty((headers["lh"].shape[0], int(chosen.sum())), np.float32)
    parts = np.split(responses, [int(left.sum())], axis=1)
    for side, columns, part in zip(SIDES, (left, right), parts, strict=True):
        file = folder / RESPONSES.format(side)
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        for row in range(0, len(part), BLOCK):
            with np.errstate(over="ignore"):
                part[row : row + BLOCK] = values[row : row + BLOCK][:, columns]
        with np.errstate(invalid="ignore"):
            # A NaN or an infinity anywhere makes the sum of its column not finite.
            bad = ~np.isfinite(part.sum(axis=0, dtype=np.float64))
        if bad.any():
            fault = f"holds NaN or infinity in {bad.sum()} vertices; the challenge took such vertices out"
            raise DataError.of(file, f"{fault}, so the file is damaged: get it again")
    return responses


def challenge_mask(folder: Path, side: str, count: int) -> Bool[np.ndarray, "vertex"]:
    """Which fsaverage vertices the ``count`` columns of one hemisphere's responses are, in ascending order."""
    file = folder / MASK.format(side)
    mask = _whole_numbers(file)
    if not np.isin(mask, (0, 1)).all():
        raise DataError.of(file, "holds other values than 0 and 1; get it again")
    if mask.sum() != count:
        fault = f"marks {mask.sum()} vertices but {(folder / RESPONSES.format(side)).name} has {count} columns"
        raise ShapeError.of(file, f"{fault}; they are of different subjects or damaged: get them again")
    return mask.astype(bool)


def read_rois(folder: Path, counts: Mapping[str, int]) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """The ROIs of all classes that are there, by the names that the data set ships, and the merged ones.

    ``counts`` are the columns of responses of ``"lh"`` and ``"rh"``. A class of which a file is missing while
    another is there is an error.
    """
    rois: dict[str, np.ndarray] = {}
    for name in CLASSES:
        files = [folder / LABELS.format(side, name) for side in SIDES]
        mapping = folder / MAPPING.format(name)
        if not any(file.exists() for file in (*files, mapping)):
            continue
        labels, names = read_labels(folder, name, counts), read_mapping(mapping)
        for file, values in zip(files, labels, strict=True):
            unknown = {int(value) for value in np.unique(values) if value > 0} - set(names)
            if unknown:
                raise DataError.of(file, f"holds the label {min(unknown)}, which {mapping.name} does not name")
        rois |= Labels(np.concatenate(labels), names).regions
    for name, parts in MERGED.items():
        present = [rois[part] for part in parts if part in rois]
        if present and name not in rois:
            rois[name] = np.any(present, axis=0)
    return {name: mask for name, mask in rois.items() if mask.any()}


def read_labels(folder: Path, name: str, counts: Mapping[str, int]) -> list[Int[np.ndarray, "vertex"]]:
    """The labels of one class in challenge space, as many as there are responses, of each hemisphere."""
    labels = []
    for side, count in counts.items():
        file = folder / LABELS.format(side, name)
        labels.append(_whole_numbers(file))
        if len(labels[-1]) != count:
            fault = f"labels {len(labels[-1])} vertices, the responses have {count}; get both again"
            raise ShapeError.of(file, fault)
    return labels


def _whole_numbers(file: Path) -> Int[np.ndarray, "vertex"]:
    """Whole numbers, one a vertex, whatever type they were saved as."""
    values = read_array(file)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "fiub":
        fault = f"holds {values.dtype} of shape {values.shape}, expected a whole number for each vertex"
        raise ShapeError.of(file, fault)
    if values.dtype.kind == "f" and not (values == np.trunc(values)).all():
        raise DataError.of(file, "holds values that are no whole numbers; get it again")
    return values.astype(np.int64)


def read_noise_ceiling(folder: Path, counts: Mapping[str, int]) -> Float[np.ndarray, "voxel"] | None:
    """The ceiling as R^2 in 0..1, where its files are there: the organisers did not release them.

    Their own code writes shares of 1; files that went round later are in per cent. Which it is, is told by
    the largest value of both hemispheres.
    """
    files = {side: folder / CEILING.format(side) for side in SIDES}
    if not any(file.exists() for file in files.values()):
        return None
    parts = []
    for side, file in files.items():
        ceiling = read_array(file)
        if ceiling.shape != (counts[side],) or ceiling.dtype.kind != "f":
            fault = f"holds {ceiling.dtype} of shape {ceiling.shape}, expected floats ({counts[side]},)"
            raise ShapeError.of(file, fault)
        if not np.isfinite(ceiling).all() or ceiling.min() < 0 or ceiling.max() > 100:
            fault = f"goes from {ceiling.min():.4g} to {ceiling.max():.4g}; ceilings lie in 0..1, or 0..100 per cent"
            raise DataError.of(file, fault)
        parts.append(ceiling)
    largest = {file: float(part.max()) for file, part in zip(files.values(), parts, strict=True)}
    low, high = sorted(largest, key=largest.__getitem__)
    if largest[low] <= 1 < largest[high]:
        fault = f"goes to {largest[high]:.4g}, per cent, and {low.name} to {largest[low]:.4g}; divide the former by 100"
        raise DataError.of(high, fault)
    both = np.concatenate(parts)
    return (both / 100 if both.max() > 1 else both).astype(np.float32)
