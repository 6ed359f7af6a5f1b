"""The measured grid of simulated subjects that plans are made from; it comes with the package."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.errors import DataError, UnknownNameError

FORMAT = "factortopy-recovery-1"


@dataclass(frozen=True)
class MeasuredCase:
    """A measured case: what a recipe found in a simulated subject, a mean over seeds.

    Attributes:
        network, kind, recipe: what was fitted, to what plant (``benchmarks/laboratory.py``), and how.
        images: training images.
        ceiling: noise ceiling (R^2) of all voxels.
        voxels, channels: of the subject.
        budget: steps and images a step.
        photographs: what the images were views of.
        seeds: of subjects and fits.
        slope_error: hierarchy slope by share against the planted one, absolute.
        depth_r, space_r, scale_r: correlation of found and planted maps over voxels.
        r2_of_oracle: R^2 over that of a model given the planted selectors; None where that has none.
        r2_of_ceiling: R^2 over that of the noise-free signal; None where that has none.
    """

    network: str
    kind: str
    recipe: str
    images: int
    ceiling: float
    voxels: int
    channels: int
    budget: str
    photographs: str
    seeds: list[int]
    slope_error: float
    depth_r: float
    space_r: float
    scale_r: float
    r2_of_oracle: float | None
    r2_of_ceiling: float | None

    @property
    def position(self) -> tuple[float, float]:
        """Where it lies in the grid: logarithms of images and ceiling."""
        return float(np.log(self.images)), float(np.log(self.ceiling))

    @property
    def made_of(self) -> tuple[Any, ...]:
        """What must be the same for cases to be interpolated."""
        return self.voxels, self.channels, self.budget, self.photographs


def load_recovery_table(path: str | PathLike[str] | None = None) -> tuple[MeasuredCase, ...]:
    """The measured grid that ``benchmarks/recovery.py --table`` wrote.

    Args:
        path: the file; the one that comes with the package if None.

    Raises:
        DataError: if it cannot be read or is another file.
    """
    packaged = files("factortopy.analysis.planted").joinpath("recovery_table.json")
    source = packaged if path is None else Path(path)
    names = [item.name for item in fields(MeasuredCase)]
    try:
        table = json.loads(source.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise DataError(f"{source} is of format {table['format']!r}, expected {FORMAT}")
        return tuple(MeasuredCase(**{name: row[name] for name in names}) for row in table["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{source} is no table of recovery ({error!r}); write one with benchmarks/recovery.py --table"
        ) from error


def choose_cases(
    table: tuple[MeasuredCase, ...], network: str | None, kind: str, recipe: str, voxels: int | None
) -> tuple[MeasuredCase, ...]:
    """Cases that may be interpolated: of one network, plant, recipe and subject.

    Args:
        table: all measured cases.
        network: the network that is fitted; the one of most cases if None.
        kind: what was planted.
        recipe: ``"default"`` or ``"paper"``.
        voxels: cases of the nearest number of voxels are taken; of the most cases if None.

    Raises:
        DataError: if the table is empty.
        UnknownNameError: if nothing was measured for such a network, plant or recipe.
    """
    if not table:
        raise DataError("the table of recovery is empty; write one with benchmarks/recovery.py --table")
    cases = list(table)
    if network is None:
        network = _commonest(case.network for case in cases)
    for what, name in (("network", network), ("kind", kind), ("recipe", recipe)):
        known = sorted({str(getattr(case, what)) for case in cases})
        if name not in known:
            raise UnknownNameError(f"{what} among the measured cases", name, known)
        cases = [case for case in cases if getattr(case, what) == name]
    if voxels is not None:
        apart: Callable[[MeasuredCase], float] = lambda case: abs(np.log(case.voxels / voxels))  # noqa: E731
        nearest = min(map(apart, cases))
        cases = [case for case in cases if apart(case) == nearest]
    made_of = _commonest(case.made_of for case in cases)
    return tuple(case for case in cases if case.made_of == made_of)


def _commonest(values: Iterable[Any]) -> Any:
    found = list(values)
    return max(dict.fromkeys(found), key=found.count)
