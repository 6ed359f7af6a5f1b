"""What linear baselines start from: the same principal components of tokens, of fitted images and of test rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting import (
    GLOBAL,
    Examples,
    FitSettings,
    distinct_images,
    image_folds,
    join_tokens,
    mean_kernel,
    measure_reduction,
)
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

BATCH = 64
FIELD_PLACES = 8
"""Centres of receptive fields along each axis of the image, at most."""
FIELD_SIZES = (0.5, 1.0, 2.0)
"""Standard deviations of receptive fields, in distances between neighbouring centres."""


@dataclass(frozen=True)
class Field:
    """A Gaussian receptive field: its centre in [-1, 1], x to the right and y down, and its standard deviation."""

    x: float
    y: float
    size: float


@dataclass(frozen=True, eq=False)
class Features:
    """Components of the distinct images of training and validation, and of the test rows after them.

    Attributes:
        tokens: float16 components of all rows.
        repeats: trials of each of the first images, those that are fitted.
        folds: their folds, scenes kept whole.
        responses: mean responses to them.
    """

    tokens: Tokens
    repeats: Float[Tensor, "n"]
    folds: Int[Tensor, "n"]
    responses: Float[Tensor, "n voxel"]

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.tokens.local)

    @cached_property
    def layer_kernels(self) -> list[Float[Tensor, "row n"]]:
        """Kernels of the layers: 3/4 of their tokens at all places, 1/4 of the global one."""
        pairs = zip(self.tokens.local, self.tokens.global_, strict=True)
        return [
            (1 - GLOBAL) * mean_kernel([local], self.repeats) + GLOBAL * mean_kernel([whole], self.repeats)
            for local, whole in pairs
        ]

    def kernel(self, weights: Sequence[float]) -> Float[Tensor, "row n"]:
        """Layers' kernels, weighted."""
        total = torch.zeros_like(self.layer_kernels[0])
        for weight, part in zip(weights, self.layer_kernels, strict=True):
            total += weight * part
        return total

    @cached_property
    def _scales(self) -> list[Float[Tensor, ""]]:
        """What each layer's local and then global tokens are multiplied by: a mean square of their share at a place.

        Over all places, as a place where nothing varies in the fitted images must not be blown up.
        """
        shares = [(1 - GLOBAL) / self.layers] * self.layers + [GLOBAL / self.layers] * self.layers
        scales = []
        for layer, share in zip((*self.tokens.local, *self.tokens.global_), shares, strict=True):
            places = self._centred(layer.float().flatten(2) if layer.ndim > 2 else layer.float()[:, :, None])
            squares = places[: len(self.repeats)].square().sum(dim=1).mean()
            scales.append((share / squares.clamp(min=1e-12)).sqrt())
        return scales

    def _centred(self, values: Float[Tensor, "row *rest"]) -> Float[Tensor, "row *rest"]:
        """Less their mean over all trials of the fitted images."""
        share = self.repeats / self.repeats.sum()
        return values - torch.tensordot(share, values[: len(share)], dims=1)

    def of_field(self, field: Field) -> Float[Tensor, "row F"]:
        """Components of all layers, less their mean: local ones weighed by a receptive field, and global ones."""
        weights = field_weights(field, *self.tokens.local[0].shape[-2:]).flatten().to(self.repeats)
        local = [
            torch.cat([part.float() @ weights for part in layer.flatten(2).split(64)]) for layer in self.tokens.local
        ]
        blocks = zip((*local, *self.tokens.global_), self._scales, strict=True)
        return torch.cat([scale * self._centred(block.float()) for block, scale in blocks], dim=1)

    def fields(self) -> list[Field]:
        """The grid of receptive fields: centres of the token grid's cells, at most 8 x 8, in three sizes."""
        height, width = self.tokens.local[0].shape[-2:]
        rows, columns = min(height, FIELD_PLACES), min(width, FIELD_PLACES)
        step = 2 / max(rows, columns)
        return [
            Field(2 * (column + 0.5) / columns - 1, 2 * (row + 0.5) / rows - 1, size * step)
            for size in FIELD_SIZES
            for row in range(rows)
            for column in range(columns)
        ]


def measure_features(
    sides: dict[str, Examples],
    count: int,
    settings: FitSettings,
    scenes: Sequence[str] | None,
    device: torch.device,
    progress: bool = True,
) -> Features:
    """Tokens of all sides in principal components of the training images.

    Args:
        sides: training, validation and test images.
        count: components of each layer and kind of token, at most.
        settings: whose seed is that of the components.
        scenes: of every token; None where they are not known.
        device: where to compute.
        progress: whether to show a progress bar.

    Raises:
        DataError: if training and validation images are of one scene.
    """
    images, repeats = distinct_images(*(side for name, side in sides.items() if name != "test"))
    reduction = measure_reduction(sides["train"], count, settings.damping, settings.seed).undamped(count).to(device)

    def reduced() -> Iterator[Tokens]:
        for side in (images, sides["test"]):
            for batch in side.batches(BATCH):
                yield reduction.apply(batch.to(device))
                advance(len(batch))

    rows = len(images) + len(sides["test"])
    with progress_bar("Features", rows, show=progress) as advance:
        tokens = join_tokens(reduced(), rows, device)
    return Features(tokens, repeats.to(device), image_folds(images, scenes).to(device), images.all_responses(device))


def field_weights(field: Field, height: int, width: int) -> Float[Tensor, "H W"]:
    """Weights of the tokens in a receptive field, ``exp(-d^2 / (2 size^2))``, divided by their sum."""
    y = 2 * (torch.arange(height) + 0.5) / height - 1
    x = 2 * (torch.arange(width) + 0.5) / width - 1
    distance = (x[None, :] - field.x).square() + (y[:, None] - field.y).square()
    weights = (-distance / (2 * field.size**2)).exp()
    return weights / weights.sum()
