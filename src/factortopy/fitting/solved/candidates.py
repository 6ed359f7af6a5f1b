"""What voxels without coordinates select: scored candidates, one posterior, then channels solved exactly.

A candidate c is a place with a size, layer weights and a scale. What a voxel reads from it, side by side, is::

    x_c = [ w_l (1 - a) sum_p g_p z_lp / n_l^local,  w_l a z_l / n_l^global ]_l        g = Gaussian(u, size)

with z the principal components of tokens and n the root mean square of each block over images, so that w and a are
standard deviations of a prior over channels. Ridge on x_c has a closed form, and so has its leave-one-image-out R^2
(:mod:`factortopy.fitting.solved.closed_form`). Voxels of a group share a prior over candidates and penalties, found by
expectation maximisation (:mod:`factortopy.fitting.solved.prior`): where data are few each voxel selects what all
select, where many what it reads itself::

    weight_icq ~ prior_cq exp(-TEMPER n / 2 log(1 - R^2_icq)),        prior_cq = mean_i weight_icq

A voxel's selection is the mean of the candidates under these weights. Its channels are then solved for that
selection, averaged over penalties.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from torch import Tensor

from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.solved.closed_form import centre, decompose, dual_weights, leave_last_out, leave_one_out
from factortopy.fitting.solved.prior import log_likelihood, posterior
from factortopy.fitting.solved.scan import SCANNED_IMAGES, leading
from factortopy.machine import in_threads, threads_at_once
from factortopy.model import Selection, reading_matrix
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

POOLS = ((0.2, 6, 0.625), (0.3, 6, 0.625), (0.5, 3, 0.5), (1.0, 2, 0.4))
"""Sizes of candidates in image units, with how many places along each side of the image, and the outermost."""
BUMPS = ((0.4, 0.2), (0.7, 0.2), (1.0, 0.3))
"""Centre and width, in depth 0..1, of the layer profiles that are tried beside the uniform one."""
COPIES, AT_ONCE = 4, 2e9
"""Of a design at a time; bytes that those of all threads may take."""
DECOMPOSED = 4e11
"""Bound of the last stage: images^3 times the distinct selections that are solved for."""


def candidates(layers: int, height: int, width: int) -> Selection:
    """All candidates as the selection of as many voxels, those that pool alike side by side.

    Args:
        layers: number of layers L.
        height: rows of the token grid, which sizes and numbers of places go by.
        width: its columns.
    """
    depth, flat = torch.linspace(0, 1, layers), torch.full((layers,), layers**-0.5)
    bumps = [torch.exp(-((depth - centre) ** 2) / (4 * spread**2)) for centre, spread in BUMPS] if layers > 1 else []
    profiles = torch.stack([flat, *(bump / bump.norm() for bump in bumps)])
    rows: dict[tuple[float, ...], None] = {}
    for pool, (size, side, farthest) in enumerate(POOLS):
        # No smaller than a cell of the grid, nor places closer than its tokens.
        pooled = max(size, 1.6 / max(height, width))
        tried = [(0.3, 0)]
        tried += [(0.37, profile) for profile in range(1, len(profiles))] if pool in (1, 3) else []
        tried += [(0.6, 0)] if pool in (2, 3) else []
        for y, x in product(_places(min(side, height), farthest), _places(min(side, width), farthest)):
            rows |= dict.fromkeys((x, y, pooled, scale, profile) for scale, profile in tried)
    x, y, pooled, scale, profile = torch.tensor(list(rows)).T
    return Selection(torch.stack([x, y], dim=1), profiles[profile.long()], scale, pooled)


def _places(side: int, farthest: float) -> list[float]:
    return torch.linspace(-farthest, farthest, side).tolist() if side > 1 else [0.0]


class Design(NamedTuple):
    """What one selection reads of every image.

    Attributes:
        features: centred, blocks side by side (local tokens of every layer, then global ones).
        factor: ``1 / n`` of the block of every component.
        weight: ``w_l (1 - a)`` or ``w_l a`` of it.
        mean: of the components over trials.
    """

    features: Float[Tensor, "n F"]
    factor: Float[Tensor, "F"]
    weight: Float[Tensor, "F"]
    mean: Float[Tensor, "F"]


def read_blocks(tokens: Tokens, selection: Selection) -> tuple[Float[Tensor, "n F"], Float[Tensor, "F"]]:
    """What one voxel's selection (of one row) reads, blocks side by side, and the weight of each component."""
    alone = selection._replace(layer=torch.ones_like(selection.layer[:, :1]), scale=torch.zeros_like(selection.scale))
    pool = reading_matrix(alone, *tokens.local[0].shape[-2:])[0, 0, :-1]
    blocks = [*(layer.flatten(2) @ pool.to(layer.dtype) for layer in tokens.local), *tokens.global_]
    weight = torch.cat([(1 - selection.scale) * selection.layer[0], selection.scale * selection.layer[0]])
    widths = torch.tensor([block.shape[1] for block in blocks], device=pool.device)
    return torch.cat(blocks, dim=1).to(pool.dtype), weight.repeat_interleave(widths)


def design(tokens: Tokens, selection: Selection, repeats: Float[Tensor, "n"]) -> Design:
    """The same, centred, and each block scaled to a mean square of 1 over images before it is weighed."""
    read, weight = read_blocks(tokens, selection)
    features, mean = centre(read, repeats.to(read.dtype))
    widths = [layer.shape[1] for layer in (*tokens.local, *tokens.global_)]
    squares = features.square().mean(dim=0).split(widths)
    factor = torch.stack([block.sum().clamp(min=1e-12).rsqrt() for block in squares])
    factor = factor.repeat_interleave(torch.tensor(widths, device=factor.device))
    return Design(features * factor * weight, factor, weight, mean)


def row_of(selection: Selection, voxel: int, like: Tensor) -> Selection:
    """One voxel's selection, in the type and on the device of a tensor."""
    return selection.map(lambda part: part[voxel : voxel + 1].to(like))


def score(
    tokens: Tokens, responses: Float[Tensor, "n N"], repeats: Float[Tensor, "n"], tried: Selection, progress: bool
) -> Float[Tensor, "C Q N"]:
    """Leave-one-image-out R^2 of candidates and penalties: each candidate is decomposed once for all voxels.

    Args:
        tokens: components of n distinct images.
        responses: centred (:func:`~factortopy.fitting.solved.closed_form.centre`).
        repeats: trials of each image.
        tried: the candidates.
        progress: whether to show a progress bar.
    """

    def scored(number: int) -> Float[Tensor, "Q N"]:
        one = row_of(tried, number, responses)
        spectrum = decompose(design(tokens, one, repeats).features, repeats)
        found = leave_one_out(spectrum, responses).cpu()
        advance()
        return found

    components = sum(layer.shape[1] for layer in (*tokens.local, *tokens.global_))
    most = _threads(len(repeats), components)
    with progress_bar("Candidates", len(tried.scale), show=progress) as advance:
        return torch.stack(list(in_threads(scored, range(len(tried.scale)), responses.device, most)))


def reading_memory(images: int, components: int) -> float:
    """Bytes of the designs of so many images and components of all blocks, in float64, as threads decompose them."""
    return min(threads_at_once(), _threads(images, components)) * COPIES * 8.0 * images * components


def _threads(images: int, components: int) -> int:
    return max(1, int(AT_ONCE / (COPIES * 8.0 * images * components)))


def mean_selection(weights: Float[Tensor, "C N"], tried: Selection) -> Selection:
    """The mean of candidates under weights; the spread of places goes into the size."""
    assert tried.size is not None
    mix = weights.T.to(tried.space)
    space = mix @ tried.space
    spread = (mix @ tried.space.square() - space.square()).mean(dim=1).clamp(min=0)
    size = (mix @ tried.size.log()).exp()
    layer = mix @ tried.layer
    return Selection(
        space, layer / layer.sum(dim=1, keepdim=True), mix @ tried.scale, (size.square() + spread / 2).sqrt()
    )


def share_selections(selection: Selection, most: int) -> tuple[Selection, Int[np.ndarray, "N"]]:
    """At most so many distinct selections, by k-means if there are more, and which of them each voxel takes."""
    count = len(selection.scale)
    table = torch.cat([part.reshape(count, -1) for part in selection if part is not None], dim=1).double()
    distinct, first, labels = np.unique(table.numpy(), axis=0, return_index=True, return_inverse=True)
    if len(distinct) <= most:
        return selection.map(lambda part: part[torch.from_numpy(first)]), labels.reshape(-1)
    labels = KMeans(most, n_init=1, random_state=0).fit_predict(table.numpy())
    mean = torch.from_numpy(labels[None] == np.unique(labels)[:, None]).float()
    mean /= mean.sum(dim=1, keepdim=True)
    return selection.map(lambda part: mean @ part), np.unique(labels, return_inverse=True)[1]


class Channels(NamedTuple):
    """Channels solved for a selection.

    Attributes:
        selection: what every voxel selects.
        coefficients: of the components of every block, before w and a weigh it.
        bias: predicted where all components are 0.
        score: R^2 of left-out images: one by one, or of those that were judged by.
    """

    selection: Selection
    coefficients: Float[Tensor, "N F"]
    bias: Float[Tensor, "N"]
    score: Float[Tensor, "N"]


def solve(
    tokens: Tokens,
    responses: Float[Tensor, "n N"],
    repeats: Float[Tensor, "n"],
    selection: Selection,
    prior: Float[Tensor, "Q N"],
    progress: bool,
    judged: int = 0,
) -> Channels:
    """Channels of every voxel for what it selects, in float64: ridge, averaged over penalties.

    Args:
        tokens: components of n distinct images.
        responses: mean responses to them.
        repeats: trials of each image.
        selection: of every voxel.
        prior: weights of the penalties before the data are seen.
        progress: whether to show a progress bar.
        judged: so many of the last images are left out together for the score; each by itself if 0.
    """
    images, voxels = responses.shape
    components = sum(layer.shape[1] for layer in (*tokens.local, *tokens.global_))
    shared, labels = share_selections(selection, max(64, int(DECOMPOSED / min(images, components) ** 3)))
    responses, repeats = responses.double(), repeats.double()
    y, mean = centre(responses, repeats)
    coefficients, bias = y.new_zeros(voxels, components), mean.clone()
    scores = y.new_zeros(voxels)

    def solved(number: int) -> None:
        """Put in place what the voxels of one selection have."""
        members = torch.from_numpy(np.flatnonzero(labels == number)).to(y.device)
        read = design(tokens, row_of(shared, number, y), repeats)
        spectrum = decompose(read.features, repeats)
        score = leave_one_out(spectrum, y[:, members])
        log = log_likelihood(score, images) + prior[:, members.cpu()].to(y).clamp(min=1e-12).log()
        weights = log.softmax(dim=0)
        dual = dual_weights(spectrum, y[:, members], weights)
        score = leave_last_out(spectrum, y[:, members], judged) if judged else score
        weighed = read.factor[:, None] * (read.features.T @ dual)
        coefficients[members], scores[members] = weighed.T, (weights * score).sum(dim=0)
        bias[members] -= (read.mean * read.weight) @ weighed
        advance()

    with progress_bar("Channels", len(shared.scale), show=progress) as advance:
        list(in_threads(solved, range(len(shared.scale)), y.device, _threads(images, components)))
    rows = torch.from_numpy(labels)
    return Channels(shared.map(lambda part: part[rows]), coefficients.cpu(), bias.cpu(), scores.cpu())


def select_and_solve(
    tokens: Tokens,
    responses: Float[Tensor, "n N"],
    repeats: Float[Tensor, "n"],
    groups: Int[np.ndarray, "N"],
    change: Callable[[Selection], Selection],
    progress: bool,
) -> Channels:
    """What every voxel selects and its channels, from components of distinct images.

    Args:
        tokens: components of n images.
        responses: mean responses to them.
        repeats: trials of each image.
        groups: number of the group of every voxel, which shares its prior.
        change: makes the selection that channels are solved for out of the one found.
        progress: whether to show progress bars.
    """
    few = spread_evenly(len(repeats), SCANNED_IMAGES).to(responses.device)
    tried = candidates(len(tokens.local), *tokens.local[0].shape[-2:])
    # A place is found from leading components as well; channels are then solved for all of them.
    scores = score(leading(tokens[few]), centre(responses[few], repeats[few])[0], repeats[few], tried, progress)
    weights = posterior(scores.flatten(0, 1), len(few), groups).view_as(scores)
    selection = change(mean_selection(weights.sum(dim=1), tried))
    prior = torch.empty_like(weights[0])
    for group in np.unique(groups):
        inside = torch.from_numpy(groups == group)
        prior[:, inside] = weights[:, :, inside].sum(dim=0).mean(dim=1, keepdim=True)
    return solve(tokens, responses, repeats, selection, prior, progress)
