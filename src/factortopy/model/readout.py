"""The read-out: what a voxel gets from aligned tokens at the place, layers and scale it selects.

One operation, :func:`read_out`, with two forms of the same formula (`method.md`)::

    y_i = < sum_l w_il [ (1 - a_i) Interp(u_i; F_l^local) + a_i F_l^global ], omega_i >

The plain form follows it word for word and holds a (B, N, D) tensor for every layer. The grouped form
is as exact, and dense: voxels whose place falls in the same cell of the token grid share its four
corners, so a cell is one matrix product, and only N x 5 L x B numbers are ever made, a chunk at a time.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from factortopy.model.selectors import Selection

Form = Literal["grouped", "plain"]

CHUNK_NUMBERS = 2_000_000
"""How many numbers the grouped form makes at a time: 8 MB in float32, so that a chunk stays in cache."""


def read_out(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
    form: Form = "grouped",
) -> Float[Tensor, "B N"]:
    """Read the aligned tokens that every voxel selects, weighted by its channels.

    Args:
        local: aligned local tokens of every layer on the grid.
        global_: aligned global tokens of every layer.
        selection: what every voxel selects. Places are read by bilinear interpolation with zero padding,
            as PyTorch's ``grid_sample`` with ``align_corners=False``.
        channels: channel selectors, omega.
        form: ``"grouped"`` (fast) or ``"plain"`` (the formula as it stands).

    Returns:
        Predictions, without bias and without the recipe's factor.
    """
    if form == "plain":
        return _read_plain(local, global_, selection, channels)
    height, width = local.shape[-2:]
    cell, corners = interpolation(selection.space, height, width)
    place = torch.cat([corners * (1 - selection.scale)[:, None], selection.scale[:, None]], dim=1)
    weights = place[:, :, None] * selection.layer[:, None, :]
    order = cell.argsort(stable=True)
    rows = torch.cat(
        [functional.pad(local, (1, 1, 1, 1)).flatten(3).permute(3, 0, 1, 2), global_[None]], dim=0
    )
    read = _GroupedReadout.apply(rows, weights[order], channels[order], cell[order], width + 1)
    return read.T[:, order.argsort()]


def interpolation(
    space: Float[Tensor, "N 2"], height: int, width: int
) -> tuple[Int[Tensor, "N"], Float[Tensor, "N 4"]]:
    """Cell of the grid padded by one that a place falls in, and the weights of its four corners.

    Args:
        space: places in [-1, 1], x to the right and y down; -1 and 1 are the image's edges.
        height: rows of the token grid.
        width: columns of the token grid.

    Returns:
        The cell's index in the padded grid's (height + 1, width + 1) cells, and the bilinear weights of its
        upper left, upper right, lower left and lower right corner, summing to 1.
    """
    size = space.new_tensor([width, height])
    pixel = ((space + 1) * size - 1) / 2
    corner = pixel.detach().floor().clamp(min=pixel.new_tensor(-1.0), max=size - 1)
    right, down = (pixel - corner).unbind(dim=-1)
    weights = torch.stack(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1
    )
    column, row = (corner.long() + 1).unbind(dim=-1)
    return row * (width + 1) + column, weights


def _read_plain(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
) -> Float[Tensor, "B N"]:
    layers, batch = local.shape[:2]
    grid = selection.space.expand(batch, 1, -1, -1)
    total = channels.new_zeros(batch, len(channels))
    for layer in range(layers):
        sampled = functional.grid_sample(local[layer], grid, padding_mode="zeros", align_corners=False)
        mixed = (1 - selection.scale)[:, None] * sampled[:, :, 0].transpose(1, 2)
        mixed = mixed + selection.scale[:, None] * global_[layer][:, None, :]
        total = total + selection.layer[:, layer] * (mixed * channels).sum(dim=-1)
    return total


def _chunks(cell: Int[Tensor, "N"], columns: int, numbers: int) -> Iterator[tuple[slice, list[int]]]:
    """Slices of voxels that share a cell, with the rows of its corners and of the global token."""
    cells, counts = cell.unique_consecutive(return_counts=True)
    size = max(1, CHUNK_NUMBERS // numbers)
    start = 0
    for index, count in zip(cells.tolist(), counts.tolist(), strict=True):
        corner = index // columns * (columns + 1) + index % columns
        rows = [corner, corner + 1, corner + columns + 1, corner + columns + 2, -1]
        for first in range(start, start + count, size):
            yield slice(first, min(first + size, start + count)), rows
        start += count


class _GroupedReadout(torch.autograd.Function):
    """Grouped read-out with its gradient written out, so that no (N, 5, L, B) tensor is kept.

    ``rows`` (P, L, B, D) are the tokens of every position of the padded grid, the global token last;
    ``weights`` (N, 5, L) are those of the four corners and the global token; voxels are sorted by ``cell``.
    """

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weights: Tensor, channels: Tensor, cell: Tensor, columns: int
    ) -> Tensor:
        """Predictions (N, B), chunk by chunk."""
        ctx.save_for_backward(rows, weights, channels, cell)
        ctx.columns = columns
        layers, batch, width = rows.shape[1:]
        result = rows.new_empty(len(channels), batch)
        for voxels, corners in _chunks(cell, columns, 5 * layers * batch):
            products = channels[voxels] @ rows[corners].reshape(-1, width).T
            products = products.view(-1, 5 * layers, batch)
            torch.bmm(weights[voxels].flatten(1)[:, None], products, out=result[voxels, None])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for rows, weights and channels; products are made again rather than kept."""
        rows, weights, channels, cell = ctx.saved_tensors
        layers, batch, width = rows.shape[1:]
        rows_gradient = torch.zeros_like(rows)
        weights_gradient, channels_gradient = torch.empty_like(weights), torch.empty_like(channels)
        gradient = gradient.contiguous()
        for voxels, corners in _chunks(cell, ctx.columns, 5 * layers * batch):
            tokens = rows[corners].reshape(-1, width)
            products = (channels[voxels] @ tokens.T).view(-1, 5 * layers, batch)
            weights_gradient[voxels] = torch.bmm(products, gradient[voxels, :, None]).view(-1, 5, layers)
            outer = weights[voxels].flatten(1)[:, :, None] * gradient[voxels, None, :]
            outer = outer.flatten(1)
            channels_gradient[voxels] = outer @ tokens
            rows_gradient[corners] += (outer.T @ channels[voxels]).view(5, layers, batch, width)
        return rows_gradient, weights_gradient, channels_gradient, None, None
