"""What to plant in a simulated subject: layers, areas, model class, noise ceilings and trials."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float, Real

from factortopy.cortex import ROI_NAMES
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.simulation.maps import Areas, PlantedMaps
from factortopy.storage import as_array
from factortopy.subjects import noise_ceiling_at

Mixture = Literal["bump", "one", "two"]
FIRST_OF_TWO = 2 / 3
"""Weight of the layer at the voxel's own depth in a mixture of two; the rest is half the network away."""


@dataclass(frozen=True, eq=False)
class Planted:
    """What is planted in a simulated subject; see ``simulate_subject`` for the formula.

    Attributes:
        planted_channels: number of random channels K; the fewer, the easier.
        mixture: layers that a voxel reads: a ``"bump"`` of neighbouring ones, exactly ``"one"``, or ``"two"``
            that lie half the network apart, with weights 2/3 and 1/3.
        layer_width: standard deviation of the bump, in layers.
        profile: weights of layers by name of the region (``ROI_NAMES``), such as measured scores, 0 or more,
            instead of depth and mixture. Only their proportions count, and they may be of another number of
            layers than the network has.
        areas: ``"smooth"`` maps, or ``"sharp"`` borders at which depth, scale and channels jump.
        normalisation: semi-saturation s, positive, of a divisive normalisation by the neighbours along the
            cortex; None stays inside the model class. With d_in the linear signal of standard deviation 1,
            ``signal_in`` is proportional to ``d_in / sqrt(s^2 + sum_j k_ij d_jn^2)`` (Heeger 1992; Carandini
            and Heeger 2012, Nat Rev Neurosci 13:51-62): the smaller s, the further from a linear signal. The
            pool k reaches about 1 cm and sums to 1.
        ceiling_range: smallest and largest noise ceiling (R^2) of single trials, in (0, 1].
        noise_ceiling: R^2 of single trials instead, in (0, 1], for all voxels or for each.
        ceiling_sample: measured R^2 of any number of real voxels instead, in (0, 1]: each voxel gets the
            quantile of its rank, so that the ceiling falls with the distance from the occipital pole.
        repeats: trials of every image. Each row averages them, so its ceiling is higher than a trial's.
        single_trials: every trial is a row of its own.

    Example:
        >>> subject = ft.simulate_subject(tokens, ft.Planted(planted_channels=4, noise_ceiling=0.2), progress=False)
        >>> subject.simulated
        True
    """

    planted_channels: int = 32
    mixture: Mixture = "bump"
    layer_width: float = 1.0
    profile: Mapping[str, Sequence[float] | Real[np.ndarray, "layer"]] | None = None
    areas: Areas = "smooth"
    normalisation: float | None = None
    ceiling_range: tuple[float, float] = (0.3, 0.8)
    noise_ceiling: float | Sequence[float] | Float[np.ndarray, "voxel"] | None = None
    ceiling_sample: Sequence[float] | Float[np.ndarray, "measured"] | None = None
    repeats: int = 1
    single_trials: bool = False

    def __post_init__(self) -> None:
        self._convert()
        for name, value, choices in (("mixture", self.mixture, Mixture), ("areas", self.areas, Areas)):
            if value not in get_args(choices):
                raise UnknownNameError(name, str(value), get_args(choices))
        for name in ("planted_channels", "layer_width", "repeats"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} must be positive, got {getattr(self, name)}")
        if self.normalisation is not None and not self.normalisation > 0:
            raise DataError(f"normalisation must be positive, got {self.normalisation}; None leaves it out")
        low, high = self.ceiling_range
        if not 0 < low <= high <= 1:
            raise DataError(f"ceiling_range must be two increasing R^2 in (0, 1], got {tuple(self.ceiling_range)}")
        if self.noise_ceiling is not None and self.ceiling_sample is not None:
            raise DataError("give noise_ceiling or ceiling_sample, not both")
        for name in ("noise_ceiling", "ceiling_sample"):
            given = getattr(self, name)
            if given is not None and not (np.size(given) and np.all((given > 0) & (given <= 1))):
                raise DataError(f"{name} must lie in (0, 1]; divide percentages by 100, leave out 0 and NaN")
        _check_profile(self)

    def _convert(self) -> None:
        """Turn numbers of NumPy into Python's own, the only ones that JSON knows, and lists into arrays."""
        own: dict[str, Any] = {key: whole_number(key, getattr(self, key)) for key in ("planted_channels", "repeats")}
        own |= {"layer_width": float(self.layer_width), "single_trials": bool(self.single_trials)}
        own["ceiling_range"] = tuple(map(float, self.ceiling_range))
        if self.normalisation is not None:
            own["normalisation"] = float(self.normalisation)
        for name in ("noise_ceiling", "ceiling_sample"):
            if getattr(self, name) is not None:
                own[name] = as_array(getattr(self, name), name)[()]  # a number stays one
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def facts(self) -> dict[str, Any]:
        """What was planted, JSON-ready, for the subject's provenance."""
        facts = {item.name: getattr(self, item.name) for item in fields(self)}
        facts["ceiling_range"] = list(self.ceiling_range)
        if self.profile is not None:
            facts["profile"] = {name: np.asarray(part, dtype=float).tolist() for name, part in self.profile.items()}
        if self.ceiling_sample is not None:
            facts["ceiling_sample"] = facts["ceiling_range"] = f"ranks of {np.size(self.ceiling_sample)} measured"
        if self.noise_ceiling is not None:
            one = float(np.asarray(self.noise_ceiling)) if np.ndim(self.noise_ceiling) == 0 else "given for each voxel"
            facts["noise_ceiling"] = facts["ceiling_range"] = one
        return facts

    def trial_ceiling(self, maps: PlantedMaps) -> Float[np.ndarray, "voxel"]:
        """Noise ceiling (R^2) of single trials.

        Raises:
            ShapeError: if it was given for another number of voxels.
        """
        if self.ceiling_sample is not None:
            rank = np.argsort(np.argsort(-maps.distance, kind="stable"), kind="stable")
            return np.quantile(self.ceiling_sample, (rank + 0.5) / len(rank))
        if self.noise_ceiling is None:
            low, high = self.ceiling_range
            return np.asarray(high - (high - low) * maps.distance)
        given = np.asarray(self.noise_ceiling, dtype=float)
        if given.ndim and given.shape != maps.distance.shape:
            raise ShapeError(f"noise_ceiling has shape {given.shape}, expected {maps.distance.shape}: one R^2 a voxel")
        return np.broadcast_to(given, maps.distance.shape).copy()

    def row_ceiling(self, trial: Float[np.ndarray, "voxel"]) -> Float[np.ndarray, "voxel"]:
        """Noise ceiling of the subject's rows, each one trial or the average of all repeats."""
        if self.repeats == 1 or self.single_trials:
            return trial
        return noise_ceiling_at(trial, (1,), (*[0] * (self.repeats - 1), 1))

    def layers(self, maps: PlantedMaps, layers: int) -> Float[np.ndarray, "voxel layer"]:
        """Weights of the network's layers for every voxel; each row sums to 1."""
        if self.profile is not None:
            depths = np.linspace(0, 1, layers)
            resampled = {
                name: np.interp(depths, np.linspace(0, 1, len(given)), np.asarray(given, dtype=float))
                for name, given in self.profile.items()
            }
            weights = maps.spread({name: weights / weights.sum() for name, weights in resampled.items()}).clip(min=0)
            return np.asarray(weights / weights.sum(axis=1, keepdims=True))
        if self.mixture == "bump":
            return layer_bump(maps.depth, layers, self.layer_width)
        first = np.rint(np.clip(maps.depth, 0, 1) * (layers - 1)).astype(int)
        weights = np.eye(layers)[first]
        if self.mixture == "one":
            return weights
        second = np.where(first < layers / 2, first + layers // 2, first - layers // 2)
        return FIRST_OF_TWO * weights + (1 - FIRST_OF_TWO) * np.eye(layers)[np.clip(second, 0, layers - 1)]


def what_to_plant(planted: Planted | None, changes: dict[str, Any]) -> Planted:
    """The default or given settings with changes by name, all of which must be settings."""
    settings = [item.name for item in fields(Planted)]
    for name in changes:
        if name not in settings:
            raise UnknownNameError("setting of a simulated subject", name, settings)
    return replace(planted or Planted(), **changes)


def whole_number(name: str, value: Any) -> int:
    """Python's own whole number of any library's.

    Raises:
        DataError: if it is none.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise DataError(f"{name} must be a whole number, got {value}") from None


def layer_bump(depth: Float[np.ndarray, "voxel"], layers: int, width: float) -> Float[np.ndarray, "voxel layer"]:
    """Gaussian weights over layers, of a width in layers, around ``depth * (layers - 1)``; each row sums to 1."""
    distance = np.arange(layers) - depth[:, None] * (layers - 1)
    weight = np.exp(-0.5 * (distance / width) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _check_profile(planted: Planted) -> None:
    if planted.profile is None:
        return
    if planted.mixture != "bump":
        raise DataError("give a profile of layers or a mixture, not both")
    if not planted.profile:
        raise DataError(f"the profile names no region; give weights of layers for some of {ROI_NAMES}")
    for name, weights in planted.profile.items():
        if name not in ROI_NAMES:
            raise UnknownNameError("region", name, ROI_NAMES)
        given = np.asarray(weights, dtype=float)
        if given.ndim != 1 or not given.size or not (given >= 0).all() or not 0 < given.sum() < np.inf:
            raise DataError(f"profile of {name}: give one weight a layer, 0 or more and not all 0")
