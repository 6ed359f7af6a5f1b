"""FreeSurfer's ``.annot`` files: a colour for every vertex and a table that names the colours."""

import os
import struct
from pathlib import Path

import numpy as np
from jaxtyping import Int

from factortopy.errors import DataError

NEW_TABLE = -2
"""Stands where old colour tables have their number of entries."""


class _Reader:
    """Big-endian numbers and texts out of bytes; never more than there are."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.position = path, content, 0

    def numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self.take(4 * count), dtype=">i4").astype(np.int64)

    def number(self) -> int:
        return int(struct.unpack(">i", self.take(4))[0])

    def text(self) -> str:
        return self.take(self.number()).split(b"\0")[0].decode("utf-8", errors="replace")

    def take(self, count: int) -> bytes:
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

    Args:
        path: the ``.annot`` file.

    Returns:
        The number in the table of each vertex's label, -1 where the table does not have its colour; and the
        names by number.

    Raises:
        DataError: if the file is truncated, has no table, or names vertices that it does not have.
    """
    path = Path(path)
    try:
        reader = _Reader(path, path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}); give a FreeSurfer annotation", path=path) from error
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
    new = entries == NEW_TABLE
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
