"""Where voxels read: the tokens around a place with their weights, and the cell of the token grid."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from factortopy.model.selectors import Selection


def interpolation(
    space: Float[Tensor, "N 2"], height: int, width: int
) -> tuple[Int[Tensor, "N"], Int[Tensor, "N"], Float[Tensor, "N 4"]]:
    """The four tokens around each place, as PyTorch's ``grid_sample`` with ``align_corners=False``.

    Args:
        space: places in [-1, 1], x to the right and y down; -1 and 1 are the image's edges.
        height: rows of the token grid.
        width: columns of the token grid.

    Returns:
        Row (-1 to height - 1) and column (-1 to width - 1) of the token up and left of each place, and bilinear
        weights, sum 1, of it and those right of it, below it and below right; tokens outside the grid count as 0.
    """
    x = ((space[:, 0] + 1) * width - 1) / 2
    y = ((space[:, 1] + 1) * height - 1) / 2
    # A place that diverged has weights of NaN, which its loss shows; an index of NaN would end the program.
    left, top = (at.detach().floor().nan_to_num(nan=-1.0) for at in (x, y))
    left, top = left.clamp(min=-1, max=width - 1), top.clamp(min=-1, max=height - 1)
    right, down = x - left, y - top
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1)
    return top.long(), left.long(), weights


def gaussian_pool(
    space: Float[Tensor, "N 2"], size: Float[Tensor, "N"], height: int, width: int
) -> Float[Tensor, "N P"]:
    """Weights of all tokens, row by row, ``g_p ~ exp(-|x_p - u|^2 / 2 size^2)`` with sum 1.

    Args:
        space: points u in [-1, 1], as for :func:`interpolation`.
        size: standard deviations in the same units, above 0.
        height: rows of the token grid.
        width: columns of the token grid.
    """
    # Made on the device: a step that a GPU records copies nothing from the host.
    places = (torch.arange(count, device=space.device, dtype=space.dtype) for count in (height, width))
    y, x = ((2 * place + 1) / count - 1 for place, count in zip(places, (height, width), strict=True))
    squared = (y[:, None] - space[:, 1, None, None]).square() + (x - space[:, 0, None, None]).square()
    return (-squared.flatten(1) / (2 * size[:, None].square())).softmax(dim=1)


def by_position(local: Float[Tensor, "L B D H W"], global_: Float[Tensor, "L B D"]) -> Float[Tensor, "L P B D"]:
    """Tokens of every position of the grid, row by row, the global one last; channels stay side by side."""
    places = local.movedim(2, -1).flatten(2, 3)
    return torch.cat([places, global_[:, :, None]], dim=2).transpose(1, 2)


def by_cell(
    local: Tensor, global_: Tensor, selection: Selection
) -> tuple[Float[Tensor, "P L B D"], Float[Tensor, "N 5 L"], Int[Tensor, "N"]]:
    """Tokens of every position of the padded grid, the global one last; voxels' weights of five; and their cells."""
    height, width = local.shape[-2:]
    row, column, corners = interpolation(selection.space, height, width)
    # One row and column of zeros around the grid: cells of the padded grid start at row and column -1.
    cell = (row + 1) * (width + 1) + column + 1
    scale = selection.scale[:, None]
    weights = torch.cat([corners * (1 - scale), scale], dim=1)[:, :, None] * selection.layer[:, None, :]
    # Channels stay side by side, as they are in memory and in products.
    places = functional.pad(local.movedim(2, -1), (0, 0, 1, 1, 1, 1)).flatten(2, 3).permute(2, 0, 1, 3)
    return torch.cat([places, global_[None]]), weights, cell
