"""Bilinear interpolation on the token grid: which tokens a place is read from, with which weights."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Corners(NamedTuple):
    """Where places lie on a grid of tokens.

    Attributes:
        row: row of the token up and left of the place; -1 beyond the first one.
        column: its column.
        weights: bilinear weights of the upper left, upper right, lower left and lower right token; sum 1.
    """

    row: Int[Tensor, "N"]
    column: Int[Tensor, "N"]
    weights: Float[Tensor, "N 4"]


def interpolation(space: Float[Tensor, "N 2"], height: int, width: int) -> Corners:
    """The four tokens around each place, as PyTorch's ``grid_sample`` with ``align_corners=False``.

    Args:
        space: places in [-1, 1], x to the right and y down; -1 and 1 are the image's edges.
        height: rows of the token grid.
        width: columns of the token grid.

    Returns:
        Rows from -1 to height - 1 and columns from -1 to width - 1: tokens outside the grid count as 0.
    """
    x = ((space[:, 0] + 1) * width - 1) / 2
    y = ((space[:, 1] + 1) * height - 1) / 2
    left = x.detach().floor().clamp(min=-1, max=width - 1)
    top = y.detach().floor().clamp(min=-1, max=height - 1)
    right, down = x - left, y - top
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1)
    return Corners(top.long(), left.long(), weights)
