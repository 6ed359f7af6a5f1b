"""Pillow's resizing as two products of matrices, on any device: the same weights, the same rounding to 8 bits."""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

CUBIC = -0.5
"""Slope of the bicubic filter at 1."""


def resample(images: UInt8[Tensor, "B C H W"], size: tuple[int, int], filter_name: str) -> UInt8[Tensor, "B C _h _w"]:
    """Images resized to a height and width as ``PIL.Image.resize`` does, to one level of 255.

    Args:
        images: of one size, 8 bits.
        size: height and width wanted.
        filter_name: one of Pillow's, such as ``"bicubic"``.
    """
    (height, width), (rows, columns) = images.shape[-2:], size
    down = _weights(filter_name, height, rows, images.device)
    across = _weights(filter_name, width, columns, images.device).T
    # Which way comes first shows in the rounding between them. Pillow 13's order, found by trying both.
    if height - rows > 2 * max(width - columns, 0):
        return _to_levels(_to_levels(down @ images.float()) @ across).to(torch.uint8)
    return _to_levels(down @ _to_levels(images.float() @ across)).to(torch.uint8)


def _to_levels(values: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """Rounded as Pillow does, halves up, between rows and columns too."""
    return values.add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=64)
def _weights(filter_name: str, before: int, after: int, device: torch.device) -> Float[Tensor, "after before"]:
    """What each new pixel takes of the old ones."""
    scale = before / after
    if filter_name == "nearest":
        # Added up one after the other, as Pillow does: at the border of two pixels the last bit decides.
        place = torch.tensor([0.5 * scale] + [scale] * (after - 1), dtype=torch.float64).cumsum(dim=0)
        return (torch.arange(before) == place.floor()[:, None]).float().to(device)
    centre = (torch.arange(after, dtype=torch.float64)[:, None] + 0.5) * scale
    support, kernel = FILTERS[filter_name]
    stretch = max(scale, 1.0)
    first, last = ((centre + sign * support * stretch + 0.5).trunc() for sign in (-1, 1))
    pixels = torch.arange(before)
    weights = kernel((pixels + 0.5 - centre) / stretch) * ((pixels >= first) & (pixels < last))
    return (weights / weights.sum(dim=1, keepdim=True)).float().to(device)


def _bicubic(x: Tensor) -> Tensor:
    x = x.abs()
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _hamming(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 1, torch.sinc(x) * (0.54 + 0.46 * torch.cos(math.pi * x)), 0.0)


FILTERS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "box": (0.5, lambda x: ((x > -0.5) & (x <= 0.5)).double()),
    "bilinear": (1.0, lambda x: (1 - x.abs()).clamp(min=0)),
    "hamming": (1.0, _hamming),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, lambda x: torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)),
}
"""How far a filter reaches, in old or new pixels, whichever are larger, and its weight at a distance."""
