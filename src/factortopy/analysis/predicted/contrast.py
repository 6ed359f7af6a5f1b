"""Two sets of photographs held against each other in every voxel: a functional localiser in silico."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from jaxtyping import Bool, Float

from factortopy.analysis.predicted.ranking import voxels_above_chance
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.mapping import Mapping, Predictor
from factortopy.storage import write_table

FALSE_DISCOVERIES = 0.05
"""Share of false ones among the voxels that are called significant, at most."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """What a mapping predicts for some photographs less what it predicts for others, in every voxel.

    Attributes:
        mapping: that predicts.
        difference: of the mean responses, standard deviations of the training responses; NaN where left out.
        t: Welch's t over photographs; NaN where left out.
        q: p (two-sided) after Benjamini and Hochberg's control of false discoveries over the voxels used; NaN
            where left out.
        images: how many photographs there are of either set.
        left_out: voxels without a held-out R^2 above chance.
    """

    mapping: Mapping
    difference: Float[np.ndarray, "voxel"]
    t: Float[np.ndarray, "voxel"]
    q: Float[np.ndarray, "voxel"]
    images: tuple[int, int]
    left_out: int

    @property
    def significant(self) -> Bool[np.ndarray, "voxel"]:
        """Voxels among which at most 5 % are expected to be false."""
        return np.asarray(self.q <= FALSE_DISCOVERIES)

    @property
    def table(self) -> pandas.DataFrame:
        """A row a voxel: ``hemisphere``, ``vertex``, ``difference``, ``t``, ``q``, ``significant``."""
        data = self.mapping.dataset
        columns = {name: data[name].values for name in ("hemisphere", "vertex") if name in data}
        values = {"difference": self.difference, "t": self.t, "q": self.q, "significant": self.significant}
        return pandas.DataFrame({**columns, **values})

    def regions(self) -> pandas.DataFrame:
        """A row an ROI: ``roi``, ``voxels`` used, ``more`` and ``less``, how many respond significantly more, or less,
        to the first set, and ``difference``, the mean over those used."""
        rows = []
        for roi, inside in (self.mapping.rois | {ALL_VOXELS: np.ones(len(self.t), dtype=bool)}).items():
            used = inside & np.isfinite(self.difference)
            more, less = (int((self.significant & used & (sign * self.t > 0)).sum()) for sign in (1, -1))
            mean = float(self.difference[used].mean()) if used.any() else np.nan
            rows.append({"roi": roi, "voxels": int(used.sum()), "more": more, "less": less, "difference": mean})
        return pandas.DataFrame(rows)

    def save(self, folder: Path) -> list[Path]:
        """Write ``contrast.csv``, a row a voxel, and ``regions.csv``, a row an ROI."""
        tables = {"contrast.csv": self.table, "regions.csv": self.regions()}
        return [write_table(folder / name, table) for name, table in tables.items()]


def contrast(
    mapping: Mapping, images: ImageSet, against: ImageSet, *, progress: bool = True, **options: Any
) -> Contrast:
    """Contrast two sets of photographs, faces against houses say, in what a mapping predicts for them.

    Every voxel that is above chance gets Welch's t of its predicted responses: whether photographs of the one kind
    drive it more than those of the other, beyond what differs among photographs of one kind. It says nothing of other
    people's brains, nor how sure the mapping is of this one.

    Args:
        mapping: with trained parameters.
        images: photographs of one kind, two at least.
        against: photographs of the other.
        progress: show bars.
        options: further arguments of :func:`factortopy.predict`.

    Raises:
        DataError: if a set has fewer than two photographs, no voxel has a held-out R^2 above chance, or as
            :func:`factortopy.predict`.

    Example:
        >>> sure = mapping.with_variables({"r2": (("voxel",), np.full(len(subject.voxels), 0.2))})
        >>> photographs = ft.open_images("photographs")
        >>> ids = photographs.ids
        >>> found = ft.contrast(sure, photographs.subset(ids[:20]), photographs.subset(ids[20:]), progress=False)
        >>> found.images, found.t.shape == (len(subject.voxels),)
        ((20, 20), True)
    """
    from scipy import stats

    for number, one in zip(("first", "second"), (images, against), strict=True):
        if len(one) < 2:
            raise DataError(f"the {number} set ({one.name}) has {len(one)} photograph; a contrast needs two or more")
    used, left_out = voxels_above_chance(mapping, ALL_VOXELS)
    predictor = Predictor.of(mapping, z_scored="response_mean" in mapping.dataset, progress=progress, **options)
    first, second = (_moments(predictor, one, used, progress) for one in (images, against))
    # A voxel that responds alike to all has no t; that is no error.
    with np.errstate(invalid="ignore", divide="ignore"):
        t, p = stats.ttest_ind_from_stats(*first.summary(), *second.summary(), equal_var=False)
    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    q[known] = stats.false_discovery_control(p[known])
    parts = (first.mean - second.mean, t, q)
    difference, t_map, q_map = (_spread(values, used) for values in parts)
    return Contrast(mapping, difference, t_map, q_map, (len(images), len(against)), left_out)


class _Moments:
    """Mean and variance of responses that come batch by batch (Chan, Golub and LeVeque 1983)."""

    def __init__(self) -> None:
        self._count = 0
        self.mean: Any = 0.0
        self._squares: Any = 0.0

    def add(self, responses: Float[np.ndarray, "image voxel"]) -> None:
        """Take some more."""
        values = responses.astype(np.float64)
        mean, count = values.mean(axis=0), len(values)
        shift, total = mean - self.mean, self._count + count
        self._squares = (
            self._squares + np.square(values - mean).sum(axis=0) + np.square(shift) * self._count * count / total
        )
        self.mean = self.mean + shift * count / total
        self._count = total

    def summary(self) -> tuple[Any, Any, int]:
        """Mean, standard deviation (of a sample) and how many."""
        return self.mean, np.sqrt(self._squares / (self._count - 1)), self._count


def _moments(predictor: Predictor, images: ImageSet, used: Bool[np.ndarray, "voxel"], progress: bool) -> _Moments:
    moments = _Moments()
    predictor.run(images, lambda responses, _: moments.add(responses[:, used]), progress=progress)
    return moments


def _spread(values: np.ndarray, used: Bool[np.ndarray, "voxel"]) -> Float[np.ndarray, "voxel"]:
    spread = np.full(len(used), np.nan)
    spread[used] = values
    return spread
