"""Labels of vertices in the files of FreeSurfer, GIfTI and NumPy, and the ROI masks they make."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from factortopy.cortex.mesh import HEMISPHERES
from factortopy.errors import DataError
from factortopy.storage import VOLUME_ENDINGS, open_gifti, read_array, read_text, read_volume, reading

BACKGROUND = ("unknown", "???", "none", "background", "medial_wall", "medial wall", "")
"""Names, in lower case, of what is no region."""
RGB = 3
"""Numbers of a colour, at least: opacity and type of tissue may follow."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A label for every vertex of one hemisphere.

    Attributes:
        values: number of each vertex's label; -1 or 0 where a file has none.
        names: name of each label by its number; empty where the file names none.
    """

    values: Int[np.ndarray, "vertex"]
    names: dict[int, str]

    @property
    def regions(self) -> dict[str, Bool[np.ndarray, "vertex"]]:
        """A mask for each label that is a region, also where it has no vertex.

        Left out are negative numbers, 0 without a name, and names such as ``Unknown`` or ``???``. Where no
        label is named, the number is the name.
        """
        names = self.names or {int(value): str(value) for value in np.unique(self.values) if value > 0}
        masks: dict[str, Bool[np.ndarray, vertex]] = {}
        for value, name in names.items():
            if value >= 0 and name.lower() not in BACKGROUND:
                # Two numbers of one name are one region.
                masks[name] = masks.get(name, False) | (self.values == value)
        return masks


def read_labels(path: str | os.PathLike[str], *, vertices: int | None = None) -> Labels:
    """Read the labels of one hemisphere's vertices (or of the voxels of a volume, first axis slowest).

    * ``.annot``: FreeSurfer's annotation, old and new colour tables; -1 where a vertex is in none;
    * ``.label``: FreeSurfer's list of vertices; 1 on them and 0 elsewhere, named like the file;
    * ``.mgz``, ``.mgh``, ``.nii``, ``.nii.gz``: numbers, named by the file beside it with ``.ctab`` added
      (or in place of the ending), lines ``number name``;
    * ``.gii``: GIfTI labels with their table;
    * ``.npy``: whole numbers, without names.

    Args:
        path: the file; its ending says the kind.
        vertices: number of vertices that the hemisphere has; a ``.label`` does not know it, the other kinds
            are checked against it.

    Raises:
        DataError: if the file is missing, damaged, of another kind, or has another number of vertices.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError.of(path, "is missing; give a file of labels (.annot, .label, .mgz, .gii or .npy)")
    ending = path.suffix.lower()
    if ending == ".label":
        return _read_label(path, vertices)
    if ending == ".annot":
        labels = Labels(*read_annotation(path))
    elif ending == ".gii":
        labels = _read_gifti(path)
    elif ending == ".npy":
        labels = Labels(_whole_numbers(read_array(path), path), {})
    elif path.name.lower().endswith(VOLUME_ENDINGS):
        labels = Labels(_whole_numbers(read_volume(path), path), read_colour_table(path))
    else:
        raise DataError.of(path, "holds no labels; give .annot, .label, .mgz, .nii.gz, .gii or .npy")
    if vertices is not None and len(labels.values) != vertices:
        raise DataError.of(path, f"labels {len(labels.values)} vertices, expected {vertices}: another surface")
    return labels


def roi_masks(
    labels: Mapping[str, Labels], hemisphere: np.ndarray, vertex: Int[np.ndarray, "voxel"]
) -> dict[str, Bool[np.ndarray, "voxel"]]:
    """The regions of one or both hemispheres as masks over a subject's voxels.

    Args:
        labels: labels of all vertices, by ``"left"`` and ``"right"``; regions of one name are joined.
        hemisphere: ``"left"`` or ``"right"`` of each voxel.
        vertex: index of each voxel within its hemisphere.

    Raises:
        DataError: if a hemisphere's name is unknown or a vertex lies beyond the labels.
    """
    masks: dict[str, Bool[np.ndarray, voxel]] = {}
    for side, given in labels.items():
        if side not in HEMISPHERES:
            raise DataError(f"labels are given by 'left' and 'right', not {side!r}")
        on_side = np.asarray(hemisphere) == side
        own, count = vertex[on_side], len(given.values)
        if len(own) and not 0 <= own.min() <= own.max() < count:
            raise DataError(
                f"the subject's {side} vertices are {own.min()} to {own.max()}, the labels are for {count}; "
                "give labels of the subject's own surface"
            )
        for name, inside in given.regions.items():
            masks.setdefault(name, np.zeros(len(vertex), dtype=bool))[on_side] |= inside[own]
    return masks


def read_colour_table(path: str | os.PathLike[str]) -> dict[int, str]:
    """Names by number from the table beside a label file, lines ``number name [red green blue alpha]``.

    Args:
        path: the label file, e.g. ``lh.streams.mgz``; its table is ``lh.streams.mgz.ctab`` or
            ``lh.streams.ctab``.

    Returns:
        No names where there is no table.

    Raises:
        DataError: if a line of the table has no number.
    """
    path = Path(path)
    endings = (end for end in VOLUME_ENDINGS if path.name.lower().endswith(end))
    stem = next((path.name[: -len(end)] for end in endings), path.name)
    tables = (path.with_name(f"{name}.ctab") for name in (path.name, stem))
    table = next((file for file in tables if file.is_file()), None)
    if table is None:
        return {}
    with reading(table, "expected lines of a number and a name"):
        lines = [line.split() for line in read_text(table).splitlines()]
        lines = [words for words in lines if words and not words[0].startswith("#")]
        coloured = min((_numbers_at_end(words) for words in lines), default=0)
        kept = None if coloured < RGB else -coloured
        return {int(number): " ".join(rest[:kept]) for number, *rest in lines}


def _numbers_at_end(words: list[str]) -> int:
    """Whole numbers at the end of a line of a table: a colour, if all lines have so many, as a name may end in one."""
    return next((count for count, word in enumerate(reversed(words[1:])) if not word.isdecimal()), 0)


def _read_label(path: Path, vertices: int | None) -> Labels:
    if vertices is None:
        raise DataError.of(path, "lists vertices but not how many there are; say vertices=, e.g. 163842")
    with reading(path, "expected a FreeSurfer label"):
        # A line of comment, the number of vertices, and a line of each: its number, position and value.
        lines = read_text(path).splitlines()
        count = int(lines[1])
        listed = np.array([int(line.split()[0]) for line in lines[2 : 2 + count]], dtype=np.int64)
    if len(listed) != count:
        raise DataError.of(path, f"lists {len(listed)} of {count} vertices; it is truncated: get it again")
    if len(listed) and not 0 <= listed.min() <= listed.max() < vertices:
        fault = f"lists vertices {listed.min()} to {listed.max()}, expected 0 to {vertices - 1}"
        raise DataError.of(path, f"{fault}; it is of another surface")
    values = np.zeros(vertices, dtype=np.int64)
    values[listed] = 1
    name = path.name.removesuffix(".label").removeprefix("lh.").removeprefix("rh.")
    return Labels(values, {1: name})


def _read_gifti(path: Path) -> Labels:
    with reading(path, "expected a GIfTI file of labels"):
        image = open_gifti(path)
        values = [np.asarray(array.data) for array in image.darrays]
        names = {int(label.key): str(label.label or "") for label in image.labeltable.labels}
    if len(values) != 1:
        raise DataError.of(path, f"has {len(values)} arrays, expected one of labels; split it")
    return Labels(_whole_numbers(values[0], path), names)


def _whole_numbers(values: np.ndarray, path: Path) -> Int[np.ndarray, "vertex"]:
    values = values.reshape(-1)
    if values.dtype.kind not in "iufb" or not len(values) or not np.isfinite(values).all():
        raise DataError.of(path, f"({values.dtype}, {len(values)}) must hold whole numbers, one a vertex, no NaN")
    whole = values.astype(np.int64)
    if (whole != values).any():
        raise DataError.of(path, f"holds {values[whole != values][0]}; labels are whole numbers")
    return whole


class _Reader:
    """Big-endian numbers and texts out of bytes; never more than there are."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.position = path, content, 0

    def numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self.take(4 * count), dtype=">i4").astype(np.int64)

    def number(self) -> int:
        return int(self.numbers(1)[0])

    def text(self) -> str:
        return self.take(self.number()).split(b"\0")[0].decode("utf-8", errors="replace")

    def take(self, count: int) -> bytes:
        """The next bytes, so many; a DataError where fewer are left."""
        if count < 0 or self.position + count > len(self.content):
            raise DataError.of(
                self.path,
                f"has {len(self.content)} bytes, expected {count} more at byte {self.position}; "
                "it is truncated or no FreeSurfer annotation",
            )
        self.position += count
        return self.content[self.position - count : self.position]


def read_annotation(path: str | os.PathLike[str]) -> tuple[Int[np.ndarray, "vertex"], dict[int, str]]:
    """Read an annotation with an old or a new colour table.

    Layout, big-endian 4-byte integers (FreeSurfer wiki, "LabelsClutsAnnotationFiles"): number of vertices;
    vertex and colour of each; 1 if a table follows; the table. A colour is red + 256 green + 65536 blue.

    Returns:
        The number in the table of each vertex's label, -1 where the table does not have its colour; and the
        names by number.

    Raises:
        DataError: if the file is truncated, has no table, or names vertices that it does not have.
    """
    path = Path(path)
    with reading(path, "give a FreeSurfer annotation"):
        reader = _Reader(path, path.read_bytes())
    count = reader.number()
    vertex, colour = reader.numbers(2 * count).reshape(-1, 2).T
    if not count or not np.array_equal(np.sort(vertex), np.arange(count)):
        raise DataError.of(path, f"does not label each of its {count} vertices once; it is damaged")
    if reader.position == len(reader.content) or reader.number() != 1:
        raise DataError.of(path, "has no colour table, so its labels have no names; give one that has")
    names, numbers = _read_table(reader)
    values = np.empty(count, dtype=np.int64)
    colours, index = np.unique(colour, return_inverse=True)
    values[vertex] = np.array([numbers.get(value, -1) for value in colours.tolist()])[index]
    return values, names


def _read_table(reader: _Reader) -> tuple[dict[int, str], dict[int, int]]:
    """Names by number, and numbers by colour."""
    entries = reader.number()
    new = entries == -2  # stands where old tables have their number of entries
    if new:
        reader.number()  # the largest number there may be
    elif entries < 0:
        raise DataError.of(reader.path, f"has a colour table of version {-entries}; versions 1 and 2 are known")
    reader.text()  # the file that the table came from
    names: dict[int, str] = {}
    numbers: dict[int, int] = {}
    for entry in range(reader.number() if new else entries):
        number = reader.number() if new else entry
        names[number] = reader.text()
        red, green, blue, _ = reader.numbers(4).tolist()
        numbers.setdefault(red + 256 * green + 65536 * blue, number)
    return names, numbers
