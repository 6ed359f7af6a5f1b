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

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor

from factortopy.fitting.candidates import posterior
from factortopy.fitting.closed_form import PENALTIES, SMALLEST
from factortopy.fitting.examples import Examples, Responses
from factortopy.fitting.reduction import spread_evenly
from factortopy.machine import in_threads
from factortopy.model import FactorTopy, reading_matrix
from factortopy.networks import Tokens
from factortopy.progress import Advance, progress_bar

WIDTHS = (4.0, 8.0, 14.0)
"""Standard deviations of the means around a voxel, mm, beside its own response."""
JUDGED = 1_000
"""Validation images that penalties and widths are weighed by, at most."""
FEWEST, VOXELS = 128, 4
"""Parcels at least, and voxels of each on average: with fewer there would be too little to learn from."""
BATCH = 64
BLOCK_NUMBERS, CHUNK_NUMBERS = 2**27, 2**22
"""Numbers of covariances that are held at a time, and of what voxels read: they bound the memory."""


class Parcels(NamedTuple):
    """Voxels that lie together.

    Attributes:
        label: number of the parcel of every voxel.
        centre: mean coordinates of each parcel's voxels, mm.
        voxels: how many they are.
    """

    label: Int[Tensor, "N"]
    centre: Float[Tensor, "M 3"]
    voxels: Float[Tensor, "M"]

    def mean(self, values: Float[Tensor, "N *rest"]) -> Float[Tensor, "M *rest"]:
        """Mean of each parcel's voxels."""
        return _mean(values, self.label.to(values.device), self.voxels.to(values.device))

    def around(self, places: Float[Tensor, "some 3"], width: float) -> Float[Tensor, "some M"]:
        """Weights of the parcels in the mean around places, under a Gaussian of a standard deviation in mm."""
        distance = torch.cdist(places, self.centre)
        return (self.voxels.log() - distance.square() / (2 * width**2)).softmax(dim=1)


def find_parcels(coordinates: Float[Tensor, "N 3"], most: int) -> Parcels:
    """At most so many parcels, by k-means; every voxel is one where there are few, or few distinct places."""
    most = min(max(FEWEST, len(coordinates) // VOXELS), most)
    places, place = np.unique(coordinates.numpy(), axis=0, return_inverse=True)
    label = np.arange(len(coordinates))
    if len(places) > most:
        found = KMeans(most, n_init=1, max_iter=50, random_state=0).fit_predict(places)
        label = np.unique(found[place.reshape(-1)], return_inverse=True)[1]
    of, voxels = torch.from_numpy(label), torch.from_numpy(np.bincount(label)).float()
    return Parcels(of, _mean(coordinates.float(), of, voxels), voxels)


def _mean(values: Tensor, label: Tensor, voxels: Tensor) -> Tensor:
    total = values.new_zeros(len(voxels), *values.shape[1:]).index_add_(0, label, values)
    return total / voxels.to(values).view(-1, *[1] * (values.ndim - 1))


def parcel_responses(
    parcels: Parcels, training: Responses, validation: Responses
) -> tuple[Float[Tensor, "n M"], Float[Tensor, "v M"]]:
    """Mean responses of parcels, z-scored by the training images."""
    first, second = (
        torch.cat([parcels.mean(side[rows].T).T for rows in torch.arange(len(side)).split(BATCH)])
        for side in (training, validation)
    )
    spread, mean = torch.std_mean(first, dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return (first - mean) / spread, (second - mean) / spread


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

    def decompose(self, some: slice, trials: float) -> "Decomposed":
        """The regressions of some voxels on the images that are in by now, with so many trials."""
        mean, target = self._mean[some] / trials, self._target[some] / trials
        values, axes = torch.linalg.eigh(self._gram[some] - trials * mean[:, :, None] * mean[:, None])
        moved = axes.mT @ (self._moved[some] - trials * mean[:, :, None] * target[:, None])
        return Decomposed(axes, values.clamp(min=0), moved, mean, target, trials)


class Decomposed(NamedTuple):
    """Regressions of M voxels in the principal axes of what each reads.

    Attributes:
        axes: of what is read, less its mean, and the sums of squares along them.
        values: these sums.
        moved: sums of products of axes and targets.
        mean: of what is read, over trials.
        target: mean of the targets.
        trials: of all images.
    """

    axes: Float[Tensor, "M D D"]
    values: Float[Tensor, "M D"]
    moved: Float[Tensor, "M D S"]
    mean: Float[Tensor, "M D"]
    target: Float[Tensor, "M S"]
    trials: float

    def _shrunk(self) -> Float[Tensor, "Q M D"]:
        """``1 / (eigenvalue + penalty)``; penalties are in units of the mean square that a voxel reads."""
        unit = self.values.sum(dim=1, keepdim=True).clamp(min=SMALLEST) / self.trials
        return 1 / (self.values + PENALTIES.to(self.values)[:, None, None] * unit)

    def scores(
        self, read: Float[Tensor, "M J D"], responses: Float[Tensor, "M J"], repeats: Float[Tensor, "J"]
    ) -> Float[Tensor, "Q S M"]:
        """R^2 of the voxels' own responses to images that are not in, against the mean of those that are."""
        rotated = (read.double() - self.mean[:, None]) @ self.axes
        about, repeats = (responses.double() - self.target[:, :1])[..., None], repeats.double()[:, None]
        total = (repeats * about.square()).sum(dim=1).clamp(min=SMALLEST)
        # Means around a voxel have means of their own.
        about = about - (self.target - self.target[:, :1])[:, None]
        errors = [
            (repeats * (about - rotated @ (shrunk[:, :, None] * self.moved)).square()).sum(dim=1)
            for shrunk in self._shrunk()
        ]
        return torch.where(total > SMALLEST, 1 - torch.stack(errors) / total, 0.0).mT

    def solve(self, weights: Float[Tensor, "Q S M"]) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M"]]:
        """Channels and bias of the voxels: the mean of the fits to all targets under all penalties."""
        weights = weights.to(self.values)
        by_axis = torch.einsum("qsm,qmd,mds->md", weights, self._shrunk(), self.moved)
        channels = (self.axes @ by_axis[:, :, None])[:, :, 0]
        mean = (weights.sum(dim=0).T * self.target).sum(dim=1)
        return channels, mean - (channels * self.mean).sum(dim=1)


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
        R^2 of the validation images before they are learnt from: above 0 where more than the mean is predicted.
    """
    count, width = model.channels.shape
    reading = reading_matrix(model.select(), *known.images.read(torch.tensor([0])).local[0].shape[-2:])
    # Voxels that read the same tokens follow each other, so that a chunk of them reads few.
    order = reading[:, 0, :-1].argmax(dim=1).argsort(stable=True)
    blocks = order.split(max(1, BLOCK_NUMBERS // width**2))
    scores = torch.zeros(count)
    with progress_bar("Channels", len(known.images) * len(blocks), show=progress) as advance:
        for some in blocks:
            kernels = None
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
    kernels: Float[Tensor, "W M parcels"] | None,
    advance: Advance,
) -> Float[Tensor, "M"]:
    """Solve some voxels' channels, in the order of ``block``, and return the R^2 that they are expected to have."""
    device, width = model.bias.device, model.channels.shape[1]
    kernels = None if kernels is None else kernels.to(device)
    regressions = Regressions(len(block), width, 1 if kernels is None else 1 + len(kernels), device)
    repeats = known.repeats.to(device)

    def targets(rows: Int[Tensor, "B"]) -> Float[Tensor, "M B S"]:
        responses = known.images.responses[rows].to(device).T
        own = responses[block][None]
        around = own[:0] if kernels is None or parcels is None else kernels @ parcels.mean(responses)
        return torch.cat([own, around]).movedim(0, -1)

    def learn(batch: Int[Tensor, "B"]) -> None:
        tokens, wanted = _positions(model, known.images.read(batch)), targets(batch)

        def add(some: slice) -> None:
            regressions.add(some, _read(reading[some], tokens), wanted[some], repeats[batch])

        list(in_threads(add, _chunks(len(block), width * len(batch)), device))
        advance(len(batch))

    def judge(some: slice) -> Float[Tensor, "Q S some"]:
        fitted = regressions.decompose(some, float(repeats[training].sum()))
        return fitted.scores(_read(reading[some], tokens), own[some], repeats[judges]).cpu()

    training, validation = torch.arange(len(known.images)).tensor_split([len(known.images) - known.judged])
    list(map(learn, training.split(BATCH)))
    judges = validation[spread_evenly(known.judged, JUDGED)]
    tokens = torch.cat([_positions(model, known.images.read(batch)) for batch in judges.split(BATCH)], dim=1)
    own = known.images.responses[judges].to(device).T[block]
    chunks = _chunks(len(block), width * max(width, len(judges)))
    score = torch.cat(list(in_threads(judge, chunks, device)), dim=2)
    weights = posterior(score.flatten(0, 1), len(judges), np.zeros(len(block), int)).view_as(score)
    if known.refit:
        list(map(learn, validation.split(BATCH)))
    trials = float(repeats.sum() if known.refit else repeats[training].sum())
    for some in _chunks(len(block), width**2):
        channels, bias = regressions.decompose(some, trials).solve(weights[:, :, some])
        model.channels[block[some]] = channels.to(model.channels) / model.factor
        model.bias[block[some]] = bias.to(model.bias)
    return (weights * score).sum(dim=(0, 1)).float()


def _positions(model: FactorTopy, tokens: Tokens) -> Float[Tensor, "positions B D"]:
    """Aligned tokens of every layer and position, the global one last."""
    aligned = model.align(tokens.to(model.bias.device))
    together = torch.cat([aligned.local.flatten(3), aligned.global_[..., None]], dim=-1)
    return together.permute(0, 3, 1, 2).flatten(0, 1)


def _read(reading: Float[Tensor, "M positions"], tokens: Float[Tensor, "positions B D"]) -> Float[Tensor, "M B D"]:
    used = reading.any(dim=0)
    return (reading[:, used] @ tokens[used].flatten(1)).view(len(reading), *tokens.shape[1:])


def _chunks(voxels: int, numbers: int) -> Iterator[slice]:
    size = max(1, CHUNK_NUMBERS // numbers)
    yield from (slice(start, min(start + size, voxels)) for start in range(0, voxels, size))
