"""Selectors: where in the image, which layer, local or global, for every voxel, by its place on the cortex."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from factortopy.errors import DataError
from factortopy.machine import in_threads

FREQUENCIES = 32
"""Of the position code, per axis."""
FEATURES = 3 * FREQUENCIES * 2
HIDDEN = 128
"""Width of the selectors' hidden layers."""
BLOCK = 4_096
"""Voxels whose selectors a thread computes at a time, on a CPU."""


class PositionEncoding(nn.Module):
    """Sine and cosine code of 3-D coordinates (`method.md`: 3 x 32 x 2 = 192 features).

    Coordinates are shifted to start at 0 and scaled by one factor so that the longest axis spans
    0..100; frequencies are ``1000^(-k/32)``, k = 0..31; features are ordered (axis, frequency,
    sine/cosine). The bounds are fixed when the code is made, so a subset of the voxels gets the same
    code, and an axis without extent (a flat map) gives constants.

    Args:
        bounds: smallest and largest coordinate of the surface or of all voxels, mm.

    Raises:
        DataError: if the bounds are not finite or not ordered.
    """

    lower: Tensor
    factor: Tensor
    frequency: Tensor

    def __init__(self, bounds: Float[np.ndarray, "2 3"]) -> None:
        super().__init__()
        bounds = np.asarray(bounds, dtype=np.float64)
        if bounds.shape != (2, 3) or not np.isfinite(bounds).all() or (bounds[1] < bounds[0]).any():
            raise DataError(f"coordinate bounds must be two finite rows, smallest then largest; got {bounds.tolist()}")
        longest = float((bounds[1] - bounds[0]).max())
        exponents = torch.arange(FREQUENCIES, dtype=torch.float64) / FREQUENCIES
        self.register_buffer("lower", torch.from_numpy(bounds[0].copy()))
        self.register_buffer("factor", torch.tensor(100.0 / longest if longest > 0 else 1.0, dtype=torch.float64))
        self.register_buffer("frequency", 1000.0**-exponents)

    def forward(self, coordinates: Float[Tensor, "N 3"]) -> Float[Tensor, "N features"]:
        """Code coordinates (mm); values in [-1, 1], float32."""
        scaled = (coordinates.double() - self.lower.double()) * self.factor.double()
        angle = scaled[:, :, None] * self.frequency.double()
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()


class Selection(NamedTuple):
    """What every voxel selects.

    Attributes:
        space: point in the image, in [-1, 1], x to the right and y down.
        layer: weights of the layers, summing to 1.
        scale: 0 local to 1 global.
        size: standard deviation, in the units of ``space``, of the Gaussian that local tokens are pooled with
            around that point; None where voxels read the point itself, by bilinear interpolation.
    """

    space: Float[Tensor, "N 2"]
    layer: Float[Tensor, "N L"]
    scale: Float[Tensor, "N"]
    size: Float[Tensor, "N"] | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Selection":
        """The selection with every part changed alike, such as moved to a device."""
        return Selection(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]

    def departed(self, by: "Selection") -> "Selection":
        """The sum of two before tanh, softmax and sigmoid; place 0, equal layers and scale 0.5 add nothing. Points."""
        layer, scale = self.layer * by.layer, self.scale * by.scale
        return Selection(
            (self.space + by.space) / (1 + self.space * by.space),
            layer / layer.sum(dim=1, keepdim=True),
            scale / (scale + (1 - self.scale) * (1 - by.scale)),
        )


def to_selection(space: Float[Tensor, "N 2"], layer: Float[Tensor, "N L"], scale: Float[Tensor, "N 1"]) -> Selection:
    """Selection from unbounded values: ``tanh``, ``softmax`` and ``sigmoid`` of them (`method.md`)."""
    return Selection(space.tanh(), layer.softmax(dim=-1), scale.squeeze(-1).sigmoid())


def selector_mlp(outputs: int) -> nn.Sequential:
    """Two hidden layers with GELU; the last layer has no bias and starts at zero (`method.md`).

    So every voxel starts at the image centre, uniform over layers, and at scale 0.5.
    """
    last = nn.Linear(HIDDEN, outputs, bias=False)
    nn.init.zeros_(last.weight)
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), last)


class TopologicalSelectors(nn.Module):
    """Selectors as smooth functions of the place on the cortex: neighbours select alike.

    Args:
        coordinates: coordinates of the voxels, mm.
        position: the code of a place.
        layers: number of layers L.
    """

    code: Tensor

    def __init__(self, coordinates: Float[Tensor, "N 3"], position: PositionEncoding, layers: int) -> None:
        super().__init__()
        # The coordinates never change, so their code is computed once.
        self.register_buffer("code", position(coordinates), persistent=False)
        self.space, self.layer, self.scale = selector_mlp(2), selector_mlp(layers), selector_mlp(1)

    def forward(self, voxels: Int[Tensor, "some"] | None = None) -> Selection:
        """The selection of every voxel, or of some."""
        code = self.code if voxels is None else self.code[voxels]
        read = _in_blocks if code.device.type == "cpu" and len(code) > BLOCK else _exact_last
        return to_selection(*(read(mlp, code) for mlp in (self.space, self.layer, self.scale)))


def _exact_last(mlp: nn.Sequential, code: Float[Tensor, "N K"]) -> Float[Tensor, "N outputs"]:
    """Hidden layers in the precision of ``torch.autocast``, the last one in that of its weights.

    The hidden layers are nearly all of the work; a place of eight bits would be coarser than the cortex.
    """
    hidden, last = mlp[:-1](code), mlp[-1]
    if hidden.dtype == last.weight.dtype:
        return last(hidden)
    with torch.autocast(hidden.device.type, enabled=False):
        return last(hidden.to(last.weight.dtype))


def _in_blocks(mlp: nn.Sequential, code: Float[Tensor, "N K"]) -> Float[Tensor, "N outputs"]:
    """As :func:`_exact_last`, blocks of voxels by several threads."""
    return _InBlocks.apply(mlp, code, *mlp.parameters())


class _InBlocks(torch.autograd.Function):
    """What an MLP gives for each block of voxels; for its gradient hidden values are made again rather than kept."""

    @staticmethod
    def forward(ctx: Any, mlp: nn.Sequential, code: Tensor, *_: Tensor) -> Tensor:
        """All blocks together."""
        ctx.mlp, ctx.narrow = mlp, torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        ctx.save_for_backward(code)
        return torch.cat(list(in_threads(partial(_block, ctx), code.split(BLOCK), code.device)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the parameters, summed over blocks in their order."""
        (code,) = ctx.saved_tensors
        parameters = list(ctx.mlp.parameters())

        def differentiate(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
            with torch.enable_grad():
                return torch.autograd.grad(_block(ctx, pair[0]), parameters, pair[1])

        pairs = zip(code.split(BLOCK), gradient.split(BLOCK), strict=True)
        total: list[Tensor] = []
        for parts in in_threads(differentiate, pairs, code.device):
            total = [value + part for value, part in zip(total, parts, strict=True)] if total else list(parts)
        return None, None, *total


def _block(ctx: Any, code: Float[Tensor, "some K"]) -> Float[Tensor, "some outputs"]:
    # Threads have no precision of their own: that of the caller.
    with torch.autocast("cpu", dtype=ctx.narrow or torch.bfloat16, enabled=ctx.narrow is not None):
        return _exact_last(ctx.mlp, code)


class FreeSelectors(nn.Module):
    """Selectors that are free for every voxel: the ablation without topology (figure 3).

    Args:
        voxels: number of voxels N.
        layers: number of layers L.
    """

    def __init__(self, voxels: int, layers: int) -> None:
        super().__init__()
        self.space = nn.Parameter(torch.zeros(voxels, 2))
        self.layer = nn.Parameter(torch.zeros(voxels, layers))
        self.scale = nn.Parameter(torch.zeros(voxels, 1))

    def forward(self) -> Selection:
        """The selection of every voxel."""
        return to_selection(self.space, self.layer, self.scale)


class FixedSelectors(nn.Module):
    """Selectors that are given and not trained, such as a planted truth.

    Args:
        selection: what every voxel selects.
    """

    def __init__(self, selection: Selection) -> None:
        super().__init__()
        for name, value in selection._asdict().items():
            self.register_buffer(name, None if value is None else value.detach().clone())

    def forward(self) -> Selection:
        """The selection of every voxel."""
        return Selection(**{name: self._buffers[name] for name in Selection._fields})  # type: ignore[arg-type]


class PartlyFixedSelectors(nn.Module):
    """Selectors of which some parts are given, the same for all voxels, and the others learnt: an ablation.

    Args:
        learnt: selectors whose other parts are used.
        space: place in [-1, 1] that every voxel reads; learnt if None.
        uniform_layers: whether every voxel reads all layers alike.
        scale: scale of every voxel, 0 local to 1 global; learnt if None.
    """

    def __init__(
        self,
        learnt: nn.Module,
        *,
        space: tuple[float, float] | None = None,
        uniform_layers: bool = False,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.learnt = learnt
        self.space, self.uniform_layers, self.scale = space, uniform_layers, scale

    def forward(self) -> Selection:
        """The selection of every voxel."""
        space, layer, scale, size = self.learnt()
        if self.space is not None:
            x, y = self.space
            space = torch.stack([torch.full_like(scale, x), torch.full_like(scale, y)], dim=1)
        if self.uniform_layers:
            layer = torch.full_like(layer, 1 / layer.shape[-1])
        if self.scale is not None:
            scale = torch.full_like(scale, self.scale)
        return Selection(space, layer, scale, size)


def entropy(weights: Float[Tensor, "N L"]) -> Float[Tensor, "N"]:
    """Shannon entropy in nats of weights that sum to 1; zero weights add nothing."""
    return -torch.special.xlogy(weights, weights).sum(dim=-1)


def confidence(layer: Float[Tensor, "N L"]) -> Float[Tensor, "N"]:
    """Confidence of the layer selector, ``1 - H(w) / log L`` (eq. 2): 0 uniform, 1 one-hot or L = 1."""
    if layer.shape[-1] == 1:
        return torch.ones_like(layer[:, 0])
    return 1 - entropy(layer) / math.log(layer.shape[-1])


def softness_penalty(selection: Selection) -> Float[Tensor, ""]:
    """Regulariser that keeps selectors soft, ``-H(w) / log L + mean (a - 0.5)^2`` (`method.md`)."""
    # Adding the smallest positive number keeps the gradient of the entropy finite at one-hot weights.
    weights = selection.layer + torch.finfo(selection.layer.dtype).tiny
    layers = selection.layer.shape[-1]
    softness = entropy(weights).mean() / math.log(layers) if layers > 1 else weights.new_zeros(())
    return (selection.scale - 0.5).square().mean() - softness
