"""Shuffled layers: could a hierarchy come from any order of the layers?

The layers' positions are permuted, the same for all voxels, and slope and rank correlation computed again.
What remains is how the network's layers are shared out over the voxels; what is lost is that deep layers come
after shallow ones. Layers are permuted, not voxels, so the p values do not count voxels as independent.
"""

import math
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float, Int

PERMUTATIONS = 1_000
CHUNK = 50
"""Permutations at a time: an array of voxels x permutations is ranked."""


@dataclass(frozen=True, eq=False)
class ShuffledLayers:
    """Slope and rank correlation of every permutation of the layers.

    Attributes:
        slope: hierarchy slopes.
        spearman: rank correlations of depth and level over voxels.
        exact: whether every order of the layers is there once, the true one among them.
    """

    slope: Float[np.ndarray, "permutation"]
    spearman: Float[np.ndarray, "permutation"]
    exact: bool

    def p(self, slope: float, spearman: float) -> tuple[float, float]:
        """Two-sided p values: the share of orders at least as far from 0 as the true one.

        Random orders count the true one in: ``(1 + orders as far) / (1 + orders)``.
        """
        return self._p(self.slope, slope), self._p(self.spearman, spearman)

    def _p(self, null: Float[np.ndarray, "permutation"], value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        # Sums in another order must not make equal numbers differ.
        far = int((np.abs(null) >= abs(value) * (1 - 1e-6) - 1e-12).sum())
        return far / len(null) if self.exact else (1 + far) / (1 + len(null))


def shuffle_layers(
    weights: Float[np.ndarray, "voxel layer"],
    positions: Float[np.ndarray, "layer"],
    levels: Float[np.ndarray, "voxel"],
    count: int = PERMUTATIONS,
    seed: int = 0,
) -> ShuffledLayers:
    """Slope and rank correlation of ``depth = weights @ permuted positions`` with the levels of voxels.

    Args:
        weights: layer shares or selectors of the voxels of an order, finite.
        positions: position of every layer.
        levels: level of every voxel.
        count: random permutations; all are taken once where there are no more of them.
        seed: of the random ones.
    """
    drawn, exact = _permutations(len(positions), count, seed)
    x = levels - levels.mean()
    # Least squares is linear in depth and depth in the positions: one weight of each layer gives all slopes.
    by_layer = x @ weights / (x @ x)
    ranks = _standard_ranks(levels[:, None])[:, 0]
    spearman = [
        ranks @ _standard_ranks(weights @ positions[drawn[start : start + CHUNK]].T)
        for start in range(0, len(drawn), CHUNK)
    ]
    return ShuffledLayers(positions[drawn] @ by_layer, np.concatenate(spearman), exact)


def spearman_correlation(depth: Float[np.ndarray, "voxel"], levels: Float[np.ndarray, "voxel"]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where all depths or levels are the same."""
    return float(_standard_ranks(depth[:, None])[:, 0] @ _standard_ranks(levels[:, None])[:, 0])


def _permutations(layers: int, count: int, seed: int) -> tuple[Int[np.ndarray, "permutation layer"], bool]:
    if math.factorial(layers) <= count:
        return np.array(list(permutations(range(layers)))), True
    random = np.random.default_rng(seed)
    return random.permuted(np.tile(np.arange(layers), (count, 1)), axis=1), False


def _standard_ranks(values: Float[np.ndarray, "voxel column"]) -> Float[np.ndarray, "voxel column"]:
    """Ranks of each column with mean 0 and length 1; 0 where the column is constant."""
    from scipy.stats import rankdata

    # Rounded: equal depths must tie however their sums came about.
    ranks = rankdata(np.round(values, 9), axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
