"""Which photographs drive a region most and least, by what a mapping predicts for them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
from jaxtyping import Bool, Float

from factortopy.analysis.estimates.yardstick import above_chance
from factortopy.analysis.quantities import regions_of
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, Predictor
from factortopy.networks import Network

NORMAL = 1.959964
"""95 % of normal errors lie within so many root mean squares."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Photographs by the predicted mean response of a region.

    Attributes:
        mapping: that predicts.
        network: that saw the photographs.
        region: name of the region.
        table: a row a photograph, most driving first: ``rank`` from 1, ``image``, ``response`` (standard deviations
            of the training responses, mean over voxels), ``response_low`` and ``response_high``.
        voxels: of the region that are above chance, whose mean it is.
        left_out: voxels of the region that are not.
    """

    mapping: Mapping
    network: Network
    region: str
    table: pandas.DataFrame
    voxels: int
    left_out: int

    @property
    def limits(self) -> str:
        """What the limits are, in words."""
        if self.table["response_low"].isna().all():
            return "no limits: this mapping does not say how well it predicts the mean of a region"
        return (
            "limits: 95 % of measured means, from the errors on the fit's test images; photographs unlike those may "
            "err by more"
        )


def rank_images(mapping: Mapping, images: ImageSet, region: str, *, progress: bool = True, **options: Any) -> Ranking:
    """Rank photographs by how much they drive a region, by the mean over its voxels that are above chance.

    Args:
        mapping: with trained parameters.
        images: the photographs.
        region: an ROI, or ``"all voxels"``.
        progress: show a bar.
        options: further arguments of :func:`factortopy.predict`: ``network``, ``weights``, ``device``, ...

    Returns:
        The photographs in order. Limits are of the measured mean response to a photograph: its root mean square error
        on the fit's test images, times 1.96 for 95 %.

    Raises:
        UnknownNameError: if there is no such region.
        DataError: if none of its voxels has a held-out R^2 above chance; or as :func:`factortopy.predict`.

    Example:
        >>> sure = mapping.with_variables({"r2": (("voxel",), np.full(len(subject.voxels), 0.2))})
        >>> ranking = ft.rank_images(sure, ft.open_images("photographs"), "V1", progress=False)
        >>> ranking.table["response"].is_monotonic_decreasing
        True
    """
    chosen, left_out = voxels_above_chance(mapping, region)
    predictor = Predictor.of(mapping, z_scored="response_mean" in mapping.dataset, progress=progress, **options)
    means: list[Float[np.ndarray, image]] = []
    predictor.run(images, lambda responses, _: means.append(responses[:, chosen].mean(axis=1)), progress=progress)
    response = np.concatenate(means).astype(np.float64)
    order = np.argsort(-response, kind="stable")
    error = NORMAL * _error(mapping, region)
    columns = {"response": response, "response_low": response - error, "response_high": response + error}
    table = pandas.DataFrame({"image": np.array(images.ids, dtype=object), **columns}).iloc[order]
    table.insert(0, "rank", np.arange(1, len(order) + 1))
    table = table.reset_index(drop=True)
    return Ranking(mapping, predictor.network, region, table, int(chosen.sum()), left_out)


def voxels_above_chance(mapping: Mapping, region: str) -> tuple[Bool[np.ndarray, "voxel"], int]:
    """The voxels of a region that are above chance, and how many are not.

    Raises:
        UnknownNameError: if there is no such region.
        DataError: if none is.
    """
    regions = regions_of(mapping)
    if region not in regions:
        raise UnknownNameError("region", region, regions)
    inside = regions[region]
    chosen = inside & above_chance(mapping)
    if not chosen.any():
        raise DataError(
            f"none of the {inside.sum():,} voxels of {region} has a held-out R² above chance, so what is predicted for "
            "them says nothing; take another region or a better fit"
        )
    return chosen, int((inside & ~chosen).sum())


def _error(mapping: Mapping, region: str) -> float:
    data = mapping.dataset
    if "region_error" not in data:
        return np.nan
    names = [str(name) for name in data["region"].values]
    return float(data["region_error"].values[names.index(region)]) if region in names else np.nan
