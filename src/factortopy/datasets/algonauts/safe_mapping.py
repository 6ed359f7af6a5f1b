"""Reads a pickled dict of int to str from a ``.npy`` file without unpickling it.

Algonauts 2023 ships the names of its ROIs in this form, and unpickling a file of unknown origin can run any
program. Here the few operations that such a file needs are carried out on plain values; nothing is imported
and nothing is called, so there is nothing for a malicious file to reach.
"""

import pickletools
from dataclasses import dataclass, field
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
CONSTANTS = {"EMPTY_TUPLE": (), "NONE": None, "NEWTRUE": True, "NEWFALSE": False}
VALUES = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "INT",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "UNICODE",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINSTRING",
    "SHORT_BINSTRING",
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass
class _Named:
    """A function or class that the file names, with the arguments it would be called with."""

    name: str
    arguments: tuple[Any, ...] | None = None
    state: Any = None


@dataclass
class _Machine:
    """The stack and the memory that the operations of a pickle work on."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memory: dict[int, Any] = field(default_factory=dict)

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def name(self, name: str) -> None:
        if name not in REBUILT:
            raise ValueError(f"it names {name!r}, which no dict of names needs")
        self.stack.append(_Named(name))

    def step(self, operation: str, argument: Any) -> None:
        """Carry out one operation."""
        stack = self.stack
        if operation in VALUES:
            stack.append(argument)
        elif operation in CONSTANTS:
            stack.append(CONSTANTS[operation])
        elif operation in TUPLES:
            stack[-TUPLES[operation] :] = [tuple(stack[-TUPLES[operation] :])]
        elif operation == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif operation == "MARK":
            self.marks.append(len(stack))
        elif operation in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memory[len(self.memory) if argument is None else argument] = stack[-1]
        elif operation in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memory[argument])
        elif operation not in ("PROTO", "FRAME", "STOP"):
            self._build(operation, argument)

    def _build(self, operation: str, argument: Any) -> None:
        stack = self.stack
        if operation == "EMPTY_DICT":
            stack.append({})
        elif operation == "EMPTY_LIST":
            stack.append([])
        elif operation in ("SETITEM", "SETITEMS"):
            items = self.since_mark() if operation == "SETITEMS" else [stack.pop() for _ in "kv"][::-1]
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif operation in ("APPEND", "APPENDS"):
            added = self.since_mark() if operation == "APPENDS" else [stack.pop()]
            stack[-1].extend(added)
        elif operation == "GLOBAL":
            self.name(argument)
        elif operation == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            self.name(f"{module} {name}")
        elif operation == "REDUCE":
            arguments = stack.pop()
            stack[-1] = _Named(stack[-1].name, arguments)
        elif operation == "BUILD":
            state = stack.pop()
            stack[-1].state = state
        else:
            raise ValueError(f"it holds the pickle operation {operation}, which no dict of names needs")


def read_mapping(path: Path) -> dict[int, str]:
    """Names by number from a ``.npy`` file that holds a pickled dict, as ``numpy.save`` writes one.

    Args:
        path: e.g. ``roi_masks/mapping_streams.npy`` of Algonauts 2023.

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
        mapping = _interpreted(content.read())
    texts = isinstance(mapping, dict) and all(type(name) is str for name in mapping.values())
    if not texts or not all(type(number) is int for number in mapping):
        raise DataError.of(path, f"holds something else than a dict of int to str; {REMEDY}")
    return dict(mapping)


def _interpreted(pickle: bytes) -> Any:
    """What a pickled 0-d array of objects holds."""
    machine = _Machine()
    for operation, argument, _ in pickletools.genops(pickle):
        machine.step(operation.name, argument)
    (array,) = machine.stack
    if not array.name.endswith("_reconstruct"):
        raise ValueError(f"it holds {array.name!r}, no array")
    _, shape, _, _, objects = array.state
    if shape != () or len(objects) != 1:
        raise ValueError(f"its array has shape {shape}, expected a single dict")
    return objects[0]
