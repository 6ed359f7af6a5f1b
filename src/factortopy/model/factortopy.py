"""FactorTopy: the factorised, topological encoding model."""

from jaxtyping import Float
from torch import Tensor, nn

from factortopy.model.align import AlignedTokens, ChannelAlign
from factortopy.model.readout import Form, read_out
from factortopy.model.selectors import Selection
from factortopy.networks import Tokens


class FactorTopy(nn.Module):
    """Encoding model in which every voxel selects space, layer, scale and channels (`method.md`).

    ``y_i = factor * < sum_l w_il [(1 - a_i) Interp(u_i; F_l^local) + a_i F_l^global], omega_i > + b_i``

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
