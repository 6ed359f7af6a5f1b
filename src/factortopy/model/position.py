"""Sinusoidal code of a voxel's place on the cortex."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from factortopy.errors import DataError


class PositionEncoding(nn.Module):
    """Sine and cosine code of 3-D coordinates (`method.md`: 3 x 32 x 2 = 192 features).

    Coordinates are shifted to start at 0 and scaled by one factor so that the longest axis spans
    0..100; frequencies are ``1000^(-k/32)``, k = 0..31; features are ordered (axis, frequency,
    sine/cosine). The bounds are fixed when the code is made, so a subset of the voxels gets the same
    code, and an axis without extent (a flat map) gives constants.

    Args:
        bounds: smallest and largest coordinate of the surface or of all voxels, mm.
        frequencies: number of frequencies per axis.
        extent: length that the longest axis is scaled to.
        base: ratio of the highest to (about) the lowest frequency.

    Raises:
        DataError: if the bounds are not finite or not ordered.
    """

    lower: Tensor
    factor: Tensor
    frequency: Tensor

    def __init__(
        self,
        bounds: Float[np.ndarray, "2 3"],
        frequencies: int = 32,
        extent: float = 100.0,
        base: float = 1000.0,
    ) -> None:
        super().__init__()
        bounds = np.asarray(bounds, dtype=np.float64)
        if bounds.shape != (2, 3) or not np.isfinite(bounds).all() or (bounds[1] < bounds[0]).any():
            raise DataError(f"coordinate bounds must be two finite rows, smallest then largest; got {bounds.tolist()}")
        longest = float((bounds[1] - bounds[0]).max())
        exponents = torch.arange(frequencies, dtype=torch.float64) / frequencies
        self.register_buffer("lower", torch.from_numpy(bounds[0].copy()))
        self.register_buffer("factor", torch.tensor(extent / longest if longest > 0 else 1.0, dtype=torch.float64))
        self.register_buffer("frequency", base**-exponents)

    @property
    def features(self) -> int:
        """Number of features of the code."""
        return 6 * len(self.frequency)

    def forward(self, coordinates: Float[Tensor, "N 3"]) -> Float[Tensor, "N features"]:
        """Code coordinates (mm); values in [-1, 1], float32."""
        scaled = (coordinates.double() - self.lower.double()) * self.factor.double()
        angle = scaled[:, :, None] * self.frequency.double()
        return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).float()
