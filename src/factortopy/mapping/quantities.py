"""Quantities that are computed from the layer weights of a mapping: the layer read most, and how surely."""

import numpy as np
import torch
from jaxtyping import Float

from factortopy.model import confidence


def best_layer(weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel"]:
    """Position in 0..1 of the layer of largest weight; NaN where the weights are.

    Args:
        weights: selectors or shares of each layer.
    """
    finite = np.isfinite(weights).all(axis=1)
    best = np.where(finite[:, None], weights, 0.0).argmax(axis=1) / max(weights.shape[1] - 1, 1)
    return np.where(finite, best, np.nan)


def layer_confidence(weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel"]:
    """Confidence of layer weights, ``s_i = 1 - H(w_i) / log L`` (eq. 2): 1 one-hot, 0 uniform.

    Shares may be negative: those are set to 0 and the rest scaled to sum 1 before the entropy is taken.

    Args:
        weights: selectors or shares of each layer.

    Returns:
        Values in 0..1; NaN where the weights are; 1 for a network of one layer.
    """
    weights = np.clip(np.asarray(weights, dtype=float), 0.0, None)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.full_like(weights, np.nan), where=total > 0)
    return confidence(torch.from_numpy(weights)).numpy()
