"""The read-out on a CPU: voxels whose place falls in the same cell of the token grid go together.

They share the four corners of their cell, so a cell is one matrix product of its voxels' channel selectors
with five tokens a layer (four corners and the global one). Only N x 5 L x B numbers are ever made, a chunk
at a time, instead of the plain formula's N x D x B for every layer.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from factortopy.model.interpolation import interpolation
from factortopy.model.selectors import Selection

CORNERS = 5
"""Tokens of a layer that a voxel reads: four around its place, and the global one."""
CHUNK_NUMBERS = 2_000_000
"""How many numbers are made at a time: 8 MB in float32, so that a chunk stays in cache."""


def read_grouped(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
) -> Float[Tensor, "B N"]:
    """The read-out cell by cell; see :func:`factortopy.model.read_out`."""
    height, width = local.shape[-2:]
    corners = interpolation(selection.space, height, width)
    # One row and column of zeros around the grid: cells of the padded grid start at row and column -1.
    cell = (corners.row + 1) * (width + 1) + corners.column + 1
    scale = selection.scale[:, None]
    place = torch.cat([corners.weights * (1 - scale), scale], dim=1)
    weights = place[:, :, None] * selection.layer[:, None, :]
    order = cell.argsort(stable=True)
    rows = torch.cat([functional.pad(local, (1, 1, 1, 1)).flatten(3).permute(3, 0, 1, 2), global_[None]], dim=0)
    read = _GroupedReadout.apply(rows, weights[order], channels[order], cell[order], width + 1)
    return read.T[:, order.argsort()]


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
    Products run in the precision of ``rows``; sums over chunks and the result are in that of ``channels``.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, channels: Tensor, cell: Tensor, columns: int) -> Tensor:
        """Predictions (N, B), chunk by chunk."""
        ctx.save_for_backward(rows, weights, channels, cell)
        ctx.columns = columns
        layers, batch, width = rows.shape[1:]
        result = channels.new_empty(len(channels), batch)
        narrow, mixing = channels.to(rows.dtype), weights.to(rows.dtype).flatten(1)[:, None]
        for voxels, corners in _chunks(cell, columns, CORNERS * layers * batch):
            products = narrow[voxels] @ rows[corners].reshape(-1, width).T
            products = products.view(-1, CORNERS * layers, batch)
            result[voxels] = torch.bmm(mixing[voxels], products)[:, 0]
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for rows, weights and channels; products are made again rather than kept."""
        rows, weights, channels, cell = ctx.saved_tensors
        layers, batch, width = rows.shape[1:]
        rows_gradient = channels.new_zeros(rows.shape)
        weights_gradient, channels_gradient = torch.empty_like(weights), torch.empty_like(channels)
        narrow, mixing = channels.to(rows.dtype), weights.to(rows.dtype).flatten(1)[:, :, None]
        gradient = gradient.to(rows.dtype).contiguous()
        for voxels, corners in _chunks(cell, ctx.columns, CORNERS * layers * batch):
            tokens = rows[corners].reshape(-1, width)
            products = (narrow[voxels] @ tokens.T).view(-1, CORNERS * layers, batch)
            by_weight = torch.bmm(products, gradient[voxels, :, None])
            weights_gradient[voxels] = by_weight.view(-1, CORNERS, layers).to(weights.dtype)
            outer = (mixing[voxels] * gradient[voxels, None, :]).flatten(1)
            channels_gradient[voxels] = (outer @ tokens).to(channels.dtype)
            rows_gradient[corners] += (outer.T @ narrow[voxels]).view(CORNERS, layers, batch, width)
        return rows_gradient.to(rows.dtype), weights_gradient, channels_gradient, None, None
