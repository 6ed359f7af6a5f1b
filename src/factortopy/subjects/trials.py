"""Single trials, whatever the data set: z-scored by session, and room for the rows made of them."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from factortopy.errors import DataError

Trials = Literal["averaged", "single"]
ZScore = Literal["session", "none"]


def standardise(
    block: Float[np.ndarray, "trial voxel"], zscore: ZScore, *, keep_constant: bool = False
) -> tuple[Float[np.ndarray, "voxel"], Bool[np.ndarray, "voxel"]]:
    """Z-score the trials of a session in place if asked (divisor n); the other voxels become 0.

    Args:
        block: responses of some voxels, floating point; changed in place.
        zscore: ``"session"`` or ``"none"``.
        keep_constant: whether voxels that do not vary stay where nothing is z-scored.

    Returns:
        The standard deviation of each voxel, and which voxels have values (and vary).
    """
    mean = block.mean(axis=0, dtype=np.float64)
    spread = block.std(axis=0, dtype=np.float64)
    # The mean of equal numbers is not exact: what it leaves is no variance.
    fine = np.isfinite(mean) & np.isfinite(spread)
    if zscore == "session" or not keep_constant:
        fine &= spread > 1e-6 * np.abs(mean)
    if zscore == "session":
        block -= mean.astype(np.float32)
        block /= np.where(fine, spread, 1).astype(np.float32)
    block[:, ~fine] = 0
    return spread, fine


def empty_rows(rows: int, voxels: int, remedy: str) -> Float[np.ndarray, "row voxel"]:
    """Zeros for the responses of a subject.

    Args:
        rows: images or trials.
        voxels: how many.
        remedy: what to choose instead where memory is too small.

    Raises:
        DataError: if they do not fit into the free memory.
    """
    import psutil

    needed, free = 4 * rows * voxels, psutil.virtual_memory().available
    if needed > free:
        raise DataError(
            f"responses of {rows} rows and {voxels} voxels take {needed / 1e9:.1f} GB of memory, "
            f"{free / 1e9:.1f} GB are free; choose {remedy}"
        )
    return np.zeros((rows, voxels), dtype=np.float32)
