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

import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.examples import Examples
from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.solved.closed_form import SMALLEST
from factortopy.fitting.solved.parcels import Parcels
from factortopy.fitting.solved.prior import log_likelihood, mean_weight, share_prior, weigh
from factortopy.fitting.solved.regressions import Sums
from factortopy.machine import give_back_memory, in_threads
from factortopy.model import FactorTopy, by_position, reading_matrix
from factortopy.networks import Tokens
from factortopy.progress import Advance, progress_bar

WIDTHS = (4.0, 8.0, 14.0)
"""Standard deviations of the means around a voxel, mm, beside its own response."""
BATCH = 128
PARTS = 3
"""Parts of the images that sums are kept of: training images, and each half of the validation images."""
BLOCK_NUMBERS, CHUNK_NUMBERS = 2**26, 2**20
"""Numbers of covariances that are held at a time, and of what voxels read: they bound the memory."""
ON_GPU = 4
"""Times as many there, where a call costs more than its numbers."""


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


class Priors(NamedTuple):
    """Weights of penalties and widths before a voxel's own errors are seen: the mean weight of other voxels.

    Attributes:
        first: by one half of the validation images.
        second: by the other.
        both: by all of them.
    """

    first: Float[Tensor, "K 1"]
    second: Float[Tensor, "K 1"]
    both: Float[Tensor, "K 1"]


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
    scores, priors, blocks = torch.zeros(count), None, _blocks(order, PARTS * width**2)
    with progress_bar("Channels", len(known.images) * len(blocks), show=progress) as advance:
        for some in blocks:
            give_back_memory()  # gigabytes, after thousands of steps or a block
            kernels = torch.zeros(0, len(some), 0, device=some.device)
            if coordinates is not None and parcels is not None:
                places = coordinates.to(some.device)[some]
                kernels = torch.stack([parcels.around(places, size) for size in WIDTHS])
            read = reading[some].flatten(1)
            # Sums of a block are gigabytes, and not named here: those of the next would be held beside them.
            scores[some.cpu()], priors = _solve_block(
                model, _sum_block(model, known, read, some, parcels, kernels, advance), some, known, priors
            )
    return scores


def _blocks(order: Int[Tensor, "N"], numbers: int) -> list[Int[Tensor, "some"]]:
    """Voxels that are solved together, each of so many numbers; the first are spread over all, alike on any device."""
    first = spread_evenly(len(order), max(1, BLOCK_NUMBERS // numbers)).to(order.device)
    spread = torch.isin(order, first)
    others = order[~spread].split(max(1, _most(BLOCK_NUMBERS, order.device) // numbers))
    return [order[spread], *(some for some in others if len(some))]


def _sum_block(
    model: FactorTopy,
    known: Known,
    reading: Float[Tensor, "M positions"],
    block: Int[Tensor, "M"],
    parcels: Parcels | None,
    kernels: Float[Tensor, "W M parcels"],
    advance: Advance,
) -> list[Sums]:
    """Sums for some voxels, in the order of ``block``, over training images and each half of the validation images."""
    device, width, repeats = block.device, model.channels.shape[1], known.repeats.to(block.device)
    reads = [(some, *_used(reading[some])) for some in _chunks(len(block), width * BATCH, device)]

    def learn(into: Sums, batch: Int[Tensor, "B"]) -> None:
        """Add what a batch of images gives."""
        tokens, responses = _positions(model, known.images.read(batch)), known.images.responses[batch].to(device).T
        means = responses[:0] if parcels is None or not len(kernels) else parcels.mean(responses)

        def add(chunk: tuple[slice, Tensor, Tensor]) -> None:
            some, used, by = chunk
            read = (by @ tokens[used].flatten(1)).view(len(by), *tokens.shape[1:])
            targets = torch.cat([responses[block[some]][None], kernels[:, some] @ means])
            into.add(some, read, targets.movedim(0, -1), repeats[batch])

        list(in_threads(add, reads, device))
        advance(len(batch))

    training, validation = torch.arange(len(known.images)).tensor_split([len(known.images) - known.judged])
    sums = []
    for images in (training, *validation.tensor_split(PARTS - 1)):
        sums.append(Sums.empty(len(block), width, 1 + len(kernels), float(known.repeats[images].sum()), device))
        for batch in images.split(BATCH) if len(images) else ():  # half of one validation image is none
            learn(sums[-1], batch)
    return sums


def _solve_block(
    model: FactorTopy, sums: Sequence[Sums], block: Int[Tensor, "M"], known: Known, priors: Priors | None
) -> tuple[Float[Tensor, "M"], Priors]:
    """Put channels in place, under priors or their own; the R^2 that voxels are expected to have, and the priors."""
    chunks = list(_chunks(len(block), model.channels.shape[1] ** 2, block.device))
    learnt = sums if known.refit else sums[:1]

    def judge(some: slice) -> list[tuple[Tensor, Tensor]]:
        return sums[0].of(some).normal().errors([half.of(some) for half in sums[1:]])

    def solve(some: slice) -> tuple[Tensor, Tensor]:
        first, *others = (part.of(some) for part in learnt)
        return first.joined(*others).normal().solve(weights[:, :, some])

    first, second = zip(*in_threads(judge, chunks, block.device), strict=True)
    weights, score, priors = _judge(_joined(first), _joined(second), known.judged, priors)
    for some, (channels, bias) in zip(chunks, in_threads(solve, chunks, block.device), strict=True):
        model.channels[block[some]] = channels.to(model.channels) / model.factor
        model.bias[block[some]] = bias.to(model.bias)
    return score, priors


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    errors, totals = zip(*parts, strict=True)
    return torch.cat(errors, dim=2).cpu(), torch.cat(totals).cpu()


def _judge(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], images: int, priors: Priors | None
) -> tuple[Float[Tensor, "Q S M"], Float[Tensor, "M"], Priors]:
    """Weights of penalties and widths by all validation images, R^2 of each half by the other's weights, and priors."""

    def weights(errors: Tensor, total: Tensor, judged: int, prior: Tensor | None) -> Tensor:
        log = log_likelihood(_explained(errors, total).flatten(0, 1), judged)
        return share_prior(log) if prior is None else weigh(log, prior)

    both = first[0] + second[0], first[1] + second[1]
    counts = images // 2, images // 2, images
    judges = zip((first, second, both), counts, priors or (None, None, None), strict=True)
    found = [weights(*errors, judged, prior) for errors, judged, prior in judges]
    by_first, by_second, by_both = (part.view_as(first[0]) for part in found)
    left = (by_first * second[0] + by_second * first[0]).sum(dim=(0, 1))
    return by_both, _explained(left, both[1]).float(), priors or Priors(*(mean_weight(part) for part in found))


def _explained(errors: Float[Tensor, "*rest M"], total: Float[Tensor, "M"]) -> Float[Tensor, "*rest M"]:
    return torch.where(total > SMALLEST, 1 - errors / total.clamp(min=SMALLEST), 0.0)


def _positions(model: FactorTopy, tokens: Tokens) -> Float[Tensor, "positions B D"]:
    """Aligned tokens of every layer and position, the global one last."""
    aligned = model.align(tokens.to(model.bias.device))
    return by_position(aligned.local, aligned.global_).flatten(0, 1)


def _used(reading: Float[Tensor, "M positions"]) -> tuple[Int[Tensor, "used"], Float[Tensor, "M used"]]:
    """Positions that any of some voxels reads, and how each reads them."""
    used = reading.any(dim=0).nonzero()[:, 0]
    return used, reading[:, used]


def _most(numbers: int, device: torch.device) -> int:
    return numbers if device.type == "cpu" else ON_GPU * numbers


def _chunks(voxels: int, numbers: int, device: torch.device) -> Iterator[slice]:
    size = max(1, _most(CHUNK_NUMBERS, device) // numbers)
    yield from (slice(start, min(start + size, voxels)) for start in range(0, voxels, size))
