"""Scores of a mapping by ROI: raw, their noise ceiling, and normalised by it."""

from dataclasses import dataclass

import numpy as np

from factortopy.analysis.estimates.bootstrap import percentiles
from factortopy.analysis.heldout.scores import normalised
from factortopy.mapping import Mapping

ALL = "all voxels"
FORMULA = "R^2 / ceiling of each voxel, then the mean; not clipped, so it may be negative or above 1"
GIVEN = "as the subject gave it"


@dataclass(frozen=True)
class RoiScore:
    """Scores of the voxels of one ROI.

    Attributes:
        roi: its name, or ``"all voxels"``.
        voxels: how many it has.
        r2: mean raw R^2, voxels without one (constant responses) left out; None if all are.
        r2_low, r2_high: limits of it over test images; None if the mapping has no draws of them.
        ceiling: mean noise ceiling; None if the mapping has none.
        normalised: mean of R^2 over ceiling where the ceiling is not below the threshold; None if there is
            no ceiling or no voxel reaches the threshold.
        masked: voxels left out of ``normalised``.
    """

    roi: str
    voxels: int
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    ceiling: float | None
    normalised: float | None
    masked: int


def roi_scores(mapping: Mapping, threshold: float = 0.05) -> list[RoiScore]:
    """Scores of each ROI in the mapping's order, then of all voxels.

    Args:
        mapping: what is scored.
        threshold: smallest ceiling of voxels that are normalised, above 0.

    Raises:
        DataError: if the threshold is not above 0 and at most 1.
    """
    r2 = mapping.dataset["r2"].values
    ceiling = mapping.dataset["ceiling"].values if "ceiling" in mapping.dataset else np.full_like(r2, np.nan)
    against = normalised(r2, ceiling, threshold).values
    members = mapping.rois
    limits = _limits(mapping)
    return [
        RoiScore(
            roi=name,
            voxels=int(inside.sum()),
            r2=_mean(r2[inside]),
            r2_low=limits.get(name, (None, None))[0],
            r2_high=limits.get(name, (None, None))[1],
            ceiling=_mean(ceiling[inside]),
            normalised=_mean(against[inside]),
            masked=int(np.isnan(against[inside]).sum()),
        )
        for name, inside in {**members, ALL: np.ones(len(r2), dtype=bool)}.items()
    ]


def ceiling_facts(mapping: Mapping) -> tuple[str, dict[int, int]]:
    """How the noise ceiling was had, and how many test responses average how many trials.

    Args:
        mapping: what is scored.

    Returns:
        The formula as the subject's reader stated it; and the number of test responses by number of trials,
        empty where it is not known.
    """
    formula = mapping.provenance.get("subject", {}).get("noise_ceiling", GIVEN)
    counts = mapping.dataset.attrs.get("repeats_test", [])
    repeats = {trials: int(images) for trials, images in enumerate(counts, start=1) if images}
    return str(formula), repeats


def _limits(mapping: Mapping) -> dict[str, tuple[float | None, float | None]]:
    """Limits of mean R^2 over test images by region, where the mapping has draws and the region voxels."""
    if "drawn_r2" not in mapping.dataset:
        return {}
    drawn = mapping.dataset["drawn_r2"].values
    known = np.isfinite(drawn).all(axis=0)
    names = mapping.dataset["region"].values[known]
    ends = percentiles(drawn[:, known])
    return {str(name): (float(low), float(high)) for name, low, high in zip(names, *ends, strict=True)}


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
