"""Weights of choices by how well they predict left-out images, under a prior that voxels share."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

TEMPER = 0.3
"""Power of the likelihood: the errors of neighbouring candidates are far from independent."""
ROUNDS = 30


def posterior(scores: Float[Tensor, "K N"], images: int, groups: Int[np.ndarray, "N"]) -> Float[Tensor, "K N"]:
    """Weights of K choices, summing to 1 for every voxel, under a prior that the voxels of a group share.

    Args:
        scores: R^2 of left-out images.
        images: how many they are.
        groups: number of the group of every voxel.
    """
    log = log_likelihood(scores, images)
    weights = torch.empty_like(log)
    for group in np.unique(groups):
        inside = torch.from_numpy(groups == group)
        weights[:, inside] = share_prior(log[:, inside])
    return weights


def share_prior(log: Float[Tensor, "K N"]) -> Float[Tensor, "K N"]:
    """Weights of K choices from log likelihoods, under a prior that all voxels share: their mean weight."""
    prior = log.new_full((len(log), 1), 1 / len(log))
    for _ in range(ROUNDS):
        weights = weigh(log, prior)
        prior = mean_weight(weights)
    return weights


def weigh(log: Float[Tensor, "K N"], prior: Float[Tensor, "K 1"]) -> Float[Tensor, "K N"]:
    """Weights of K choices from log likelihoods, under a prior."""
    return (log + prior.log()).softmax(dim=0)


def mean_weight(weights: Float[Tensor, "K N"]) -> Float[Tensor, "K 1"]:
    """Of all voxels, above 0."""
    return weights.mean(dim=1, keepdim=True).clamp(min=1e-12)


def log_likelihood(scores: Tensor, images: int) -> Tensor:
    """Of choices, by their R^2 of so many left-out images."""
    return -TEMPER * images / 2 * torch.log((1 - scores).clamp(min=1e-3))
