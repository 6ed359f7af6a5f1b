"""Images of one side of a split: their tokens and responses, read on demand, wherever they lie."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.networks import Tokens

ReadTokens = Callable[[Int[Tensor, "batch"]], Tokens]
"""Gives the tokens of images by their index."""
BLOCK = 256


class Responses(Protocol):
    """Responses (image, voxel) by the index of the image; a tensor is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Int[Tensor, "batch"], /) -> Float[Tensor, "batch voxel"]: ...


@dataclass(frozen=True)
class Images:
    """Images of one side of a split.

    Attributes:
        read: gives tokens by index.
        responses: responses to the same images.
        resident: whether tokens are in memory; else the next are read ahead while some are used.
    """

    read: ReadTokens
    responses: Responses
    resident: bool = True

    def __len__(self) -> int:
        return len(self.responses)

    def batches(self, size: int) -> Iterator[Tokens]:
        """Tokens of all images in order, batch by batch."""
        for indices in torch.arange(len(self)).split(size):
            yield self.read(indices)


@dataclass(frozen=True, eq=False)
class StandardisedResponses:
    """Z-scored responses to some images, computed as they are read, so that no copy of all is held.

    Attributes:
        responses: of all images, in memory or mapped from disk.
        rows: the images meant.
        mean: of every voxel over the training images.
        spread: standard deviation of every voxel over the training images; 1 where it is constant.
    """

    responses: Float[np.ndarray, "image voxel"]
    rows: Int[np.ndarray, "some"]
    mean: Float[np.ndarray, "voxel"]
    spread: Float[np.ndarray, "voxel"]

    @classmethod
    def by_training(
        cls, responses: Float[np.ndarray, "image voxel"], rows: Int[np.ndarray, "some"]
    ) -> "StandardisedResponses":
        """Responses to the training images, z-scored by themselves."""
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        mean = sum(responses[block].sum(axis=0, dtype=np.float64) for block in blocks) / len(rows)
        squares = sum(np.square(responses[block] - mean).sum(axis=0) for block in blocks)
        spread = np.sqrt(squares / len(rows))
        spread = np.where(spread > 0, spread, 1)
        return cls(responses, rows, mean.astype(np.float32), spread.astype(np.float32))

    def of(self, rows: Int[np.ndarray, "some"]) -> "StandardisedResponses":
        """Responses to other images, z-scored by the same training images."""
        return StandardisedResponses(self.responses, rows, self.mean, self.spread)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch voxel"]:
        return torch.from_numpy((self.responses[self.rows[rows.numpy()]] - self.mean) / self.spread)
