"""Which hemisphere a file is of, by what it says itself: its metadata first, then its name."""

import gzip
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Int

from factortopy.cortex.mesh import HEMISPHERES
from factortopy.errors import DataError
from factortopy.storage import ArrayPath, open_cifti, reading

STRUCTURES = {"CortexLeft": "left", "CortexRight": "right"}
"""GIfTI's ``AnatomicalStructurePrimary``."""
GIFTI, CIFTI = (".gii", ".gii.gz"), (".nii", ".nii.gz")
NAMED = re.compile(r"(?i:(?<![a-z0-9])(?:hemi-?)?([lr])h(?![a-z0-9])|hemi-?([lr])(?:eft|ight)?(?![a-z0-9]))|\.([LR])\.")
"""``lh.betas``, ``x_rh.npy``, ``sub-01_hemi-L.func.gii``, and ``100307.R.curv.gii`` of the HCP."""
WORDS = re.compile(r"(?<![a-z0-9])(l|r)(?:eft|ight)?(?![a-z0-9])", re.IGNORECASE)
"""What tells two files apart (``left.npy`` and ``right.npy``), but says nothing of one alone (``R.npy``)."""


@dataclass(frozen=True, eq=False)
class Grayordinates:
    """What the columns of a CIFTI file are.

    Attributes:
        hemisphere: ``"left"``, ``"right"`` or ``""`` of each column.
        vertex: index on its hemisphere's surface; -1 where a column is a voxel.
        vertices: of the whole hemisphere, by ``"left"`` and ``"right"``.
    """

    hemisphere: np.ndarray
    vertex: Int[np.ndarray, "column"]
    vertices: Mapping[str, int]


def file_side(path: str | os.PathLike[str]) -> str | None:
    """The hemisphere that a file of vertices says it is of, ``"left"`` or ``"right"``; None if it does not say.

    GIfTI says it as ``AnatomicalStructurePrimary``; any file by a name such as ``lh.betas.mgh``,
    ``sub-01_hemi-R.func.gii``, or ``file.h5:lh/betas`` of an array in it.

    Raises:
        DataError: if the metadata and the name contradict each other.
    """
    source = ArrayPath.parse(path)
    inside, named = _gifti_side(source.file), _named(NAMED, source)
    if inside and named and inside != named:
        raise DataError.of(
            path, f"is of the {named} hemisphere by its name, of the {inside} one by its metadata; mend one"
        )
    return inside or named


def file_sides(paths: Sequence[str | os.PathLike[str]]) -> list[str | None]:
    """The hemisphere of each of several files; of two of which one says it, the other is of the other one.

    Raises:
        DataError: if a file contradicts itself.
    """
    sides = [file_side(path) for path in paths]
    if len(sides) != 2:
        return sides
    if sides == [None, None]:
        words = [_named(WORDS, ArrayPath.parse(path)) for path in paths]
        return words if set(words) == set(HEMISPHERES) else sides
    known = next(side for side in sides if side)
    return [side or HEMISPHERES[known == HEMISPHERES[0]] for side in sides]


def grayordinates(path: str | os.PathLike[str]) -> Grayordinates | None:
    """What the columns of a CIFTI file are, by its brain models; None for other files, and for parcels.

    Raises:
        DataError: if the file cannot be read.
    """
    import nibabel

    file = ArrayPath.parse(path).file
    if not file.name.lower().endswith(CIFTI) or not file.is_file():
        return None
    with reading(file):
        image = open_cifti(file)
        axis = image.header.get_axis(image.ndim - 1)
        if not isinstance(axis, nibabel.cifti2.BrainModelAxis):
            return None
        names = np.char.lower(np.asarray(axis.name, dtype=str))
        ends = [np.char.endswith(names, f"_{side}") for side in HEMISPHERES]
        sizes = {name.lower().rpartition("_")[2]: int(count) for name, count in axis.nvertices.items()}
        vertex = np.where(axis.surface_mask, axis.vertex, -1).astype(np.int64)
    return Grayordinates(np.select(ends, HEMISPHERES, ""), vertex, sizes)


def _named(pattern: re.Pattern[str], source: ArrayPath) -> str | None:
    """The hemisphere by the name of an array in a file, else of the file; None where both occur."""
    for text in (source.member, source.file.name):
        sides = {next(filter(None, found.groups())).lower() for found in pattern.finditer(text)}
        if len(sides) == 1:
            return HEMISPHERES[sides == {"r"}]
    return None


def _gifti_side(path: Path) -> str | None:
    if not path.name.lower().endswith(GIFTI) or not path.is_file():
        return None
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with reading(path, "expected a GIfTI file"), opened(path, "rb") as file:
        # Metadata stand before the first data, so that these, which are long, need not be read twice.
        for _, element in ElementTree.iterparse(file, ("start", "end")):
            if element.tag == "Data":
                return None
            name, value = element.findtext("Name") or "", element.findtext("Value") or ""
            if element.tag == "MD" and name.strip() == "AnatomicalStructurePrimary" and value.strip() in STRUCTURES:
                return STRUCTURES[value.strip()]
    return None
