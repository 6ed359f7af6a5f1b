"""Named weights out of an exported ONNX graph, whose matrix products have lost their names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError


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
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        graph = onnx.load(str(path)).graph
    except (OSError, DecodeError) as error:
        raise DataError(f"cannot read ONNX file {path}: {error}", path=path) from error
    reader = _Graph(graph)
    given = {ours: reader.arrays[theirs] for theirs, ours in (constants or {}).items()}
    weights = {name: array for name, array in reader.arrays.items() if not name.startswith("onnx::")} | given
    weights = {name: array for name, array in weights.items() if array.dtype == np.float32 and "." in name}
    for node in graph.node:
        if node.op_type in ("MatMul", "MatMulInteger") and node.input[1] in reader.arrays:
            name = f"{reader.bias_name(node) or nameless}.weight"
            if name in weights:
                raise DataError(
                    f"{path} has more than one matrix for {name!r}; it is not the graph expected", path=path
                )
            weights[name] = reader.matrix(node)
    return {name: torch.tensor(array) for name, array in weights.items()}


class _Graph:
    """An ONNX graph with its arrays by name and its nodes by what they read and make."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self.arrays: dict[str, np.ndarray] = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        self.maker = {output: node for node in graph.node for output in node.output}
        self.reader = {name: node for node in graph.node for name in node.input}

    def matrix(self, node: Any) -> Float[np.ndarray, "out in"]:
        """The matrix of a linear layer as float32."""
        matrix = self.arrays[node.input[1]]
        if node.op_type == "MatMulInteger":
            zero_point = self.arrays[node.input[3]] if len(node.input) > 3 else np.int32(0)
            matrix = (matrix.astype(np.int32) - zero_point) * self._scale(node)
        return np.ascontiguousarray(matrix.T, dtype=np.float32)

    def bias_name(self, node: Any) -> str | None:
        """The name of the layer whose bias is added to a node's product, without ``.bias``."""
        follower = self.reader.get(node.output[0])
        while follower is not None and follower.op_type in ("Cast", "Mul"):
            follower = self.reader.get(follower.output[0])
        if follower is None or follower.op_type != "Add":
            return None
        biases = [name for name in follower.input if name in self.arrays and name.endswith(".bias")]
        return biases[0].removesuffix(".bias") if biases else None

    def _scale(self, node: Any) -> np.ndarray:
        """The matrix's own scale: the product is multiplied by (scale of the input * scale of the matrix)."""
        cast = self.reader[node.output[0]]
        rescale = self.reader[cast.output[0]]
        both = next(self.maker[name] for name in rescale.input if name != cast.output[0])
        return next(self.arrays[name] for name in both.input if name in self.arrays)
