"""The read-out: what a voxel gets from aligned tokens at the place, layers and scale it selects.

One operation, :func:`read_out`, with four forms of the same formula (`method.md`)::

    y_i = < sum_l w_il [ (1 - a_i) Interp(u_i; F_l^local) + a_i F_l^global ], omega_i >

or, where a voxel has a size s_i, the mean of F_l^local under a Gaussian of that size around u_i instead of Interp.

* ``"plain"`` follows it word for word and holds a (B, D, N) tensor for every layer.
* ``"grouped"``, for a CPU: voxels whose place falls in the same cell of the token grid share the four corners of
  it, so a cell is one matrix product of its voxels' channel selectors with five tokens a layer (four corners and
  the global one). Only N x 5 L x B numbers are ever made, a chunk at a time.
* ``"dense"``, for a GPU: place, layer and scale are one matrix R (voxels x layers x positions). A voxel reads
  ``sum_lp R_i,lp F_lp`` before its channels weigh it: sixteen times the multiplications of the grouped form on an
  8 x 8 grid, but of the kind a GPU does best, with shapes that never depend on the values, so that the host need
  not wait for the device. With sizes, where a voxel reads every token, this form is taken on a CPU too.
* ``"triton"``, for many voxels on an NVIDIA GPU: the grouped form in kernels of Triton, whose shapes never depend on
  the values either (:mod:`factortopy.model.triton_readout`).
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from factortopy.machine import in_threads
from factortopy.model.places import by_cell, by_position, gaussian_pool, interpolation
from factortopy.model.selectors import Selection

Form = Literal["plain", "grouped", "dense", "triton"]
CORNERS = 5
"""Tokens of a layer that a voxel reads: four around its place, and the global one."""
TRITON_VOXELS = 8_192
"""Voxels from which on Triton's kernels are taken: fewer leave most of a tile of them empty."""
CHUNK_NUMBERS = {"grouped": 2_000_000, "dense": 2**27}
"""How many numbers are made at a time: 8 MB in float32, so that a chunk stays in cache; 512 MB on a GPU."""


def read_out(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
    form: Form | None = None,
) -> Float[Tensor, "B N"]:
    """Read the aligned tokens that every voxel selects, weighted by its channels.

    Matrix products run in the precision of the tokens. In float32 all forms agree to 1e-5 of the largest
    prediction; from bfloat16 tokens the result is within 2 % of it (in root mean square, 0.5 %).

    Args:
        local: aligned local tokens of every layer on the grid.
        global_: aligned global tokens of every layer.
        selection: what every voxel selects. Places are read by bilinear interpolation with zero padding,
            as PyTorch's ``grid_sample`` with ``align_corners=False``, or by a Gaussian pool where there is a size.
        channels: channel selectors, omega.
        form: how to compute it; :func:`choose_form` and :func:`triton_wins` decide if None. With sizes ``"grouped"``
            and ``"triton"``, which read four tokens, hand over to ``"dense"``.

    Returns:
        Predictions, without bias and without the recipe's factor, in the precision of ``channels``.
    """
    if form is None:
        form = "triton" if triton_wins(local, selection) else choose_form(local.device, *local.shape[-2:])
    form = "dense" if form in ("grouped", "triton") and selection.size is not None else form
    if form == "triton":
        from factortopy.model.triton_readout import read_triton

        return read_triton(local, global_, selection, channels)
    read = {"plain": _read_plain, "grouped": _read_grouped, "dense": _read_dense}[form]
    return read(local, global_, selection, channels)


def choose_form(device: torch.device, height: int, width: int) -> Form:
    """The faster form for a device and a token grid.

    Per voxel, the dense form multiplies with every token of a layer, the grouped one with five; but that
    takes one product per cell of the grid, whose sizes a GPU would have to tell the host at each step.
    """
    return "grouped" if device.type == "cpu" and height * width + 1 > CORNERS else "dense"


def triton_wins(local: Float[Tensor, "L B D H W"], selection: Selection) -> bool:
    """Whether Triton's kernels are faster than the dense form, and run here: many voxels, tokens of 16 bits, a GPU."""
    width = local.shape[2]
    fits = 16 <= width <= 128 and width.bit_count() == 1 and local.dtype in (torch.bfloat16, torch.float16)
    many = len(selection.scale) >= TRITON_VOXELS and selection.size is None
    if local.device.type != "cuda" or not fits or not many:
        return False
    try:
        from factortopy.model.triton_readout import triton_runs
    except ImportError:
        return False
    return triton_runs(local.device, local.dtype, width)


def _read_plain(local: Tensor, global_: Tensor, selection: Selection, channels: Tensor) -> Float[Tensor, "B N"]:
    grid = selection.space.to(local.dtype).expand(local.shape[1], 1, -1, -1)
    pool = None
    if selection.size is not None:
        pool = gaussian_pool(selection.space, selection.size, *local.shape[-2:]).to(local.dtype)
    total = channels.new_zeros(())
    for grid_tokens, whole, weight in zip(local, global_, selection.layer.T, strict=True):
        if pool is None:
            sampled = functional.grid_sample(grid_tokens, grid, padding_mode="zeros", align_corners=False)[:, :, 0]
        else:
            sampled = grid_tokens.flatten(2) @ pool.T
        mixed = (1 - selection.scale) * sampled + selection.scale * whole[:, :, None]
        total = total + weight * mixed
    return torch.einsum("bdn,nd->bn", total, channels)


def _read_grouped(local: Tensor, global_: Tensor, selection: Selection, channels: Tensor) -> Float[Tensor, "B N"]:
    rows, weights, cell = by_cell(local, global_, selection)
    order = cell.argsort(stable=True)
    taken = (part.index_select(0, order) for part in (weights, channels, cell))
    return _GroupedReadout.apply(rows, *taken, local.shape[-1] + 1).T.index_select(1, order.argsort())


def _cells(cell: Int[Tensor, "N"], columns: int, numbers: int) -> Iterator[tuple[slice, list[int]]]:
    """Slices of voxels that share a cell, with the rows of its corners and of the global token."""
    cells, counts = cell.unique_consecutive(return_counts=True)
    size = max(1, CHUNK_NUMBERS["grouped"] // numbers)
    start = 0
    for index, count in zip(cells.tolist(), counts.tolist(), strict=True):
        corner = index // columns * (columns + 1) + index % columns
        rows = [corner, corner + 1, corner + columns + 1, corner + columns + 2, -1]
        for first in range(start, start + count, size):
            yield slice(first, min(first + size, start + count)), rows
        start += count


def _pieces(cell: Int[Tensor, "N"], columns: int, numbers: int) -> Iterator[list[tuple[slice, list[int]]]]:
    """The slices of :func:`_cells`, together until they are enough work for a thread."""
    piece: list[tuple[slice, list[int]]] = []
    held = 0
    for voxels, rows in _cells(cell, columns, numbers):
        piece.append((voxels, rows))
        held += (voxels.stop - voxels.start) * numbers
        if held >= CHUNK_NUMBERS["grouped"] // 4:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece


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

        def predict(piece: list[tuple[slice, list[int]]]) -> None:
            for voxels, corners in piece:
                products = narrow[voxels] @ rows[corners].reshape(-1, width).T
                products = products.view(-1, CORNERS * layers, batch)
                result[voxels] = torch.bmm(mixing[voxels], products)[:, 0]

        for _ in in_threads(predict, _pieces(cell, columns, CORNERS * layers * batch), rows.device):
            pass
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

        def differentiate(piece: list[tuple[slice, list[int]]]) -> list[tuple[list[int], Tensor]]:
            """Gradients of some voxels: of weights and channels in place, of the rows that they read returned."""
            of_rows = []
            for voxels, corners in piece:
                tokens = rows[corners].reshape(-1, width)
                products = (narrow[voxels] @ tokens.T).view(-1, CORNERS * layers, batch)
                by_weight = torch.bmm(products, gradient[voxels, :, None])
                weights_gradient[voxels] = by_weight.view(-1, CORNERS, layers).to(weights.dtype)
                outer = (mixing[voxels] * gradient[voxels, None, :]).flatten(1)
                channels_gradient[voxels] = (outer @ tokens).to(channels.dtype)
                of_rows.append((corners, (outer.T @ narrow[voxels]).view(CORNERS, layers, batch, width)))
            return of_rows

        # Cells share corners: their gradients are summed here, always in the same order.
        for piece in in_threads(differentiate, _pieces(cell, ctx.columns, CORNERS * layers * batch), rows.device):
            for corners, part in piece:
                for corner, own in zip(corners, part, strict=True):
                    rows_gradient[corner] += own  # in place: with a list of corners it would be copied twice
        return rows_gradient.to(rows.dtype), weights_gradient, channels_gradient, None, None


def _read_dense(local: Tensor, global_: Tensor, selection: Selection, channels: Tensor) -> Float[Tensor, "B N"]:
    batch, width = global_.shape[1:]
    reading = reading_matrix(selection, *local.shape[-2:])
    rows = by_position(local, global_).reshape(-1, batch * width)
    return _DenseReadout.apply(rows, reading.flatten(1), channels, batch).T


def reading_matrix(selection: Selection, height: int, width: int) -> Float[Tensor, "N L P"]:
    """Weight of every token in what a voxel reads: positions row by row, the global token last."""
    position = _positions(selection, height, width)
    position = torch.cat([(1 - selection.scale)[:, None] * position, selection.scale[:, None]], dim=1)
    return selection.layer[:, :, None] * position[:, None, :]


def _positions(selection: Selection, height: int, width: int) -> Float[Tensor, "N P"]:
    """Weight of every local token, before the scale."""
    if selection.size is not None:
        return gaussian_pool(selection.space, selection.size, height, width)
    row, column, corners = interpolation(selection.space, height, width)
    rows = torch.stack([row, row, row + 1, row + 1], dim=1)
    columns = torch.stack([column, column + 1] * 2, dim=1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    position = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    weights = corners * inside
    return weights.new_zeros(len(weights), height * width).scatter_add(1, position, weights)


def _chunks(voxels: int, numbers: int) -> Iterator[slice]:
    size = max(1, CHUNK_NUMBERS["dense"] // numbers)
    yield from (slice(start, start + size) for start in range(0, voxels, size))


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
