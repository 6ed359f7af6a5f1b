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
    """The folder of one subject, the first by default.

    Raises:
        DataError: if it is not there.
    """
    folders = subject_folders(root)
    if subject is not None and subject not in folders:
        if _is_subject(root):
            raise DataError(f"{root} is one subject's folder; give the folder above it for another", path=root)
        raise DataError(f"{root} has no subject {subject}; it has {', '.join(map(str, folders))}", path=root)
    return folders[min(folders) if subject is None else subject]


def _is_subject(folder: Path) -> bool:
    return (folder / "training_split").is_dir() or (
        (folder / "roi_masks").is_dir() and (folder / "test_split").is_dir()
    )


def fmri_file(folder: Path, side: str) -> Path:
    """The training responses of ``"lh"`` or ``"rh"``."""
    return folder / "training_split" / "training_fmri" / f"{side}_training_fmri.npy"


def images_folder(folder: Path, split: str = "training") -> Path:
    """The folder of the ``"training"`` or ``"test"`` images."""
    return folder / f"{split}_split" / f"{split}_images"


def nsd_ids(folder: Path, split: str, names: Sequence[str]) -> list[int]:
    """NSD ids of the images of a split by their names, which number the rows of responses.

    Raises:
        DataError: if an image is named otherwise than the challenge names it, or one is missing.
    """
    ids, stem = [], "train" if split == "training" else split
    for number, name in enumerate(names, start=1):
        match = re.fullmatch(rf"{stem}-(\d{{4,}})_nsd-(\d{{5}})\.png", name)
        if match is None or int(match[1]) != number:
            raise DataError(
                f"{folder / name} stands where {stem}-{number:04d}_nsd-*.png should; rows of responses follow "
                "the file names: get the missing image, or take away the one too many",
                path=folder / name,
            )
        ids.append(int(match[2]))
    return ids


def ceiling_file(folder: Path, side: str) -> Path:
    """The noise ceiling of ``"lh"`` or ``"rh"``."""
    return folder / "test_split" / "noise_ceiling" / f"{side}_noise_ceiling.npy"


def check_response_header(file: Path) -> NpyHeader:
    """The head of a file of responses.

    Raises:
        DataError: if the file is missing, truncated, or of another dtype or shape than (image, vertex).
    """
    header = npy_header(file)
    if len(header.shape) != 2 or 0 in header.shape or header.dtype.kind != "f":
        raise ShapeError(
            f"{file} holds {header.dtype} of shape {header.shape}, expected float32 (image, vertex); get it again",
            path=file,
        )
    return header


def response_headers(folder: Path) -> dict[str, NpyHeader]:
    """Shape and dtype of the responses of ``"lh"`` and ``"rh"``, from the heads of their files.

    Raises:
        DataError: if a file is missing, truncated, or of another dtype or shape than (image, vertex).
    """
    headers = {side: check_response_header(fmri_file(folder, side)) for side in SIDES}
    left, right = headers.values()
    if left.shape[0] != right.shape[0]:
        raise ShapeError(
            f"{fmri_file(folder, 'lh')} has {left.shape[0]} rows, {fmri_file(folder, 'rh').name} "
            f"{right.shape[0]}; they are of different subjects: get both again",
            path=fmri_file(folder, "lh"),
        )
    return headers


def read_responses(
    folder: Path, headers: Mapping[str, NpyHeader], chosen: Bool[np.ndarray, "vertex"]
) -> Float[np.ndarray, "image voxel"]:
    """The training responses of some vertices, the left hemisphere first; no more than these are held.

    Args:
        folder: of the subject.
        headers: what ``response_headers`` gave.
        chosen: over the vertices of both hemispheres.

    Raises:
        DataError: if responses hold NaN or infinity.
    """
    sides = dict(zip(SIDES, np.split(chosen, [headers["lh"].shape[1]]), strict=True))
    images = headers["lh"].shape[0]
    responses = np.empty((images, int(chosen.sum())), np.float32)
    start = 0
    for side, columns in sides.items():
        file, stop = fmri_file(folder, side), start + int(columns.sum())
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        for row in range(0, images, BLOCK):
            with np.errstate(over="ignore"):
                responses[row : row + BLOCK, start:stop] = values[row : row + BLOCK][:, columns]
        with np.errstate(invalid="ignore"):
            # A NaN or an infinity anywhere makes the sum of its column not finite.
            bad = ~np.isfinite(responses[:, start:stop].sum(axis=0, dtype=np.float64))
        if bad.any():
            raise DataError(
                f"{file} holds NaN or infinity in {bad.sum()} vertices; the challenge took such vertices "
                "out, so the file is damaged: get it again",
                path=file,
            )
        start = stop
    return responses


def labels_file(folder: Path, side: str, name: str) -> Path:
    """The labels of a class in challenge space."""
    return folder / "roi_masks" / f"{side}.{name}_challenge_space.npy"


def challenge_mask(folder: Path, side: str, count: int) -> Bool[np.ndarray, "vertex"]:
    """Which fsaverage vertices the columns of one hemisphere's responses are, in ascending order.

    Args:
        folder: of the subject.
        side: ``"lh"`` or ``"rh"``.
        count: columns that the responses have.

    Raises:
        DataError: if the file is missing, damaged or marks another number of vertices.
    """
    file = folder / "roi_masks" / f"{side}.all-vertices_fsaverage_space.npy"
    mask = whole_numbers(file)
    if not np.isin(mask, (0, 1)).all():
        raise DataError(f"{file} holds other values than 0 and 1; get it again", path=file)
    if mask.sum() != count:
        raise ShapeError(
            f"{file} marks {mask.sum()} vertices but {fmri_file(folder, side).name} has {count} columns; "
            "they are of different subjects or damaged: get them again",
            path=file,
        )
    return mask.astype(bool)


def read_rois(folder: Path, counts: Mapping[str, int]) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """The ROIs of all classes that are there, by the names that the data set ships, and the merged ones.

    Args:
        folder: of the subject.
        counts: columns of responses of ``"lh"`` and ``"rh"``.

    Raises:
        DataError: if a file of a class is missing while another is there, or does not fit.
    """
    rois: dict[str, np.ndarray] = {}
    for name in CLASSES:
        files = [labels_file(folder, side, name) for side in SIDES]
        mapping = folder / "roi_masks" / f"mapping_{name}.npy"
        if not any(file.exists() for file in (*files, mapping)):
            continue
        labels = [read_labels(file, counts[side]) for file, side in zip(files, SIDES, strict=True)]
        names = read_mapping(mapping)
        for file, values in zip(files, labels, strict=True):
            unknown = {int(value) for value in np.unique(values) if value > 0} - set(names)
            if unknown:
                raise DataError(f"{file} holds the label {min(unknown)}, which {mapping.name} does not name", path=file)
        rois |= Labels(np.concatenate(labels), names).regions
    for name, parts in MERGED.items():
        there = [rois[part] for part in parts if part in rois]
        if there and name not in rois:
            rois[name] = np.any(there, axis=0)
    return {name: mask for name, mask in rois.items() if mask.any()}


def read_labels(file: Path, count: int) -> Int[np.ndarray, "vertex"]:
    """The labels of one class and hemisphere in challenge space.

    Raises:
        DataError: if the file is missing, damaged, or has another number of vertices than the responses.
    """
    labels = whole_numbers(file)
    if len(labels) != count:
        raise ShapeError(f"{file} labels {len(labels)} vertices, the responses have {count}; get both again", path=file)
    return labels


def whole_numbers(file: Path) -> Int[np.ndarray, "vertex"]:
    """Whole numbers, one a vertex, whatever type they were saved as.

    Raises:
        DataError: if the file holds anything else.
    """
    values = read_array(file)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "fiub":
        raise ShapeError(
            f"{file} holds {values.dtype} of shape {values.shape}, expected a whole number for each vertex", path=file
        )
    if values.dtype.kind == "f" and not (values == np.trunc(values)).all():
        raise DataError(f"{file} holds values that are no whole numbers; get it again", path=file)
    return values.astype(np.int64)


def read_noise_ceiling(folder: Path, counts: Mapping[str, int]) -> Float[np.ndarray, "voxel"] | None:
    """The ceiling as R^2 in 0..1, where its files are there: the organisers did not release them.

    Their own code writes shares of 1; files that went round later are in per cent. Which it is, is told by
    the largest value of both hemispheres.
    """
    files = {side: ceiling_file(folder, side) for side in SIDES}
    if not any(file.exists() for file in files.values()):
        return None
    parts = []
    for side, file in files.items():
        ceiling = read_array(file)
        if ceiling.shape != (counts[side],) or ceiling.dtype.kind != "f":
            raise ShapeError(
                f"{file} holds {ceiling.dtype} of shape {ceiling.shape}, expected floats ({counts[side]},)", path=file
            )
        if not np.isfinite(ceiling).all() or ceiling.min() < 0 or ceiling.max() > 100:
            low, high = ceiling.min(), ceiling.max()
            raise DataError(
                f"{file} goes from {low:.4g} to {high:.4g}; ceilings lie in 0..1, or 0..100 per cent", path=file
            )
        parts.append(ceiling)
    both = np.concatenate(parts)
    return (both / 100 if both.max() > 1 else both).astype(np.float32)
