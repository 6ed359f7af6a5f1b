"""Means and limits over several fits: seeds of one subject, or subjects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from factortopy.analysis.bootstrap import CONFIDENCE
from factortopy.analysis.estimates import Estimate
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping


def over_fits(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean of independent fits, such as subjects or seeds, with Student's interval of the mean.

    Raises:
        DataError: if there are fewer than two.
    """
    from scipy.stats import sem, t

    if len(values) < 2:
        raise DataError(f"an interval over fits needs two or more, got {len(values)}")
    mean = float(np.mean(values))
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1) * sem(values))
    return Estimate(mean, mean - reach, mean + reach, confidence)


def over_seeds(mappings: Sequence[Mapping]) -> xr.Dataset:
    """Mean and standard deviation over several fits of the same voxels, such as seeds.

    Returns:
        Every variable of numbers over voxels that all mappings hold: its mean, and ``<name>_sd``.

    Raises:
        DataError: if there are fewer than two.
        ShapeError: if the mappings have other voxels or layers.
    """
    if len(mappings) < 2:
        raise DataError(f"a spread over fits needs two mappings or more, got {len(mappings)}")
    first = mappings[0].dataset
    for held in mappings[1:]:
        same = all(
            np.array_equal(held.dataset[name].values, first[name].values)
            for name in ("vertex", "hemisphere", "network_layer")
            if name in first.coords and name in held.dataset.coords
        )
        if not same or held.dataset.sizes["voxel"] != first.sizes["voxel"]:
            raise ShapeError("a spread over fits needs the same voxels and layers in every mapping")
    names = [
        name for name in first if "voxel" in first[name].dims and all(name in m.dataset for m in mappings)
    ]
    result = first.drop_vars(list(first.data_vars))
    for name in names:
        stacked = np.stack([held.dataset[name].values for held in mappings]).astype(np.float64)
        result[str(name)] = (first[name].dims, stacked.mean(axis=0))
        result[f"{name}_sd"] = (first[name].dims, stacked.std(axis=0, ddof=1))
    seeds: list[Any] = [held.dataset.attrs.get("seed", "unknown") for held in mappings]
    return result.assign_attrs(seeds=seeds)
