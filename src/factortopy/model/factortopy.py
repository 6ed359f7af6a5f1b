"""FactorTopy, the factorised, topological encoding model, and its channel align."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from factortopy.machine import in_threads
from factortopy.model.readout import Form, read_out
from factortopy.model.selectors import Selection
from factortopy.networks import Tokens

IN_CACHE = 16
"""Images whose tokens of a layer a processor's own cache holds, about."""


class AlignedTokens(NamedTuple):
    """Tokens of every layer in the shared channel space.

    Attributes:
        local: local tokens on the grid.
        global_: global tokens.
    """

    local: Float[Tensor, "L B D H W"]
    global_: Float[Tensor, "L B D"]


class ChannelMap(nn.Module):
    """A linear map of channels, ``F = B V + offset``.

    Args:
        channels: channels C that go in.
        width: channels D that come out.
        offset: whether an offset is added; the paper's maps have none.
    """

    def __init__(self, channels: int, width: int, offset: bool = False) -> None:
        super().__init__()
        bound = channels**-0.5  # as PyTorch's linear layers start
        self.weight = nn.Parameter(torch.empty(width, channels).uniform_(-bound, bound))
        self.offset = nn.Parameter(torch.zeros(width)) if offset else None

    def forward(self, tokens: Float[Tensor, "*batch C"]) -> Float[Tensor, "*batch D"]:
        """Map the last dimension."""
        return nn.functional.linear(tokens, self.weight, self.offset)


class UnitChannelMap(nn.Module):
    """A linear map whose output has unit root mean square over the training images, by construction.

    It takes principal components of tokens, which are uncorrelated with known variances, so the root
    mean square of the output has the closed form ``sqrt(mean_d sum_k B_dk^2 variance_k)``, by which
    the map is divided. This fixes the layer and the scale gauge (`science.md` 4.1) while training.

    Args:
        variance: variances of the principal components that go in.
        width: channels D that come out.
    """

    variance: Tensor

    def __init__(self, variance: Float[Tensor, "K"], width: int) -> None:
        super().__init__()
        self.register_buffer("variance", variance.clone())
        self.direction = nn.Parameter(torch.randn(width, len(variance)) / len(variance) ** 0.5)

    @property
    def weight(self) -> Float[Tensor, "D K"]:
        """The map, divided by the root mean square of its output."""
        return self.direction * (self.direction.square() @ self.variance).mean().rsqrt()

    def forward(self, tokens: Float[Tensor, "*batch K"]) -> Float[Tensor, "*batch D"]:
        """Map the last dimension."""
        return nn.functional.linear(tokens, self.weight)


class ChannelAlign(nn.Module):
    """``F_l = B_l V_l``, a map each for the local and the global tokens of every layer (`method.md`).

    Args:
        local: maps of the local tokens, layer by layer.
        global_: maps of the global tokens, layer by layer.
    """

    def __init__(self, local: Sequence[nn.Module], global_: Sequence[nn.Module]) -> None:
        super().__init__()
        self.local = nn.ModuleList(local)
        self.global_ = nn.ModuleList(global_)

    def forward(self, tokens: Tokens) -> AlignedTokens:
        """Align a batch of tokens; computes in the precision of the maps, or of ``torch.autocast``."""
        parameter = next(self.parameters())
        device = parameter.device.type
        autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else parameter.dtype
        maps = list(zip(self.local, (values.movedim(1, -1) for values in tokens.local), strict=True))
        if device == "cpu":
            local = _map_in_threads(maps, dtype)
        else:
            local = torch.stack([layer(values.to(dtype)) for layer, values in maps])
        global_ = [layer(values.to(dtype)) for layer, values in zip(self.global_, tokens.global_, strict=True)]
        return AlignedTokens(local.movedim(-1, 2), torch.stack(global_))


def _map_in_threads(
    maps: Sequence[tuple[nn.Module, Float[Tensor, "*batch C"]]], dtype: torch.dtype
) -> Float[Tensor, "L *batch D"]:
    """What linear maps give for the layers beside them, on a CPU."""
    layers, values = zip(*maps, strict=True)
    mapped: Tensor = _MapsInThreads.apply(dtype, *(layer.weight for layer in layers), *values)
    offsets = [getattr(layer, "offset", None) for layer in layers]
    if all(offset is None for offset in offsets):
        return mapped
    none = mapped.new_zeros(mapped.shape[-1])
    added = torch.stack([none if offset is None else offset.to(dtype) for offset in offsets])
    return mapped + added.view(len(added), *[1] * (mapped.ndim - 2), -1)


class _MapsInThreads(torch.autograd.Function):
    """Linear maps of the channels of several layers, on a CPU a layer a thread; weights first, then what they map."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *parts: Tensor) -> Float[Tensor, "L *batch D"]:
        """In a precision, that of the result."""
        weights, values = (parts[: len(parts) // 2], parts[len(parts) // 2 :])
        narrow = [weight.detach().to(dtype) for weight in weights]
        mapped = narrow[0].new_empty(len(values), *values[0].shape[:-1], len(narrow[0]))
        taken: list[Tensor] = [mapped] * len(values)

        def map_(number: int) -> None:
            taken[number] = _converted(values[number], dtype).flatten(0, -2)
            torch.mm(taken[number], narrow[number].T, out=mapped[number].flatten(0, -2))

        list(in_threads(map_, range(len(values)), mapped.device))
        ctx.save_for_backward(*narrow, *taken)
        ctx.types, ctx.shapes = [part.dtype for part in parts], [part.shape for part in parts]
        return mapped

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the weights, and of what they map where it is asked for."""
        layers = len(ctx.saved_tensors) // 2
        narrow, taken = ctx.saved_tensors[:layers], ctx.saved_tensors[layers:]

        def differentiate(number: int) -> tuple[Tensor | None, Tensor | None]:
            of_weight, of_values = ctx.needs_input_grad[1 + number], ctx.needs_input_grad[1 + layers + number]
            own = gradient[number].flatten(0, -2)
            weight = (own.T @ taken[number]).to(ctx.types[number]) if of_weight else None
            if not of_values:
                return weight, None
            values = (own @ narrow[number]).to(ctx.types[layers + number])
            return weight, values.view(ctx.shapes[layers + number])

        weights, values = zip(*in_threads(differentiate, range(layers), gradient.device), strict=True)
        return None, *weights, *values


def _converted(values: Float[Tensor, "batch *rest"], dtype: torch.dtype) -> Float[Tensor, "batch *rest"]:
    """In another precision: PyTorch makes bfloat16 of float16 one number after the other, of float32 many at once."""
    if dtype == torch.float32 or values.dtype != torch.float16:
        return values.to(dtype)
    converted = torch.empty(values.shape, dtype=dtype)
    for part, place in zip(values.split(IN_CACHE), converted.split(IN_CACHE), strict=True):
        place.copy_(part.float())
    return converted


class FactorTopy(nn.Module):
    """Encoding model in which every voxel selects space, layer, scale and channels (`method.md`).

    ``y_i = factor * < sum_l w_il [(1 - a_i) Interp(u_i; F_l^local) + a_i F_l^global], omega_i > + b_i``

    Interp is the mean under a Gaussian around u_i where selections have a size.

    Args:
        align: maps of every layer's tokens into the shared channel space, ``F_l = B_l V_l``.
        selectors: gives the :class:`Selection` of all voxels when called.
        channels: channel selectors omega to start from.
        factor: ``1 / D`` in the recipe ``"paper"``, ``1 / sqrt(D)`` in ``"default"``.
        form: form of the read-out; the fastest for the device and the grid if None.
    """

    def __init__(
        self,
        align: ChannelAlign,
        selectors: nn.Module,
        channels: Float[Tensor, "N D"],
        factor: float,
        form: Form | None = None,
    ) -> None:
        super().__init__()
        self.align = align
        self.selectors = selectors
        self.channels = nn.Parameter(channels)
        self.bias = nn.Parameter(channels.new_zeros(len(channels)))
        self.factor = factor
        self.form = form

    def select(self) -> Selection:
        """What every voxel selects now."""
        selection: Selection = self.selectors()
        return selection

    def forward(self, tokens: Tokens, selection: Selection | None = None) -> Float[Tensor, "B N"]:
        """Predict responses to a batch of images; ``selection`` saves computing it again."""
        return self.read(self.align(tokens), self.select() if selection is None else selection) + self.bias

    def read(self, aligned: AlignedTokens, selection: Selection) -> Float[Tensor, "B N"]:
        """Predictions without bias, from tokens that are aligned already."""
        return self.factor * read_out(aligned.local, aligned.global_, selection, self.channels, self.form)
