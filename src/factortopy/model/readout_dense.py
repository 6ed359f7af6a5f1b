"""The read-out on a GPU: place, layer and scale as one matrix R (voxels x layers x positions).

A voxel reads ``sum_lp R_i,lp F_lp`` before its channels weigh it: one large matrix product, sixteen times
the multiplications that the grouped form needs on an 8 x 8 grid, but of the kind a GPU does best, with
shapes that never depend on the values, so that the host need not wait for the device.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from factortopy.model.interpolation import interpolation
from factortopy.model.selectors import Selection

CHUNK_NUMBERS = 2**27
"""How many numbers are made at a time: 512 MB in float32."""


def read_dense(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
) -> Float[Tensor, "B N"]:
    """The read-out as one matrix product; see :func:`factortopy.model.read_out`."""
    batch, width = global_.shape[1:]
    reading = reading_matrix(selection, *local.shape[-2:])
    rows = torch.cat([local.flatten(3), global_[..., None]], dim=3)
    rows = rows.permute(0, 3, 1, 2).reshape(-1, batch * width)
    return _DenseReadout.apply(rows, reading.flatten(1), channels, batch).T


def reading_matrix(selection: Selection, height: int, width: int) -> Float[Tensor, "N L P"]:
    """Weight of every token in what a voxel reads: positions row by row, the global token last.

    Args:
        selection: what every voxel selects.
        height: rows of the token grid.
        width: columns of the token grid.
    """
    corners = interpolation(selection.space, height, width)
    rows = torch.stack([corners.row, corners.row, corners.row + 1, corners.row + 1], dim=1)
    columns = torch.stack([corners.column, corners.column + 1] * 2, dim=1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    local = (1 - selection.scale)[:, None] * corners.weights * inside
    position = local.new_zeros(len(local), height * width).scatter_add(1, place, local)
    position = torch.cat([position, selection.scale[:, None]], dim=1)
    return selection.layer[:, :, None] * position[:, None, :]


def _chunks(voxels: int, numbers: int) -> Iterator[slice]:
    size = max(1, CHUNK_NUMBERS // numbers)
    for start in range(0, voxels, size):
        yield slice(start, start + size)


class _DenseReadout(torch.autograd.Function):
    """``y_ib = sum_d omega_id (R rows)_i,bd`` with its gradient written out; nothing of N x B x D is kept.

    ``rows`` (L P, B D) are the tokens, ``reading`` (N, L P) is R. Products run in the precision of ``rows``.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, reading: Tensor, channels: Tensor, batch: int) -> Tensor:
        """Predictions (N, B), chunk by chunk."""
        ctx.save_for_backward(rows, reading, channels)
        ctx.batch = batch
        narrow, weights = reading.to(rows.dtype), channels.to(rows.dtype)
        result = channels.new_empty(len(channels), batch)
        for voxels in _chunks(len(channels), rows.shape[1]):
            read = (narrow[voxels] @ rows).view(-1, batch, channels.shape[1])
            result[voxels] = torch.bmm(read, weights[voxels, :, None])[:, :, 0].to(result.dtype)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for rows, reading and channels; what voxels read is made again rather than kept."""
        rows, reading, channels = ctx.saved_tensors
        narrow, weights = reading.to(rows.dtype), channels.to(rows.dtype)
        gradient = gradient.to(rows.dtype)
        rows_gradient = channels.new_zeros(rows.shape)
        reading_gradient, channels_gradient = torch.empty_like(reading), torch.empty_like(channels)
        for voxels in _chunks(len(channels), rows.shape[1]):
            read = (narrow[voxels] @ rows).view(-1, ctx.batch, channels.shape[1])
            by_channel = torch.bmm(gradient[voxels, None, :], read)[:, 0]
            channels_gradient[voxels] = by_channel.to(channels.dtype)
            outer = (gradient[voxels, :, None] * weights[voxels, None, :]).flatten(1)
            reading_gradient[voxels] = (outer @ rows.T).to(reading.dtype)
            rows_gradient += narrow[voxels].T @ outer
        return rows_gradient.to(rows.dtype), reading_gradient, channels_gradient, None
