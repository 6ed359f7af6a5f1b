"""Channels of every voxel in closed form, for what it selects and a channel align that is trained already.

With x_in what voxel i reads of image n (D channels), ridge regression has a closed form::

    omega_i = sum_sq weight_isq (X' X + p_q)^-1 X' t_is,        t_is = (response of i, or a mean around it of width s)

As ridge is linear in its targets, a mean of responses around a voxel gives it the mean of the channels that its
neighbours would have in its place: the wider, the further channels are shrunk towards theirs. Widths and penalties
are weighed by how well a fit to the training images predicts the voxel's own responses to *validation* images: align
and selectors have been trained on the former, which would ask for too small a penalty, and views of one scene may
stand among the latter, so that none is learnt from while others are judged by. Channels are then those of training and
validation images together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.solved.candidates import posterior
from factortopy.fitting.solved.closed_form import PENALTIES, SMALLEST
from factortopy.fitting.solved.parcels import Parcels
from factortopy.machine import give_back_memory, in_threads
from factortopy.model import FactorTopy, by_position, reading_matrix
from factortopy.networks import Tokens
from factortopy.progress import Advance, progress_bar

WIDTHS = (4.0, 8.0, 14.0)
"""Standard deviations of the means around a voxel, mm, beside its own response."""
JUDGED = 1_000
"""Validation images that penalties and widths are weighed by, at most."""
BATCH = 128
ROUNDING = 1e-8
"""Share of the sum of squares by which sums of single precision may be off: a matrix less than positive has no root."""
BLOCK_NUMBERS, CHUNK_NUMBERS = 2**25, 2**20
"""Numbers of covariances that are held at a time, and of what voxels read: they bound the memory."""
ON_GPU = 4
"""Times as many there, where a call costs more than its numbers."""


class Regressions:
    """Ridge regressions of N voxels side by side, each on what it reads, from sums over images.

    Args:
        voxels: number of voxels N.
        width: channels D that each reads.
        targets: S responses to learn for each: its own, then means around it.
        device: where to compute, in float64.
    """

    def __init__(self, voxels: int, width: int, targets: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(voxels, *shape, dtype=torch.float64, device=device)

        self._gram, self._moved = zeros(width, width), zeros(width, targets)
        self._mean, self._target = zeros(width), zeros(targets)

    def add(
        self, some: slice, read: Float[Tensor, "M B D"], targets: Float[Tensor, "M B S"], repeats: Float[Tensor, "B"]
    ) -> None:
        """Take in what some voxels read of a batch of images, each shown so often."""
        weighed = repeats[:, None] * read
        self._gram[some] += weighed.mT @ read
        self._moved[some] += weighed.mT @ targets
        self._mean[some] += weighed.sum(dim=1)
        self._target[some] += (repeats[:, None] * targets).sum(dim=1)

    def so_far(self, some: slice, trials: float) -> "Normal":
        """The regressions of some voxels on the images that are in by now, with so many trials."""
        mean, target = self._mean[some] / trials, self._target[some] / trials
        gram = self._gram[some] - trials * mean[:, :, None] * mean[:, None]
        moved = self._moved[some] - trials * mean[:, :, None] * target[:, None]
        return Normal(gram, moved, mean, target, trials)


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

    def errors(
        self, read: Float[Tensor, "M J D"], responses: Float[Tensor, "M J"], repeats: Float[Tensor, "J"], parts: int
    ) -> list[tuple[Float[Tensor, "Q S M"], Float[Tensor, "M"]]]:
        """Squared errors of the voxels' own responses to images that are not in, and of the mean of those that are.

        One pair for each of so many parts of the images, in order.
        """
        about, weights = (responses.double() - self.target[:, :1])[..., None], repeats.double()[:, None]
        total = (weights * about.square()).tensor_split(parts, dim=1)
        # Means around a voxel have means of their own.
        about = about - (self.target - self.target[:, :1])[:, None]
        read = read.double() - self.mean[:, None]
        errors = [
            [part.sum(dim=1) for part in (weights * (about - read @ fit).square()).tensor_split(parts, dim=1)]
            for fit in self.fits(self.moved)
        ]
        return [
            (torch.stack(own).mT, all_.sum(dim=(1, 2)))
            for own, all_ in zip(zip(*errors, strict=True), total, strict=True)
        ]

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


@dataclass(frozen=True, eq=False)
class Known:
    """What channels are solved from.

    Attributes:
        images: distinct training images, then validation images, with tokens that the model takes.
        repeats: trials of each.
        judged: how many of them, the last ones, weigh widths and penalties.
        refit: whether channels are learnt from these too, and not from training images alone.
    """

    images: Examples
    repeats: Float[Tensor, "n"]
    judged: int
    refit: bool = True


@torch.no_grad()
def solve_channels(
    model: FactorTopy,
    known: Known,
    coordinates: Float[Tensor, "N 3"] | None = None,
    parcels: Parcels | None = None,
    *,
    progress: bool = True,
) -> Float[Tensor, "N"]:
    """Replace a model's channels and bias by those that the data give for its align and selection.

    Args:
        model: trained; changed in place. It computes where it is, which cannot be MPS: that has no float64.
        known: images and responses.
        coordinates: of the voxels, mm.
        parcels: of these; None if no voxel may learn from those around it.
        progress: whether to show a progress bar.

    Returns:
        R^2 of the validation images before they are learnt from, of each half under what the other half chose: above 0
        where more than the mean is predicted.
    """
    count, width = model.channels.shape
    reading = reading_matrix(model.select(), *known.images.read(torch.tensor([0])).local[0].shape[-2:])
    # Voxels that read the same tokens follow each other, so that a chunk of them reads few.
    order = reading[:, 0, :-1].argmax(dim=1).argsort(stable=True)
    blocks = order.split(max(1, _most(BLOCK_NUMBERS, order.device) // width**2))
    scores = torch.zeros(count)
    with progress_bar("Channels", len(known.images) * len(blocks), show=progress) as advance:
        for some in blocks:
            give_back_memory()  # gigabytes, after thousands of steps or a block
            kernels = torch.zeros(0, len(some), 0)
            if coordinates is not None and parcels is not None:
                kernels = torch.stack([parcels.around(coordinates[some.cpu()], size) for size in WIDTHS])
            scores[some.cpu()] = _solve_block(model, known, reading[some].flatten(1), some, parcels, kernels, advance)
    return scores


def _solve_block(
    model: FactorTopy,
    known: Known,
    reading: Float[Tensor, "M positions"],
    block: Int[Tensor, "M"],
    parcels: Parcels | None,
    kernels: Float[Tensor, "W M parcels"],
    advance: Advance,
) -> Float[Tensor, "M"]:
    """Solve some voxels' channels, in the order of ``block``, and return the R^2 that they are expected to have."""
    device, width = model.bias.device, model.channels.shape[1]
    repeats, kernels = known.repeats.to(device), kernels.to(device)
    regressions = Regressions(len(block), width, 1 + len(kernels), device)

    def learn(batch: Int[Tensor, "B"]) -> None:
        tokens, responses = _positions(model, known.images.read(batch)), known.images.responses[batch].to(device).T
        means = responses[:0] if parcels is None or not len(kernels) else parcels.mean(responses)

        def add(some: slice) -> None:
            targets = torch.cat([responses[block[some]][None], kernels[:, some] @ means])
            regressions.add(some, _read(reading[some], tokens), targets.movedim(0, -1), repeats[batch])

        list(in_threads(add, _chunks(len(block), width * len(batch), device), device))
        advance(len(batch))

    def judge(some: slice) -> list[tuple[Tensor, Tensor]]:
        fitted = regressions.so_far(some, float(repeats[training].sum()))
        return fitted.errors(_read(reading[some], tokens), own[some], repeats[judges], 2)

    training, validation = torch.arange(len(known.images)).tensor_split([len(known.images) - known.judged])
    list(map(learn, training.split(BATCH)))
    judges = validation[spread_evenly(known.judged, JUDGED)]
    tokens = torch.cat([_positions(model, known.images.read(batch)) for batch in judges.split(BATCH)], dim=1)
    own = known.images.responses[judges].to(device).T[block]
    chunks = _chunks(len(block), width * max(width, len(judges)), device)
    first, second = zip(*in_threads(judge, chunks, device), strict=True)
    weights, score = _judge(_joined(first), _joined(second), len(judges))
    if known.refit:
        list(map(learn, validation.split(BATCH)))
    trials = float(repeats.sum() if known.refit else repeats[training].sum())
    for some in _chunks(len(block), width**2, device):
        channels, bias = regressions.so_far(some, trials).solve(weights[:, :, some])
        model.channels[block[some]] = channels.to(model.channels) / model.factor
        model.bias[block[some]] = bias.to(model.bias)
    return score


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    errors, totals = zip(*parts, strict=True)
    return torch.cat(errors, dim=2).cpu(), torch.cat(totals).cpu()


def _judge(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], images: int
) -> tuple[Float[Tensor, "Q S M"], Float[Tensor, "M"]]:
    """Weights of penalties and widths by all validation images, and R^2 of each half of them by the other's weights."""

    def weigh(errors: Tensor, total: Tensor, images: int) -> Tensor:
        groups = np.zeros(len(total), int)
        return posterior(_explained(errors, total).flatten(0, 1), images, groups).view_as(errors)

    total = first[1] + second[1]
    left = (weigh(*first, images // 2) * second[0] + weigh(*second, images // 2) * first[0]).sum(dim=(0, 1))
    return weigh(first[0] + second[0], total, images), _explained(left, total).float()


def _explained(errors: Float[Tensor, "*rest M"], total: Float[Tensor, "M"]) -> Float[Tensor, "*rest M"]:
    return torch.where(total > SMALLEST, 1 - errors / total.clamp(min=SMALLEST), 0.0)


def _positions(model: FactorTopy, tokens: Tokens) -> Float[Tensor, "positions B D"]:
    """Aligned tokens of every layer and position, the global one last."""
    aligned = model.align(tokens.to(model.bias.device))
    return by_position(aligned.local, aligned.global_).flatten(0, 1)


def _read(reading: Float[Tensor, "M positions"], tokens: Float[Tensor, "positions B D"]) -> Float[Tensor, "M B D"]:
    used = reading.any(dim=0)
    return (reading[:, used] @ tokens[used].flatten(1)).view(len(reading), *tokens.shape[1:])


def _most(numbers: int, device: torch.device) -> int:
    return numbers if device.type == "cpu" else ON_GPU * numbers


def _chunks(voxels: int, numbers: int, device: torch.device) -> Iterator[slice]:
    size = max(1, _most(CHUNK_NUMBERS, device) // numbers)
    yield from (slice(start, min(start + size, voxels)) for start in range(0, voxels, size))
