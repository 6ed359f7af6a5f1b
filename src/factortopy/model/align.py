"""Channel align: one linear map per layer and kind of token into a shared channel space."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.networks import Tokens


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
        local = [
            layer(values.to(dtype).movedim(1, -1)).movedim(-1, 1)
            for layer, values in zip(self.local, tokens.local, strict=True)
        ]
        global_ = [layer(values.to(dtype)) for layer, values in zip(self.global_, tokens.global_, strict=True)]
        return AlignedTokens(torch.stack(local), torch.stack(global_))
