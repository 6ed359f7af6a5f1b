"""Reads a pickled dict of int to str from a ``.npy`` file without running what the pickle names.

Algonauts 2023 ships the names of its ROIs in this form, and unpickling a file of unknown origin can run any
program. Here every function and class that a file names stands for itself: nothing is imported and nothing is
called, so there is nothing for a malicious file to reach.
"""

import pickle
import pickletools
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.errors import DataError
from factortopy.storage import reading

LARGEST = 1 << 16
"""Bytes that such a file may have; the largest of the challenge has fewer than 1,000."""
REMEDY = "the file is damaged or does not hold names of ROIs; get it again"
REBUILT = {
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
    "numpy ndarray",
    "numpy dtype",
    "_codecs encode",
}
"""What numpy names in a pickled array of objects; they stay names here."""


class _Named:
    """Stands for a function or class that the file names, and for whatever it would have made."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: Any = ()

    def __call__(self, *_arguments: Any) -> "_Named":
        return _Named(self.name)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _NamesOnly(pickle.Unpickler):
    """Imports nothing: the names that numpy needs become ``_Named``, all others are refused."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module} {name}" not in REBUILT:
            raise ValueError(f"it names '{module} {name}', which no dict of names needs")
        return _Named(name)


def read_mapping(path: Path) -> dict[int, str]:
    """Names by number from a ``.npy`` file that holds a pickled dict, as ``numpy.save`` writes one.

    Raises:
        DataError: if the file is missing, damaged, larger than 64 kB, or holds anything but a dict of int to
            str; nothing in it is ever run.
    """
    with reading(path, REMEDY):
        size = path.stat().st_size
        if size > LARGEST:
            raise DataError.of(path, f"has {size:,} bytes, expected a dict of a few names; {REMEDY}")
        content = BytesIO(path.read_bytes())
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = header[np.lib.format.read_magic(content)](content)
        if not dtype.hasobject or shape != ():
            raise DataError.of(path, f"holds {dtype} of shape {shape}, expected one pickled dict; {REMEDY}")
        mapping = _unpickled(content.read())
    texts = isinstance(mapping, dict) and all(type(name) is str for name in mapping.values())
    if not texts or not all(type(number) is int for number in mapping):
        raise DataError.of(path, f"holds something else than a dict of int to str; {REMEDY}")
    return dict(mapping)


def _unpickled(content: bytes) -> Any:
    """What a pickled 0-d array of objects holds."""
    for operation, argument, _ in pickletools.genops(content):
        # A large number in the memory of a pickle takes as much of this machine's; a registered class needs no name.
        if operation.name.startswith("EXT") or ("PUT" in operation.name and int(argument or 0) > LARGEST):
            raise ValueError(f"it holds the pickle operation {operation.name} {argument}, which no dict of names needs")
    array = _NamesOnly(BytesIO(content)).load()
    if not isinstance(array, _Named) or array.name != "_reconstruct":
        raise ValueError("it holds no array")
    _, shape, _, _, objects = array.state
    if shape != () or len(objects) != 1:
        raise ValueError(f"its array has shape {shape}, expected a single dict")
    return objects[0]
