"""Ridge regressions of many voxels side by side, each on what it reads, from sums over images."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from factortopy.fitting.solved.closed_form import PENALTIES, SMALLEST

ROUNDING = 1e-8
"""Share of the sum of squares by which sums of single precision may be off: a matrix less than positive has no root."""


class Sums(NamedTuple):
    """Sums over images, each as often as it was shown, of what M voxels read and of S targets of each, in float64.

    Targets are responses to learn: the voxel's own, then means around it.

    Attributes:
        gram: of products of what is read.
        moved: of products of that and the targets.
        read: of what is read.
        target: of the targets.
        square: of the squares of the voxel's own response.
        trials: of all these images.
    """

    gram: Float[Tensor, "M D D"]
    moved: Float[Tensor, "M D S"]
    read: Float[Tensor, "M D"]
    target: Float[Tensor, "M S"]
    square: Float[Tensor, "M"]
    trials: float

    @classmethod
    def empty(cls, voxels: int, width: int, targets: int, trials: float, device: torch.device) -> "Sums":
        """Before the first image, of so many trials to come."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(voxels, *shape, dtype=torch.float64, device=device)

        return cls(zeros(width, width), zeros(width, targets), zeros(width), zeros(targets), zeros(), trials)

    def of(self, some: slice) -> "Sums":
        """Those of some of the voxels."""
        gram, moved, read, target, square = (part[some] for part in self[:-1])
        return Sums(gram, moved, read, target, square, self.trials)

    def add(
        self, some: slice, read: Float[Tensor, "M B D"], targets: Float[Tensor, "M B S"], repeats: Float[Tensor, "B"]
    ) -> None:
        """Take in what some voxels read of a batch of images, each shown so often."""
        weighed = repeats[:, None] * read
        self.gram[some] += weighed.mT @ read
        self.moved[some] += weighed.mT @ targets
        self.read[some] += weighed.sum(dim=1)
        self.target[some] += (repeats[:, None] * targets).sum(dim=1)
        self.square[some] += (repeats * targets[..., 0].square()).sum(dim=1)

    def joined(self, *others: "Sums") -> "Sums":
        """Of these images and others."""
        return Sums(*(sum(parts[1:], parts[0]) for parts in zip(self, *others, strict=True)))

    def normal(self) -> "Normal":
        """Ridge regressions of the voxels side by side, each on what it reads."""
        mean, target = self.read / self.trials, self.target / self.trials
        gram = self.gram - self.trials * mean[:, :, None] * mean[:, None]
        moved = self.moved - self.trials * mean[:, :, None] * target[:, None]
        return Normal(gram, moved, mean, target, self.trials)


class Normal(NamedTuple):
    """Normal equations of M voxels.

    Attributes:
        gram: sums of products of what each reads, less its mean.
        moved: sums of products of that and targets.
        mean: of what is read, over trials.
        target: mean of the targets.
        trials: of all images.
    """

    gram: Float[Tensor, "M D D"]
    moved: Float[Tensor, "M D S"]
    mean: Float[Tensor, "M D"]
    target: Float[Tensor, "M S"]
    trials: float

    def fits(self, wanted: Float[Tensor, "M D S"] | Float[Tensor, "Q M D S"]) -> Iterator[Float[Tensor, "M D S"]]:
        """Channels that have these products with the targets, for every penalty.

        Penalties are in units of the mean square that a voxel reads.
        """
        trace = self.gram.diagonal(dim1=1, dim2=2).sum(dim=1).clamp(min=SMALLEST)
        penalties = PENALTIES.to(trace)[:, None, None] * trace[:, None] / self.trials
        each = wanted.expand(len(penalties), *wanted.shape[-3:])
        # CUDA finds eigenvectors of many small matrices one matrix after the other.
        return (by_roots if self.gram.is_cuda else by_axes)(self.gram, penalties, each)

    def errors(self, parts: Sequence[Sums]) -> list[tuple[Float[Tensor, "Q S M"], Float[Tensor, "M"]]]:
        """Squared errors of the voxels' own responses to images that are not in, and of the mean of those that are.

        One pair for each part of such images. With z what is read and u the response, both less the means of images
        that are in, the error of channels w is ``sum u^2 - 2 w' sum z u + w' (sum z z') w``.
        """
        about = [self._about(part) for part in parts]
        errors = [
            [square + (fit * (gram @ fit - 2 * moved)).sum(dim=1) for gram, moved, square in about]
            for fit in self.fits(self.moved)
        ]
        each = zip(zip(*errors, strict=True), about, strict=True)
        return [(torch.stack(own).mT, square[:, 0]) for own, (*_, square) in each]

    def _about(self, other: Sums) -> tuple[Float[Tensor, "M D D"], Float[Tensor, "M D S"], Float[Tensor, "M S"]]:
        """Products of what is read, of that and voxels' own responses, and of these, for images that are not in.

        All are about the means of images that are in, of which a mean around a voxel has its own.
        """
        mean, target, own = self.mean, self.target, other.target[:, :1]
        crossed, left = other.read[:, :, None] * mean[:, None], own - other.trials * target
        gram = other.gram - crossed - crossed.mT + other.trials * mean[:, :, None] * mean[:, None]
        moved = other.moved[..., :1] - other.read[:, :, None] * target[:, None] - mean[:, :, None] * left[:, None]
        return gram, moved, other.square[:, None] - target * (own + left)

    def solve(self, weights: Float[Tensor, "Q S M"]) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """Channels and bias of the voxels: the mean of the fits to all targets under all penalties."""
        weights = weights.to(self.gram)
        wanted = torch.einsum("qsm,mds->qmd", weights, self.moved)[..., None]
        channels = torch.stack(list(self.fits(wanted))).sum(dim=0)[:, :, 0]
        mean = (weights.sum(dim=0).T * self.target).sum(dim=1)
        return channels, mean - (channels * self.mean).sum(dim=1)


def by_axes(
    gram: Float[Tensor, "M D D"], penalties: Float[Tensor, "Q M 1"], wanted: Float[Tensor, "Q M D S"]
) -> Iterator[Float[Tensor, "M D S"]]:
    """``(gram + penalty)^-1 wanted`` for every penalty, from one decomposition into eigenvectors."""
    values, axes = torch.linalg.eigh(gram)
    for penalty, own in zip(penalties, wanted, strict=True):  # all at once would copy the axes for each of them
        yield axes @ (axes.mT @ own / (values.clamp(min=0) + penalty)[:, :, None])


def by_roots(
    gram: Float[Tensor, "M D D"], penalties: Float[Tensor, "Q M 1"], wanted: Float[Tensor, "Q M D S"]
) -> Iterator[Float[Tensor, "M D S"]]:
    """The same from a Cholesky root for each penalty."""
    trace = gram.diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True)
    for penalty, own in zip(penalties, wanted, strict=True):
        added = torch.diag_embed((penalty + ROUNDING * trace).expand(gram.shape[:2]))
        yield torch.cholesky_solve(own, torch.linalg.cholesky(gram + added))
