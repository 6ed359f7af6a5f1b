"""Regions of interest in a subject's folder: named in its description, in files of their own, or in one of JSON."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.errors import DataError
from factortopy.storage import SUFFIXES, ArraySource, npy_header, read_array, reading

FORMAT = "factortopy-subject-1"
"""Of a subject's folder, whose regions these are."""
FOLDER, LISTS = "rois", "rois.json"
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}")
"""Names that any disk takes as a file's name."""


@dataclass(frozen=True)
class LabelledRegion:
    """A region as some of the labels in a file, or array, of one label a voxel.

    Attributes:
        labels: whole numbers, one a voxel.
        values: the labels of the region.
    """

    labels: ArraySource
    values: tuple[int, ...]


RegionSource = ArraySource | LabelledRegion


def mask_of(name: str, values: Float[np.ndarray, "voxel"]) -> Bool[np.ndarray, "voxel"]:
    """A mask from numbers that are 0 outside a region, and one other number inside.

    Raises:
        DataError: if they are several, or negative: labels, or shares, of which nobody said what is inside.
    """
    others = np.unique(values[values != 0])
    if len(others) > 1 or (others < 0).any():
        shown = ", ".join(f"{value:g}" for value in others[:4])
        raise DataError(
            f"ROI {name!r} holds {len(others)} values beside 0 ({shown}{', ...' * (len(others) > 4)}), a mask one; of "
            f"labels say which are meant ({{ labels = FILE, values = [{others[-1]:g}] }} in subject.toml)"
        )
    return np.asarray(values != 0)


def region_files(names: Iterable[str]) -> dict[str, str]:
    """The file of each region in a saved folder: by its name, or by its number where a name cannot be a file's."""
    names = list(names)
    plain = all(PLAIN.fullmatch(name) for name in names) and len({name.lower() for name in names}) == len(names)
    return {name: f"{FOLDER}/{name if plain else number}.npy" for number, name in enumerate(names)}


def described_regions(folder: Path, named: Mapping[str, Any], responses: ArraySource) -> dict[str, RegionSource]:
    """All regions of a folder: those that ``subject.toml`` names, ``rois/NAME.*`` and those in ``rois.json``.

    Args:
        folder: of the subject.
        named: by ``subject.toml``: a file, several, or ``{labels = FILE, values = [...]}`` of each name.
        responses: whose last axis says how many voxels there are.

    Raises:
        DataError: if a name stands twice, a file is no mask, or a list can be read in two ways.
    """
    regions = {name: _named(folder, name, value) for name, value in named.items()}
    taken = {path.resolve() for source in regions.values() for path in _paths(source)}
    found: dict[str, RegionSource] = {}
    if (folder / FOLDER).is_dir():
        files = sorted(file for file in (folder / FOLDER).iterdir() if not file.name.startswith("."))
        for file in (file for file in files if file.resolve() not in taken):
            if (other := found.setdefault(_stem(file), file)) is not file:
                raise DataError.of(file, f"and {other} are one ROI; remove one")
    lists: dict[str, RegionSource] = {}
    if (folder / LISTS).is_file():
        npy = isinstance(responses, Path) and responses.suffix.lower() == ".npy"
        shape = npy_header(responses).shape if npy else read_array(responses).shape  # type: ignore[arg-type]
        lists = dict(_of_json(folder / LISTS, shape[-1] if shape else 0))
    for source, more in ((folder / FOLDER, found), (folder / LISTS, lists)):
        twice = sorted(set(more) & set(regions))
        if twice:
            raise DataError.of(
                source, f"has the ROI {twice[0]!r}, which stands elsewhere in the folder too; remove one"
            )
        regions |= more
    return regions


def _paths(source: RegionSource) -> list[Path]:
    files = source.labels if isinstance(source, LabelledRegion) else source
    return [Path(file) for file in (files if isinstance(files, list) else [files]) if isinstance(file, str | Path)]


def _stem(file: Path) -> str:
    ending = max((end for end in SUFFIXES if file.name.lower().endswith(end)), key=len, default=None)
    if ending is None:
        raise DataError.of(file, f"is no mask; give one of {', '.join(SUFFIXES)}, or move it elsewhere")
    return file.name[: -len(ending)]


def _named(folder: Path, name: str, value: Any) -> RegionSource:
    if isinstance(value, dict) and set(value) == {"labels", "values"}:
        values = value["values"]
        if not isinstance(values, list) or not all(isinstance(item, int) and item is not True for item in values):
            fault = f"give ROI {name!r} a list of whole numbers as values, got {values!r}"
            raise DataError(fault).at(folder / "subject.toml")
        return LabelledRegion(beside(folder, value["labels"]), tuple(values))
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return beside(folder, value)
    raise DataError(f"ROI {name!r} must be a file, or labels with values").at(folder / "subject.toml")


def beside(folder: Path, paths: str | list[str]) -> ArraySource:
    """Files whose paths are relative to a folder."""
    return folder / paths if isinstance(paths, str) else [folder / path for path in paths]


def _of_json(path: Path, voxels: int) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """Regions as an object of lists, of which each can be read in one way only."""
    with reading(path, "give an object of lists: a mask, or indices of voxels"):
        lists = {name: np.asarray(values) for name, values in json.loads(path.read_text("utf-8-sig")).items()}
    return {name: _of_list(path, name, values, voxels) for name, values in lists.items()}


def _of_list(path: Path, name: str, values: np.ndarray, voxels: int) -> Bool[np.ndarray, "voxel"]:
    """A mask of 0 and 1, or true and false, for every voxel; or the indices of a region's voxels, each once."""
    everywhere = values.shape == (voxels,)
    mask = everywhere and bool(np.isin(values, (0, 1)).all())
    whole = values.ndim == 1 and (values.dtype.kind in "iu" or not values.size)
    indices = whole and len(np.unique(values)) == len(values) and bool(((values >= 0) & (values < voxels)).all())
    if mask and indices and values.dtype.kind != "b":
        fault = "is both a mask and indices; write true and false"
    elif mask:
        return values.astype(bool)
    elif not indices:
        fault = f"must be a mask of 0 and 1 for each of {voxels} voxels, or indices from 0 to {voxels - 1}, each once"
    elif everywhere:
        fault = "has a number for every voxel: labels or indices? Name a file of labels in subject.toml, or give a mask"
    else:
        return np.isin(np.arange(voxels), values)
    raise DataError(f"ROI {name!r} {fault}").at(path)
