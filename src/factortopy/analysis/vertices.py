"""Vertices of one surface over several subjects, each of whom has some of them."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.quantities import finite_mean
from factortopy.cortex import HEMISPHERES
from factortopy.mapping import Mapping

RIGHT = 2**32
"""Added to the vertices of the right hemisphere, so that each of both has a number of its own."""


class Vertices:
    """The vertices that any subject has, and where each subject's voxels stand among them."""

    def __init__(self, mappings: Sequence[Mapping], fewest: int) -> None:
        datasets = [mapping.dataset for mapping in mappings]
        own = [RIGHT * (data["hemisphere"].values == HEMISPHERES[1]) + data["vertex"].values for data in datasets]
        codes = np.unique(np.concatenate(own))
        count = np.sum([np.isin(codes, code) for code in own], axis=0)
        self._indices = [np.searchsorted(codes, code) for code in own]
        self._here = count >= fewest
        self.count = count[self._here]
        right, self.vertex = np.divmod(codes[self._here], RIGHT)
        self.hemisphere = np.array(HEMISPHERES)[right]

    def spread(self, values: Sequence[np.ndarray]) -> Float[np.ndarray, "subject voxel *rest"]:
        """Each subject's values on all vertices, NaN where it has none."""
        shape = (len(values), len(self._here), *values[0].shape[1:])
        stacked = np.full(shape, np.nan)
        for row, index, own in zip(stacked, self._indices, values, strict=True):
            row[index] = own
        return stacked[:, self._here]

    def rois(self, mappings: Sequence[Mapping]) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Vertices that lie in each ROI in more than half of the subjects that have both."""
        rois = {}
        for name in dict.fromkeys(name for mapping in mappings for name in mapping.rois):
            own = [
                mapping.rois.get(name, np.full(mapping.dataset.sizes["voxel"], np.nan)).astype(float)
                for mapping in mappings
            ]
            rois[name] = np.nan_to_num(finite_mean(self.spread(own), axis=0)) > 0.5
        return rois
