"""How far predictions from few images are drawn towards the mean.

What a voxel selects, and its penalty, are those that predict left-out images best: the best of many does so by chance
as well, and its channels are too large. With few images that costs more than the channels give. Parts of the images
that nothing was selected or solved by tell how much of a prediction p comes true, in voxels of a group together::

    s = (PRIOR + sum_i <p_i, y_i> / var_i) / (PRIOR + sum_i <p_i, p_i> / var_i),    p and y less the mean of the others

and channels are multiplied by s, between ``LEAST`` and 1: the slope of y on p under a normal prior about 1.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from factortopy.fitting.reduction import spread_evenly
from factortopy.fitting.solved.candidates import Channels, read_blocks, row_of
from factortopy.fitting.solved.closed_form import SMALLEST
from factortopy.networks import Tokens
from factortopy.progress import progress_bar

SHRUNK_IMAGES = 300
"""Images at most: of 1,080 photographs the best factor was 0.98 and 1.05 on two recordings, for six times the time."""
PARTS = 5
PRIOR = 10.0
"""Images whose predictions vary as much as responses do, over all voxels, that a factor of 1 is worth at the start."""
LEAST = 0.01
"""Not 0: what a voxel selects would no longer show in what it is predicted from."""
JUDGES = 256
"""Voxels of a group that tell its factor, at most."""


def shrink(
    fit: Callable[[Int[Tensor, "some"], Int[Tensor, "few"]], Channels],
    tokens: Tokens,
    responses: Float[Tensor, "n N"],
    repeats: Float[Tensor, "n"],
    groups: Int[np.ndarray, "N"],
    progress: bool,
) -> Channels:
    """Channels from all images, multiplied by what comes true of predictions of images that are left out.

    Args:
        fit: selects and solves channels of few voxels from some of the images.
        tokens: components of n distinct images.
        responses: mean responses to them.
        repeats: trials of each image.
        groups: number of the group of every voxel, which shares the factor.
        progress: whether to show a progress bar.
    """
    images, voxels = (torch.arange(count, device=responses.device) for count in responses.shape)
    inside = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    few = torch.cat([torch.from_numpy(own)[spread_evenly(len(own), JUDGES)] for own in inside])
    true = _come_true(lambda some: fit(some, few), tokens, responses[:, few.to(voxels.device)], repeats, progress)
    channels = fit(images, voxels)
    factor, mean = _of_groups(true, groups[few.numpy()], groups), _mean(responses, repeats).cpu()
    coefficients = channels.coefficients * factor[:, None].to(channels.coefficients)
    return channels._replace(coefficients=coefficients, bias=mean + factor * (channels.bias - mean))


def _come_true(
    fit: Callable[[Int[Tensor, "some"]], Channels],
    tokens: Tokens,
    responses: Float[Tensor, "n M"],
    repeats: Float[Tensor, "n"],
    progress: bool,
) -> Float[Tensor, "2 M"]:
    """Products of predictions of parts of the images, learnt from the others, with responses and with themselves."""
    true = responses.new_zeros(2, responses.shape[1], dtype=torch.float64)
    part = torch.arange(len(responses), device=responses.device) % PARTS
    with progress_bar("Left-out images", PARTS, show=progress) as advance:
        for number in range(PARTS):
            others, out = ((part != number).nonzero()[:, 0], (part == number).nonzero()[:, 0])
            mean = _mean(responses[others], repeats[others])
            predicted = predict(fit(others), tokens[out]) - mean
            observed, weight = responses[out].double() - mean, repeats[out].double()[:, None]
            true += torch.stack([(weight * predicted * about).sum(dim=0) for about in (observed, predicted)])
            advance()
    return true / responses.double().var(dim=0).clamp(min=SMALLEST)


def _mean(responses: Float[Tensor, "n N"], repeats: Float[Tensor, "n"]) -> Float[Tensor, "N"]:
    return repeats.double() @ responses.double() / repeats.sum()


def _of_groups(
    true: Float[Tensor, "2 M"], judges: Int[np.ndarray, "M"], groups: Int[np.ndarray, "N"]
) -> Float[Tensor, "N"]:
    """The factor of the group of every voxel."""
    factor = torch.ones(len(groups), dtype=torch.float64)
    for group in np.unique(groups):
        came_true, predicted = true.cpu()[:, torch.from_numpy(judges == group)].sum(dim=1)
        slope = (PRIOR + came_true) / (PRIOR + predicted)
        factor[torch.from_numpy(groups == group)] = slope.clamp(LEAST, 1)
    return factor


def predict(channels: Channels, tokens: Tokens) -> Float[Tensor, "n N"]:
    """Responses to images by their components, in float64."""
    images, voxels = len(tokens.global_[0]), len(channels.bias)
    predicted = torch.empty(images, voxels, dtype=torch.float64, device=tokens.global_[0].device)
    rows = torch.cat([part.reshape(voxels, -1) for part in channels.selection if part is not None], dim=1)
    _, labels = rows.unique(dim=0, return_inverse=True)
    for number in range(int(labels.max()) + 1):
        members = (labels == number).nonzero()[:, 0]
        read, weight = read_blocks(tokens, row_of(channels.selection, int(members[0]), predicted))
        coefficients, bias = channels.coefficients[members].to(read), channels.bias[members].to(read)
        predicted[:, members.to(predicted.device)] = (read * weight) @ coefficients.T + bias
    return predicted
