"""The grouped read-out for NVIDIA's GPUs, in Triton: no shape depends on a value, so that the host need not wait.

Voxels are sorted by the cell of the padded token grid in which their place falls, and cut into tiles of at most
``TILE`` voxels of one cell. There are as many tiles as there could be; those that hold no voxel do nothing. A tile is
its voxels' channels times five tokens (four corners and the global one) of every layer.

``rows`` (P, L, B, D) are the tokens of every position of the padded grid, the global token last; ``weights``
(N, 5, L) are those of the five tokens. Products run in the precision of ``rows``, sums in float32.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# The arguments of kernels are no Python values.

from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from factortopy.model.places import by_cell
from factortopy.model.selectors import Selection

TILE = 64
"""Voxels of a tile, at most."""
IMAGES = 64
"""Images that a program takes at a time, at most."""
PARTS = 8
"""Programs that share the voxels of a cell where their gradients of its tokens are summed."""


@triton.jit
def _predict(
    rows, channels, weights, start, end, cell, out,
    layers: tl.constexpr, batch: tl.constexpr, width: tl.constexpr, columns: tl.constexpr, last: tl.constexpr,
    tile: tl.constexpr, images: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    first, stop, here = tl.load(start + number), tl.load(end + number), tl.load(cell + number)
    if first < stop:
        voxel, channel = first + tl.arange(0, tile), tl.arange(0, width)
        image = tl.program_id(1) * images + tl.arange(0, images)
        inside, shown = voxel < stop, image < batch
        omega = tl.load(channels + voxel[:, None] * width + channel[None, :], mask=inside[:, None], other=0.0)
        total = tl.zeros((tile, images), tl.float32)
        upper = here // columns * (columns + 1) + here % columns
        for corner in tl.static_range(5):
            row = upper + corner % 2 + corner // 2 * (columns + 1) if corner < 4 else last
            for layer in range(layers):
                place = rows + ((row * layers + layer) * batch + image)[:, None] * width + channel[None, :]
                tokens = tl.load(place, mask=shown[:, None], other=0.0)
                weight = tl.load(weights + (voxel * 5 + corner) * layers + layer, mask=inside, other=0.0)
                total += weight[:, None] * tl.dot(omega, tl.trans(tokens), input_precision="ieee")
        tl.store(out + voxel[:, None] * batch + image[None, :], total, mask=inside[:, None] & shown[None, :])


@triton.jit
def _voxel_gradients(
    rows, channels, weights, gradient, start, end, cell, to_channels, to_weights,
    layers: tl.constexpr, batch: tl.constexpr, width: tl.constexpr, columns: tl.constexpr, last: tl.constexpr,
    tile: tl.constexpr, images: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    first, stop, here = tl.load(start + number), tl.load(end + number), tl.load(cell + number)
    if first < stop:
        voxel, channel = first + tl.arange(0, tile), tl.arange(0, width)
        inside = voxel < stop
        omega = tl.load(channels + voxel[:, None] * width + channel[None, :], mask=inside[:, None], other=0.0)
        total = tl.zeros((tile, width), tl.float32)
        upper = here // columns * (columns + 1) + here % columns
        for corner in tl.static_range(5):
            row = upper + corner % 2 + corner // 2 * (columns + 1) if corner < 4 else last
            for layer in range(layers):
                spot = (voxel * 5 + corner) * layers + layer
                weight = tl.load(weights + spot, mask=inside, other=0.0)
                by_weight = tl.zeros((tile,), tl.float32)
                for part in range((batch + images - 1) // images):
                    image = part * images + tl.arange(0, images)
                    shown = image < batch
                    place = rows + ((row * layers + layer) * batch + image)[:, None] * width + channel[None, :]
                    tokens = tl.load(place, mask=shown[:, None], other=0.0)
                    given = tl.load(
                        gradient + voxel[:, None] * batch + image[None, :],
                        mask=inside[:, None] & shown[None, :],
                        other=0.0,
                    )
                    product = tl.dot(omega, tl.trans(tokens), input_precision="ieee")
                    by_weight += tl.sum(given.to(tl.float32) * product, 1)
                    total += tl.dot((weight[:, None] * given).to(tokens.dtype), tokens, input_precision="ieee")
                tl.store(to_weights + spot, by_weight, mask=inside)
        tl.store(to_channels + voxel[:, None] * width + channel[None, :], total, mask=inside[:, None])


@triton.jit
def _token_gradients(
    channels, weights, gradient, first_of, count_of, to_rows,
    layers: tl.constexpr, batch: tl.constexpr, width: tl.constexpr, columns: tl.constexpr, last: tl.constexpr,
    tile: tl.constexpr, images: tl.constexpr, parts: tl.constexpr,
):  # fmt: skip
    here, token, rest = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    corner, layer = token // layers, token % layers
    first, count = tl.load(first_of + here), tl.load(count_of + here)
    tiles = (count + tile - 1) // tile
    share = (tiles + parts - 1) // parts
    begin = rest % parts * share
    stop = tl.minimum(begin + share, tiles)
    if begin < stop:
        image, channel = rest // parts * images + tl.arange(0, images), tl.arange(0, width)
        shown = image < batch
        total = tl.zeros((images, width), tl.float32)
        for number in range(begin, stop):
            voxel = first + number * tile + tl.arange(0, tile)
            inside = voxel < first + count
            omega = tl.load(channels + voxel[:, None] * width + channel[None, :], mask=inside[:, None], other=0.0)
            weight = tl.load(weights + (voxel * 5 + corner) * layers + layer, mask=inside, other=0.0)
            given = tl.load(
                gradient + voxel[:, None] * batch + image[None, :], mask=inside[:, None] & shown[None, :], other=0.0
            )
            total += tl.dot(tl.trans((weight[:, None] * given).to(omega.dtype)), omega, input_precision="ieee")
        place = here // columns * (columns + 1) + here % columns + corner % 2 + corner // 2 * (columns + 1)
        row = tl.where(corner < 4, place, last)
        place = to_rows + ((row * layers + layer) * batch + image)[:, None] * width + channel[None, :]
        tl.atomic_add(place, total, mask=shown[:, None])


def read_triton(
    local: Float[Tensor, "L B D H W"],
    global_: Float[Tensor, "L B D"],
    selection: Selection,
    channels: Float[Tensor, "N D"],
) -> Float[Tensor, "B N"]:
    """As :func:`factortopy.model.read_out`; D is a power of two, at least 16."""
    rows, weights, cell = by_cell(local, global_, selection)
    order = cell.argsort(stable=True)
    taken = (part.index_select(0, order) for part in (weights, channels, cell))
    height, width = local.shape[-2:]
    read = TritonReadout.apply(rows, *taken, width + 1, (height + 1) * (width + 1))
    return read.T.index_select(1, order.argsort())


@lru_cache
def triton_runs(device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether Triton finds a compiler for a device, and tokens of ones give what they must."""
    ones = torch.ones(1, 16, width, 2, 2, device=device, dtype=dtype)
    centre, half = torch.zeros(3, 2, device=device), torch.full((3,), 0.5, device=device)
    try:
        with torch.no_grad():
            omega, layer = torch.ones(3, width, device=device), torch.ones(3, 1, device=device)
            read = read_triton(ones, ones[..., 0, 0], Selection(centre, layer, half), omega)
            return bool((read == width).all())
    except Exception:  # whatever a compiler may raise: the dense form does the same work
        return False


def _tiles(cell: Int[Tensor, "N"], cells: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Start, end and cell of every tile; first voxel and count of every cell. Shapes follow N and ``cells`` alone."""
    count = torch.zeros(cells, dtype=torch.int64, device=cell.device).scatter_add_(0, cell, torch.ones_like(cell))
    first, tiles = count.cumsum(0) - count, (count + TILE - 1) // TILE
    ends = tiles.cumsum(0)
    number = torch.arange(-(-len(cell) // TILE) + cells, device=cell.device)
    found = torch.searchsorted(ends, number, right=True)
    exists, of = found < cells, found.clamp(max=cells - 1)
    start = first[of] + (number - (ends - tiles)[of]) * TILE
    end = torch.minimum(start + TILE, (first + count)[of])
    parts = torch.where(exists, start, 0), torch.where(exists, end, 0), of
    return tuple(part.int() for part in parts), (first.int(), count.int())


class TritonReadout(torch.autograd.Function):
    """The grouped read-out of voxels sorted by ``cell``, of which there are ``cells`` in rows of ``columns``."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weights: Tensor, channels: Tensor, cell: Tensor, columns: int, cells: int
    ) -> Float[Tensor, "N B"]:
        """Predictions."""
        positions, layers, batch, width = rows.shape
        rows, narrow, mixing = rows.contiguous(), channels.to(rows.dtype).contiguous(), weights.float().contiguous()
        tiles, groups = _tiles(cell, cells)
        result = torch.empty(len(channels), batch, device=rows.device)
        images = max(16, min(IMAGES, triton.next_power_of_2(batch)))
        sizes = layers, batch, width, columns, positions - 1, TILE, images
        _predict[(len(tiles[0]), triton.cdiv(batch, images))](rows, narrow, mixing, *tiles, result, *sizes)
        ctx.save_for_backward(rows, narrow, mixing, *tiles, *groups)
        ctx.sizes, ctx.dtypes = sizes, (weights.dtype, channels.dtype)
        return result.to(channels.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for rows, weights and channels."""
        rows, narrow, mixing, *others = ctx.saved_tensors
        tiles, groups = others[:3], others[3:]
        layers, batch, images = ctx.sizes[0], ctx.sizes[1], ctx.sizes[-1]
        gradient = gradient.to(rows.dtype).contiguous()
        to_channels, to_rows = (
            torch.empty_like(narrow, dtype=torch.float32),
            torch.zeros_like(rows, dtype=torch.float32),
        )
        to_weights = torch.empty_like(mixing)
        _voxel_gradients[(len(tiles[0]),)](rows, narrow, mixing, gradient, *tiles, to_channels, to_weights, *ctx.sizes)
        programs = len(groups[0]), 5 * layers, PARTS * triton.cdiv(batch, images)
        _token_gradients[programs](narrow, mixing, gradient, *groups, to_rows, *ctx.sizes, PARTS)
        return to_rows.to(rows.dtype), to_weights.to(ctx.dtypes[0]), to_channels.to(ctx.dtypes[1]), None, None, None
