"""Tokens of extreme norm, in which networks keep something of the whole image instead of its places.

Some patches of little content come to hold global information, at norms many times those of the others
(Darcet et al. 2024, "Vision transformers need registers", arXiv 2309.16588).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from factortopy.networks import Tokens
from factortopy.progress import progress_bar
from factortopy.tokens.store import TokenStore

OUTLIER_RATIO = 3.0
"""A token is an outlier if its norm is above so many times the median norm of its map."""
BLOCK = 64


@dataclass(frozen=True)
class TokenNorms:
    """Euclidean norms of a store's local tokens.

    Attributes:
        network: name of the network.
        layers: names, shallow to deep.
        images: number of images.
        mean: over images.
        largest: over images.
        outliers: share of images, 0..1, in which the place holds an outlier.
        median: of all norms of a layer.
    """

    network: str
    layers: tuple[str, ...]
    images: int
    mean: Float[np.ndarray, "layer height width"]
    largest: Float[np.ndarray, "layer height width"]
    outliers: Float[np.ndarray, "layer height width"]
    median: Float[np.ndarray, "layer"]


def token_norms(store: TokenStore, *, progress: bool = True) -> TokenNorms:
    """Norms of local tokens per layer and place, and how often a place holds an outlier.

    They are those of the stored maps, in which down-sampling has blended each token with its neighbours.

    Args:
        store: complete.
        progress: show a bar.

    Example:
        >>> norms = ft.token_norms(tokens, progress=False)
        >>> bool((norms.outliers <= 1).all())
        True
    """
    shape = (len(store.layers), *store.grid)
    total, largest, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    medians: list[np.ndarray] = []
    with progress_bar("Token norms", len(store), show=progress) as advance:
        for start in range(0, len(store), BLOCK):
            local = store.read(range(start, min(start + BLOCK, len(store)))).local
            norms = torch.stack([norm(tensor) for tensor in local])
            values = norms.numpy()
            total += values.sum(1)
            largest = np.maximum(largest, values.max(1))
            count += np.stack([outliers(layer).numpy() for layer in norms]).sum(1)
            medians.append(np.median(values, axis=(2, 3)))
            advance(values.shape[1])
    median = np.median(np.concatenate(medians, axis=1), axis=1)
    images = len(store)
    return TokenNorms(store.network, store.layers, images, total / images, largest, count / images, median)


def norm(local: Float[Tensor, "B C H W"]) -> Float[Tensor, "B H W"]:
    """Euclidean norm of every token of a map."""
    return torch.linalg.vector_norm(local.float(), dim=1)


def outliers(norms: Float[Tensor, "B H W"], ratio: float = OUTLIER_RATIO) -> Bool[Tensor, "B H W"]:
    """Which tokens have a norm above ``ratio`` times the median of their own map."""
    return norms > ratio * norms.flatten(1).median(1).values[:, None, None]


def mask_outliers(tokens: Tokens, *, pooled: bool, ratio: float = OUTLIER_RATIO) -> Tokens:
    """Replace every outlier of every map by the mean of those of its eight neighbours that are none.

    Where all neighbours are outliers, the mean of the map's other tokens is taken. ``tokens`` are at the network's
    own resolution; global tokens that are pooled, means over places, are taken anew.
    """
    local = tuple(_masked(tensor, ratio) for tensor in tokens.local)
    global_ = tuple(tensor.mean((2, 3), dtype=torch.float32) for tensor in local) if pooled else tokens.global_
    return Tokens(local, global_, tokens.registers)


def _masked(local: Float[Tensor, "B C H W"], ratio: float) -> Float[Tensor, "B C H W"]:
    out = outliers(norm(local), ratio)[:, None]
    if not bool(out.any()):
        return local
    # Sums over 3 x 3 places of what is no outlier; the border adds nothing.
    kept = (~out).to(local.dtype)
    clean = torch.where(out, torch.zeros_like(local), local)
    near = functional.avg_pool2d(clean, 3, stride=1, padding=1, divisor_override=1)
    near_count = functional.avg_pool2d(kept, 3, stride=1, padding=1, divisor_override=1)
    everywhere = clean.sum((2, 3), keepdim=True) / kept.sum((2, 3), keepdim=True)
    filled = torch.where(near_count > 0, near / near_count.clamp(min=1), everywhere)
    return torch.where(out, filled, local)
