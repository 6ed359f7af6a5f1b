"""How well a map can be expected to be found, interpolated from a measured grid of simulated subjects."""

import json
from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.errors import DataError, UnknownNameError
from factortopy.subjects import noise_ceiling_at

FORMAT = "factortopy-recovery-1"
MEASURES = ("slope_error", "depth_r", "space_r", "scale_r", "r2_of_oracle", "r2_of_ceiling")
BEST = dict.fromkeys(MEASURES, 1.0) | {"slope_error": 0.0}
CLEARLY = 0.01
"""Smallest change of the mean distance of the measures from their best that is worth a change of plan."""
FAR = 2.0
"""Times as many images, or as high a ceiling, as the nearest measured case: beyond it a plan says so."""
PLANT = "smooth"


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
    """Cases that may be interpolated: of one network, plant, recipe and subject."""
    if not table:
        raise DataError("the table of recovery is empty; write one with benchmarks/recovery.py --table")
    cases = list(table)
    if network is None:
        network = _commonest([case.network for case in cases])
    for what, name in (("network", network), ("kind", kind), ("recipe", recipe)):
        names = sorted({str(getattr(case, what)) for case in cases})
        if name not in names:
            raise UnknownNameError(f"{what} among the measured cases", name, names)
        cases = [case for case in cases if getattr(case, what) == name]
    if voxels is not None:
        apart = [abs(np.log(case.voxels / voxels)) for case in cases]
        cases = [case for case, distance in zip(cases, apart, strict=True) if distance == min(apart)]
    made_of = _commonest([case.made_of for case in cases])
    return tuple(case for case in cases if case.made_of == made_of)


def _commonest(values: list[Any]) -> Any:
    """The first of those that occur most often."""
    return max(values, key=values.count)


@dataclass(frozen=True)
class Expectation:
    """What to expect of so many images at such a ceiling.

    Attributes:
        images: training images.
        repeats: trials that each response averages.
        ceiling: noise ceiling (R^2) of these averages.
        inside: whether it lies between measured cases. If not, nothing is extrapolated: the measures are
            those of the nearest measured case.
        far: whether it is inside, but far from every measured case.
        nearest: the nearest measured case, ``images`` and ``ceiling``.
        measures: by name; None where a case it is interpolated from has none.
    """

    images: int
    repeats: int
    ceiling: float
    inside: bool
    far: bool
    nearest: tuple[int, float]
    measures: dict[str, float | None]

    @property
    def shortfall(self) -> float:
        """Mean distance of the measures from their best, but for the R^2 against the ceiling."""
        measures = {name: value for name, value in self.measures.items() if name != "r2_of_ceiling"}
        return float(np.mean([abs(BEST[name] - value) for name, value in measures.items() if value is not None]))


@dataclass(frozen=True)
class RecoveryForecast:
    """What to expect, and what a change would do.

    Attributes:
        asked: the experiment as asked for.
        same_time: other numbers of images and repeats in the same scanning time.
        twice_the_time: twice the images, and twice the repeats.
        cases: the measured cases, all of one network, plant, recipe and number of voxels.
    """

    asked: Expectation
    same_time: tuple[Expectation, ...]
    twice_the_time: tuple[Expectation, ...]
    cases: tuple[MeasuredCase, ...]

    @property
    def best_in_time(self) -> Expectation:
        """The best of the variants in the same time that lie inside the grid, where it is clearly better."""
        inside = [item for item in self.same_time if item.inside]
        best = min(inside, key=lambda item: item.shortfall, default=self.asked)
        return best if best.shortfall < self.asked.shortfall - CLEARLY else self.asked

    def as_dict(self) -> dict[str, Any]:
        """All of it, JSON-ready."""
        first = self.cases[0]
        limits = {
            name: [min(values), max(values)]
            for name in ("images", "ceiling")
            for values in [[getattr(case, name) for case in self.cases]]
        }
        return {
            "simulated": True,
            **{name: getattr(first, name) for name in ("network", "kind", "recipe", "voxels", "channels")},
            "photographs": first.photographs,
            "grid": limits | {"cases": [[case.images, case.ceiling] for case in self.cases]},
            "asked": asdict(self.asked),
            "same_time": [asdict(item) for item in self.same_time],
            "twice_the_time": [asdict(item) for item in self.twice_the_time],
            "best_in_time": asdict(self.best_in_time),
        }


def forecast_recovery(
    images: int,
    ceiling: float,
    *,
    repeats: int = 1,
    voxels: int | None = None,
    network: str | None = None,
    kind: str = PLANT,
    recipe: str = "default",
    table: tuple[MeasuredCase, ...] | None = None,
) -> RecoveryForecast:
    """What a map can be expected to be worth, from simulated subjects that were measured.

    Measures are interpolated linearly in log images and log ceiling, inside the triangles that the measured
    cases span. Other numbers of repeats change the ceiling as ``noise_ceiling_at`` says.

    Args:
        images: training images, each shown ``repeats`` times.
        ceiling: mean noise ceiling (R^2) of the averages over these repeats, in (0, 1].
        repeats: trials that each response averages.
        voxels: cases of the nearest number of voxels are taken; of the most cases if None.
        network: the network that is fitted; the one of most cases if None.
        kind: what was planted.
        recipe: ``"default"`` or ``"paper"``.
        table: measured cases; those that come with the package if None.

    Raises:
        DataError: if a number is out of range.
        UnknownNameError: if nothing was measured for such a network, plant or recipe.

    Example:
        >>> forecast = ft.forecast_recovery(images=2_300, ceiling=0.2)
        >>> len(forecast.cases) > 0
        True
    """
    if images < 1 or repeats < 1 or not 0 < ceiling <= 1:
        raise DataError(
            f"{images} images, {repeats} repeats, ceiling {ceiling}: give at least 1 image and 1 repeat, and "
            "an R^2 in (0, 1]; divide percentages by 100"
        )
    cases = choose_cases(load_recovery_table() if table is None else table, network, kind, recipe, voxels)

    def expect(count: int, shown: int) -> Expectation:
        # Counts, as the formulas of ceilings take them, of images that are all shown so many times.
        given, wanted = ((*[0] * (each - 1), 1) for each in (repeats, shown))
        return _expect(cases, count, shown, float(noise_ceiling_at(np.array([ceiling]), given, wanted)[0]))

    others = sorted({1, max(1, repeats // 2), 2 * repeats} - {repeats})
    return RecoveryForecast(
        asked=expect(images, repeats),
        same_time=tuple(expect(images * repeats // shown, shown) for shown in others if images * repeats >= shown),
        twice_the_time=(expect(2 * images, repeats), expect(images, 2 * repeats)),
        cases=cases,
    )


def _expect(cases: tuple[MeasuredCase, ...], images: int, repeats: int, ceiling: float) -> Expectation:
    target = np.log([images, ceiling])
    positions = np.array([case.position for case in cases])
    nearest = int(np.linalg.norm(positions - target, axis=1).argmin())
    weights = _weights(positions, target)
    inside = weights is not None
    if weights is None:
        weights = np.eye(len(cases))[nearest]
    used = [(case, weight) for case, weight in zip(cases, weights, strict=True) if weight > 0]
    measures: dict[str, float | None] = {}
    for name in MEASURES:
        values = [getattr(case, name) for case, _ in used]
        complete = None not in values
        measures[name] = float(sum(v * w for v, (_, w) in zip(values, used, strict=True))) if complete else None
    return Expectation(
        images=images,
        repeats=repeats,
        ceiling=ceiling,
        inside=inside,
        far=bool(inside and np.abs(positions[nearest] - target).max() > np.log(FAR) + 1e-9),
        nearest=(cases[nearest].images, cases[nearest].ceiling),
        measures=measures,
    )


def _weights(positions: np.ndarray, target: np.ndarray) -> np.ndarray | None:
    """Weights of cases that interpolate linearly at a position between them; None outside."""
    from scipy.spatial import Delaunay, QhullError

    same = np.flatnonzero(np.abs(positions - target).max(axis=1) < 1e-9)
    if len(same):
        return np.eye(len(positions))[same[0]]
    try:
        triangles = Delaunay(positions)
    except (QhullError, ValueError):  # fewer than three cases, or all on one line
        return None
    # A position on the border is inside, whatever the last digit says.
    simplex = int(triangles.find_simplex(target, tol=1e-9))
    if simplex < 0:
        return None
    transform = triangles.transform[simplex]
    first = transform[:2] @ (target - transform[2])
    weights = np.zeros(len(positions))
    weights[triangles.simplices[simplex]] = np.clip([*first, 1 - first.sum()], 0, 1)
    return weights / weights.sum()
