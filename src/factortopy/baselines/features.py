"""What linear baselines start from, equally many numbers an image for each, and what they come to.

All start from the same principal components of tokens, as the default recipe does: ``K = features / (2 L)``
of every layer, for local and for global tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting import Examples, FitSettings, join_tokens, measure_reduction
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

BATCH = 64
FIELD_PLACES = 8
"""Centres of receptive fields along each axis of the image, at most."""
FIELD_SIZES = (0.5, 1.0, 2.0)
"""Standard deviations of receptive fields, in distances between neighbouring centres."""

PENALTIES = np.logspace(0, 6, 13, dtype=np.float32)
"""Ridge penalties tried, for features of mean variance 1."""

Sides = dict[str, Float[np.ndarray, "_image _number"]]
"""Numbers of every image, by side of the split."""


@dataclass(frozen=True, eq=False)
class LinearFit:
    """What a linear baseline predicts and what it chose on the validation images.

    Attributes:
        predictions: of the responses to the test images.
        chosen: candidate (layer, receptive field) that predicted each voxel's validation responses best.
        score: negative mean squared error there, as himalaya gives it.
    """

    predictions: Float[np.ndarray, "image voxel"]
    chosen: Int[np.ndarray, "voxel"]
    score: Float[np.ndarray, "voxel"]


@dataclass(frozen=True)
class Field:
    """A Gaussian receptive field: its centre in [-1, 1], x to the right and y down, and its standard deviation."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Features:
    """Principal components of the tokens of every image.

    Attributes:
        tokens: float16 components by side of the split.
        count: numbers an image that a baseline may use in all.
    """

    tokens: dict[str, Tokens]
    count: int

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.tokens["train"].local)

    def of_layer(self, layer: int, count: int) -> Sides:
        """``count`` principal components of a layer's tokens, those of all positions and the global one."""
        from sklearn.decomposition import PCA

        parts = {
            side: torch.cat([tokens.local[layer].flatten(1), tokens.global_[layer]], dim=1).float().numpy()
            for side, tokens in self.tokens.items()
        }
        most = min(count, len(parts["train"]) - 1, parts["train"].shape[1])
        components = PCA(most, random_state=0).fit(parts["train"])
        return _unit({side: components.transform(part) for side, part in parts.items()})

    def of_field(self, field: Field) -> Sides:
        """Components of all layers: local ones weighed by a receptive field, and global ones."""
        first = self.tokens["train"].local[0]
        weights = field_weights(field, *first.shape[-2:]).flatten()

        def of(tokens: Tokens) -> np.ndarray:
            local = [layer.float().flatten(2) @ weights for layer in tokens.local]
            return torch.cat([*local, *(layer.float() for layer in tokens.global_)], dim=1).numpy()

        return _unit({side: of(tokens) for side, tokens in self.tokens.items()})

    def fields(self) -> list[Field]:
        """The grid of receptive fields: centres of the token grid's cells, at most 8 x 8, in three sizes."""
        height, width = self.tokens["train"].local[0].shape[-2:]
        rows, columns = min(height, FIELD_PLACES), min(width, FIELD_PLACES)
        step = 2 / max(rows, columns)
        return [
            Field(2 * (column + 0.5) / columns - 1, 2 * (row + 0.5) / rows - 1, size * step)
            for size in FIELD_SIZES
            for row in range(rows)
            for column in range(columns)
        ]


def measure_features(
    sides: dict[str, Examples], layers: int, count: int, settings: FitSettings, progress: bool = True
) -> Features:
    """Tokens of all sides in principal components of the training images, for ``count`` numbers an image in all."""
    components = max(1, count // (2 * layers))
    reduction = measure_reduction(sides["train"], components, settings.damping, settings.seed)

    def reduced(side: Examples) -> Iterator[Tokens]:
        for batch in side.batches(BATCH):
            yield reduction.apply(batch)
            advance(len(batch))

    with progress_bar("Features", sum(map(len, sides.values())), show=progress) as advance:
        return Features({name: join_tokens(reduced(side), len(side)) for name, side in sides.items()}, count)


def field_weights(field: Field, height: int, width: int) -> Float[Tensor, "H W"]:
    """Weights of the tokens in a receptive field, ``exp(-d^2 / (2 size^2))``, divided by their sum."""
    y = 2 * (torch.arange(height) + 0.5) / height - 1
    x = 2 * (torch.arange(width) + 0.5) / width - 1
    distance = (x[None, :] - field.x).square() + (y[:, None] - field.y).square()
    weights = (-distance / (2 * field.size**2)).exp()
    return weights / weights.sum()


def _unit(sides: Sides) -> Sides:
    """Divided by one number, so that features have a mean variance of 1 and penalties mean alike."""
    spread = float(np.sqrt(sides["train"].var(axis=0).mean())) or 1.0
    return {side: (part / spread).astype(np.float32) for side, part in sides.items()}
