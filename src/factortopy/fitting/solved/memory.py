"""Memory that the stages of a fit take, by counting their large arrays; the rest of a fit holds its data meanwhile."""

from factortopy.fitting.solved.channels import BATCH, BLOCK_NUMBERS, CHUNK_NUMBERS, PARTS, WIDTHS
from factortopy.machine import threads_at_once

ROOTS = 6
"""Arrays at a time of the size of a chunk where channels are solved."""


def reduction_memory(channels: tuple[int, ...], positions: int, batch: int) -> float:
    """Bytes that measuring principal components takes: a batch of raw tokens, and covariances in float64.

    Args:
        channels: of every layer.
        positions: tokens of a layer, the global one among them.
        batch: images read at a time.
    """
    return 2 * 8.0 * sum(count**2 for count in channels) + 6.0 * batch * positions * sum(channels)


def channels_memory(voxels: int, layers: int, positions: int, width: int, parcels: int) -> float:
    """Bytes that solving channels takes.

    Args:
        voxels: number of voxels.
        layers: number of layers.
        positions: tokens of a layer, the global one among them.
        width: channels of the align.
        parcels: whose means channels are learnt from as well; 0 for none.
    """
    block, targets = min(voxels, BLOCK_NUMBERS // (PARTS * width**2)), 1 + (len(WIDTHS) if parcels else 0)
    # What every voxel reads; sums in float64; weights of parcels around voxels, and what makes them.
    held = 4.0 * voxels * layers * positions + PARTS * 8.0 * block * width * (width + targets)
    held += 4.0 * block * parcels * (len(WIDTHS) + 3)
    # Aligned tokens of a batch, twice while they are put together, and its responses.
    held += 2 * 4.0 * BATCH * (layers * positions * width + voxels)
    chunk = min(CHUNK_NUMBERS, block * width * max(width, BATCH))
    return held + threads_at_once() * ROOTS * 8.0 * chunk
