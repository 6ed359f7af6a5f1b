"""FactorTopy, the factorised, topological encoding model, and its channel align."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.model.readout import Form, read_out
from factortopy.model.selectors import Selection
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
