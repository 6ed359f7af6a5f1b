"""Representational depth: how far a layer's tokens are from the pixels, instead of how many layers away.

Networks of other sizes have other numbers of layers, and neighbouring layers can be nearly the same. Linear
centred kernel alignment (Kornblith et al. 2019) asks whether images alike in pixels are alike in a layer::

    CKA(X, Y) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))          K = X X^T, L = Y Y^T
    distance of a layer from the pixels = 1 - CKA

with the unbiased estimate of HSIC (Song et al. 2012), with K~ and L~ of zero diagonal and n images::

    HSIC(K, L) = [ tr(K~ L~) + sum(K~) sum(L~) / ((n - 1)(n - 2)) - 2 / (n - 2) 1^T K~ L~ 1 ] / (n (n - 3))

The biased one tends to 1 where there are more numbers than images, whatever they are. Images stream through
in batches whose estimates are averaged (Nguyen et al. 2021), which stays unbiased: the memory is bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.networks import Tokens
from factortopy.progress import progress_bar
from factortopy.tokens import TokenStore

IMAGES = 512
BATCH_BYTES = 2**28
FEWEST, MOST = 16, 256
"""Images of a batch."""
PIXELS = 64
"""Height and width at which pixels are compared: a linear kernel hardly sees finer detail."""


@dataclass(frozen=True, eq=False)
class RepresentationalDepth:
    """Distance of every layer from the pixels.

    Attributes:
        network: name of the network.
        layers: names of the layers, shallow to deep.
        distance: ``1 - CKA``: 0 for the pixels themselves, about 1 where nothing is shared.
        images: number of images.
    """

    network: str
    layers: tuple[str, ...]
    distance: Float[np.ndarray, "layer"]
    images: int


def representational_depth(
    tokens: TokenStore,
    images: ImageSet,
    *,
    ids: Sequence[str] | None = None,
    count: int = IMAGES,
    seed: int = 0,
    progress: bool = True,
) -> RepresentationalDepth:
    """Distance from the pixels of every layer's tokens, local and global side by side.

    Args:
        tokens: of the network.
        images: the photographs.
        ids: images to take, such as a split's test images; random ones of the store if None.
        count: images at most, drawn at random.
        seed: of the draw.
        progress: whether to show a progress bar.

    Raises:
        DataError: if photographs are missing or broken, fewer than 16 are left, or pixels do not vary.

    Example:
        >>> depth = ft.representational_depth(tokens, subject.images, progress=False)
        >>> len(depth.distance) == len(tokens.layers)
        True
    """
    rows = _chosen(tokens, images, ids, count, seed)
    bytes_each = 2 * sum(tokens.channels) * (tokens.grid[0] * tokens.grid[1] + 1)
    size = int(np.clip(BATCH_BYTES // bytes_each, FEWEST, MOST))
    # Batches of nearly the same size: an estimate from few images is a poor one.
    batches = np.array_split(rows, -(-len(rows) // size))
    sums = np.zeros((3, len(tokens.layers)))
    with progress_bar("Distance from pixels", len(rows), show=progress) as advance:
        for batch in batches:
            pixels = _gram(_pixels(tokens, images, batch))
            for number, layer in enumerate(_layers(tokens.read(batch.tolist()))):
                own = _gram(layer)
                pairs = ((own, pixels), (own, own), (pixels, pixels))
                sums[:, number] += [hsic(left, right) for left, right in pairs]
            advance(len(batch))
    shared, own_norm, pixel_norm = sums
    if not ((own_norm > 0).all() and (pixel_norm > 0).all()):
        raise DataError("pixels or tokens are the same in all images; a distance needs images that differ")
    distance = 1 - shared / np.sqrt(own_norm * pixel_norm)
    return RepresentationalDepth(tokens.network, tokens.layers, distance, len(rows))


def hsic(left: Float[Tensor, "n n"], right: Float[Tensor, "n n"]) -> float:
    """Unbiased estimate of HSIC from two kernels of the same images (formula at the top of this file)."""
    count = len(left)
    if count < 4:
        raise DataError(f"HSIC needs four images or more, got {count}")
    one, other = (kernel.double() - torch.diag(kernel.diagonal().double()) for kernel in (left, right))
    sides = one.sum(dim=0), other.sum(dim=0)
    value = (one * other).sum() + sides[0].sum() * sides[1].sum() / ((count - 1) * (count - 2))
    return float((value - 2 / (count - 2) * (sides[0] @ sides[1])) / (count * (count - 3)))


def _chosen(tokens: TokenStore, images: ImageSet, ids: Sequence[str] | None, count: int, seed: int) -> np.ndarray:
    index = {image: row for row, image in enumerate(tokens.image_ids)}
    wanted = list(tokens.image_ids if ids is None else ids)
    photographed = set(images.ids)
    for image in wanted:
        if image not in index or image not in photographed:
            where = f"the token store {tokens.path}" if image not in index else f"the photographs {images.name!r}"
            raise DataError(f"image {image!r} is not in {where}; give the photographs that were extracted")
    if len(wanted) < FEWEST:
        raise DataError(f"distances from pixels need {FEWEST} images or more, got {len(wanted)}")
    drawn = np.random.default_rng(seed).permutation(len(wanted))[:count]
    return np.array([index[wanted[number]] for number in drawn])


def _pixels(tokens: TokenStore, images: ImageSet, rows: np.ndarray) -> Float[Tensor, "image number"]:
    """The images as the network sees them, at a coarser resolution."""
    see = tokens.preprocessing
    index = {image: number for number, image in enumerate(images.ids)}
    seen = torch.stack([see(images.image(index[tokens.image_ids[row]])) for row in rows])
    height, width = (min(side, PIXELS) for side in see.size)
    return torch.nn.functional.adaptive_avg_pool2d(seen, (height, width)).flatten(1)


def _layers(tokens: Tokens) -> Iterator[Float[Tensor, "image number"]]:
    for local, global_ in zip(tokens.local, tokens.global_, strict=True):
        yield torch.cat([local.flatten(1), global_], dim=1).float()


def _gram(values: Float[Tensor, "image number"]) -> Float[Tensor, "image image"]:
    # Large means would drown small differences in float32; HSIC does not change.
    values = values - values.mean(dim=0)
    return values @ values.T
