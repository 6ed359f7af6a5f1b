"""Limits of depth and scale with the training in them, from its parametric bootstrap: planted and found.

Simulated responses (:mod:`factortopy.workflow.parametric_bootstrap`) are as noisy as those of the fit, to the same
images, so what is planted in them is missed by as much. With f what was found and t what was planted, over voxels::

    f = t + bias + (slope - 1) (t - mean t) + rest

``slope`` below 1 says that the fit draws values together: what was found in the fit itself may then lie
``1 / slope - 1`` too near to its mean, in all ROIs at once. It differs with what was planted, so that of each half is
taken, and the smaller one counts. Where it is almost 0 in the half that was planted with maps all over their range,
found has nothing to do with planted: on which side it lay is chance, ROIs may lie as far apart as voxels, and depth
may rise or fall along the hierarchy by all that there is of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.estimates.estimate_tables import CONFIDENCE
from factortopy.analysis.slope import PAPER_LEVELS

OF_VOXELS = {"depth": "depth", "scale": "scale_share"}
"""Quantities that are planted, and the variables whose limits their errors widen."""
FOLLOWS = 0.25
"""Slope of found on planted below which found does not follow it; smaller ones count as this."""
STEEPEST = 1.0
"""Slope of the hierarchy line at most: depth goes from 0 to 1, as levels do."""
MOST = 0.99
"""Share of the simulated voxels that are missed by less than any mean is thought to be."""
FEWEST = 8
"""Simulated voxels from which on a bootstrap tells."""
PARTS = 8
"""Parts of a subject without ROIs whose mean errors are compared."""


class PlantedErrors(NamedTuple):
    """Errors of a parametric bootstrap; NaN where it tells nothing.

    Attributes:
        whole: found less planted.
        rest: without what follows from values being drawn together, as far as that is known.
        drawn_together: ``1 / slope - 1``.
        follows: whether what was found follows the other maps that were planted in one half, so that its errors have a
            side.
    """

    whole: Float[np.ndarray, "voxel"]
    rest: Float[np.ndarray, "voxel"]
    drawn_together: float
    follows: bool

    @classmethod
    def of(
        cls,
        found: Float[np.ndarray, "voxel"],
        planted: Float[np.ndarray, "voxel"],
        some: Bool[np.ndarray, "voxel"],
        half: Bool[np.ndarray, "voxel"],
    ) -> "PlantedErrors | None":
        """Errors of some voxels, in two halves; None where they are too few."""
        known = some & np.isfinite(found) & np.isfinite(planted)
        if known.sum() < FEWEST:
            return None
        found, planted = (np.where(known, values, np.nan).astype(np.float64) for values in (found, planted))
        slope, error = _slope(found, planted, known), found - planted
        of_other, of_own = (_slope(found, planted, known & part) for part in (half, ~half))
        follows = of_other >= FOLLOWS
        rest = error - (min(slope, 1.0) - 1) * (planted - np.nanmean(planted)) if follows else error
        kept = float(np.clip(min(slope, of_other, of_own), FOLLOWS, 1))
        return cls(error, rest, 1 / kept - 1, follows)

    def reach(
        self, half: Bool[np.ndarray, "voxel"], *, below: bool = False, share: float = (1 + CONFIDENCE) / 2
    ) -> float:
        """How far what was found lies above what was planted, or below, in a share of the half where that is farther.

        Where it does not follow that, as far as it lies away on either side.

        Args:
            half: voxels in which other maps than those found were planted.
            below: whether it lies below.
            share: of the voxels, which are missed by less.
        """
        error = (-self.whole if below else self.whole) if self.follows else np.abs(self.whole)
        parts = (error[part & np.isfinite(error)] for part in (half, ~half))
        return max(0.0, *(float(np.quantile(part, share)) for part in parts if len(part)))


def _slope(
    found: Float[np.ndarray, "voxel"], planted: Float[np.ndarray, "voxel"], known: Bool[np.ndarray, "voxel"]
) -> float:
    """Of the regression of what was found on what was planted; 1 where it tells nothing."""
    if known.sum() < FEWEST or np.ptp(planted[known]) == 0:
        return 1.0
    about = planted[known] - planted[known].mean()
    return float(about @ found[known] / (about @ about))


def with_training(
    values: Mapping[str, np.ndarray],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    half: Bool[np.ndarray, "voxel"],
    seed: int,
) -> dict[str, np.ndarray]:
    """Limits and draws of depth, scale and hierarchy line, widened by what a bootstrap says of the training.

    Limits of voxels lie as far below and above their value as hold 95 % of the simulated voxels, in the half where that
    is farther, and the limits over test images beside: where values are drawn to one side, they lie on the other. To
    the draws of ROI means come errors as large as the mean errors of the simulated ROIs in each half (as those of their
    voxels, where found follows nothing), and what follows from values being drawn together, which is common to all
    ROIs; both of Student's distribution, as they are known from no more than these ROIs. They are no larger than those
    of 99 % of the simulated voxels, as no mean is missed by more than what it is of. The line's draws follow from those
    of its ROIs; where found follows nothing, any slope from -1 to 1 is added to them.

    Args:
        values: variables of a mapping with limits over test images, and of its parametric bootstrap.
        rois: membership of ROIs by name.
        half: voxels in which other maps than those found were planted.
        seed: of the draws, another one for each fit, as trainings are not drawn in pairs.

    Returns:
        The variables that change.
    """
    changed: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(seed)
    for name, variable in OF_VOXELS.items():
        own = values[variable].astype(np.float64)
        told = values[f"bootstrap_{name}"], values[f"bootstrap_{name}_planted"]
        errors = PlantedErrors.of(*told, np.isfinite(own), half)
        if errors is None:
            continue
        for end, sign, reach in (("low", -1, errors.reach(half)), ("high", 1, errors.reach(half, below=True))):
            distance = np.hypot(own - values[f"{variable}_{end}"], reach)
            changed[f"{variable}_{end}"] = (own + sign * distance).astype(np.float32)
        drawn = values[f"drawn_{name}"]
        added = _drawn_errors(own, errors, rois, half, len(drawn), generator)
        added = added.clip(-errors.reach(half, share=MOST), errors.reach(half, share=MOST, below=True))
        changed[f"drawn_{name}"] = drawn + added
        if name == "depth" and "drawn_slope" in values:
            unknown = np.zeros(len(drawn)) if errors.follows else generator.uniform(-STEEPEST, STEEPEST, len(drawn))
            of_roi = dict(zip(rois, added.T, strict=False))
            changed |= _drawn_line(values, of_roi, rois, np.isfinite(own), unknown)
    return changed


def _drawn_errors(
    own: Float[np.ndarray, "voxel"],
    errors: PlantedErrors,
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    half: Bool[np.ndarray, "voxel"],
    draws: int,
    generator: np.random.Generator,
) -> Float[np.ndarray, "draw region"]:
    """Errors of the means over ROIs and over all voxels."""
    everywhere = np.isfinite(own)
    members = {name: np.asarray(inside, bool) & everywhere for name, inside in rois.items()}
    members = {name: inside for name, inside in members.items() if inside.any()}
    parts = list(members.values()) or np.array_split(np.eye(len(own), dtype=bool), PARTS)
    parts = [part if part.ndim == 1 else part.any(axis=0) & everywhere for part in parts]
    pieces = [piece for part in parts for piece in (part & half, part & ~half) if np.isfinite(errors.rest[piece]).any()]
    # Where found follows nothing, ROIs may differ by more than planted maps do: as much as voxels.
    missed = [errors.rest[piece] for piece in pieces]
    squares = [np.nanmean(by) ** 2 if errors.follows else np.nanmean(by**2) for by in missed]
    spread = np.sqrt(np.mean(squares))
    together = errors.drawn_together * generator.standard_t(len(pieces), draws)
    centre = own[everywhere].mean()

    def drawn(inside: Bool[np.ndarray, "voxel"]) -> Float[np.ndarray, "draw"]:
        tail = spread * generator.standard_t(len(pieces), draws)
        return tail + together * (own[inside].mean() - centre) if inside.any() else np.zeros(draws)

    by_part = np.stack([drawn(part) for part in parts], axis=1)
    weights = np.array([part.sum() for part in parts]) / sum(part.sum() for part in parts)
    whole = by_part @ weights + np.nanmean(errors.rest) * generator.standard_normal(draws)
    of_roi = dict(zip(members, by_part.T, strict=False))
    return np.stack([*(of_roi.get(name, np.zeros(draws)) for name in rois), whole], axis=1)


def _drawn_line(
    values: Mapping[str, np.ndarray],
    added: Mapping[str, Float[np.ndarray, "draw"]],
    rois: Mapping[str, Bool[np.ndarray, "voxel"]],
    measured: Bool[np.ndarray, "voxel"],
    unknown: Float[np.ndarray, "draw"],
) -> dict[str, np.ndarray]:
    """The hierarchy line in every draw with the errors of its ROIs: least squares of their means by voxels.

    What is ``unknown`` of the slope, in all ROIs at once, is added to it.
    """
    voxels = np.array([(np.asarray(rois[name], bool) & measured).sum() for name in PAPER_LEVELS], float)
    level = np.array(list(PAPER_LEVELS.values()))
    about = level - voxels @ level / voxels.sum()
    errors = np.stack([added[name] for name in PAPER_LEVELS], axis=1)
    slope = errors @ (voxels * about) / (voxels @ np.square(about)) + unknown
    b0 = errors @ voxels / voxels.sum() - slope * (voxels @ level / voxels.sum())
    changes = {"slope": slope, "b0": b0, "b1": b0 + slope}
    return {f"drawn_{name}": values[f"drawn_{name}"] + change for name, change in changes.items()}
