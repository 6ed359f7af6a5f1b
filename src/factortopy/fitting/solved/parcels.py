"""Parcels: voxels that lie together, whose mean responses are less noisy than their own."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans, kmeans_plusplus
from torch import Tensor

from factortopy.fitting.examples import Responses
from factortopy.fitting.reduction import spread_evenly

FEWEST, VOXELS = 128, 4
"""Parcels at least, and voxels of each on average: with fewer there would be too little to learn from."""
DRAWN = 16
"""Places for each parcel that centres are drawn from, at most: of all vertices, drawing takes longer than all else."""
BATCH = 64
NOTHING = 1e-12
"""Weight in a mean that changes no number of single precision."""


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
        distance = torch.cdist(places, self.centre.to(places.device))
        weights = (self.voxels.to(places.device).log() - distance.square() / (2 * width**2)).softmax(dim=1)
        # Numbers too small to be kept normal make a product ten times slower on a CPU.
        return torch.where(weights > NOTHING, weights, 0.0)


class Sample(NamedTuple):
    """Some of the voxels, each by itself; they stand where parcels may.

    Attributes:
        chosen: their numbers.
        centre: their coordinates, mm.
    """

    chosen: Int[Tensor, "M"]
    centre: Float[Tensor, "M 3"]

    def mean(self, values: Float[Tensor, "N *rest"]) -> Float[Tensor, "M *rest"]:
        """Their own."""
        return values[self.chosen.to(values.device)]


def find_parcels(coordinates: Float[Tensor, "N 3"], most: int) -> Parcels:
    """At most so many parcels, by k-means; every voxel is one where there are few, or few distinct places."""
    most = min(max(FEWEST, len(coordinates) // VOXELS), most)
    places, place = np.unique(coordinates.numpy(), axis=0, return_inverse=True)
    label = np.arange(len(coordinates))
    if len(places) > most:
        start, _ = kmeans_plusplus(places[spread_evenly(len(places), DRAWN * most)], most, random_state=0)
        found = KMeans(most, init=start, n_init=1, max_iter=50).fit_predict(places)
        label = np.unique(found[place.reshape(-1)], return_inverse=True)[1]
    of, voxels = torch.from_numpy(label), torch.from_numpy(np.bincount(label)).float()
    return Parcels(of, _mean(coordinates.float(), of, voxels), voxels)


def _mean(values: Tensor, label: Tensor, voxels: Tensor) -> Tensor:
    total = values.new_zeros(len(voxels), *values.shape[1:]).index_add_(0, label, values)
    return total / voxels.to(values).view(-1, *[1] * (values.ndim - 1))


def parcel_responses(
    parcels: Parcels | Sample, training: Responses, validation: Responses
) -> tuple[Float[Tensor, "n M"], Float[Tensor, "v M"]]:
    """Mean responses of parcels, z-scored by the training images."""
    first, second = (
        torch.cat([parcels.mean(side[rows].T).T for rows in torch.arange(len(side)).split(BATCH)])
        for side in (training, validation)
    )
    spread, mean = torch.std_mean(first, dim=0, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    return (first - mean) / spread, (second - mean) / spread
