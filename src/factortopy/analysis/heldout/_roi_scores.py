"""Scores of a mapping by ROI: raw, their noise ceiling, and normalised by it."""

import numpy as np
import pandas

from factortopy.analysis.estimates._estimate import Estimate
from factortopy.analysis.estimates._of_mapping import drawn
from factortopy.analysis.estimates.tables import table_of
from factortopy.analysis.heldout.scores import normalised
from factortopy.analysis.regions import ALL_VOXELS, finite_mean
from factortopy.mapping import Mapping

NORMALISED_FORMULA = "R^2 / ceiling of each voxel, then the mean; not clipped, so it may be negative or above 1"
GIVEN = "as the subject gave it"


def roi_scores(mapping: Mapping, threshold: float = 0.05) -> pandas.DataFrame:
    """Scores of each ROI in the mapping's order, then of all voxels.

    Args:
        mapping: what is scored.
        threshold: smallest ceiling of voxels that are normalised, above 0.

    Returns:
        Columns ``roi``, ``voxels``; ``r2`` (mean raw R^2, voxels with constant responses left out) with ``r2_low``
        and ``r2_high`` over test images; ``ceiling`` (mean noise ceiling); ``normalised`` (mean of R^2 over ceiling
        where the ceiling is not below the threshold); ``masked``, voxels left out of that. NaN what is not known.

    Raises:
        DataError: if the threshold is not above 0 and at most 1.
    """
    r2 = mapping.dataset["r2"].values
    ceiling = mapping.dataset["ceiling"].values if "ceiling" in mapping.dataset else np.full_like(r2, np.nan)
    against = normalised(r2, ceiling, threshold).values
    regions = {**mapping.rois, ALL_VOXELS: np.ones(len(r2), dtype=bool)}
    return table_of(
        {
            "roi": name,
            "voxels": int(inside.sum()),
            "r2": Estimate.of_draws(finite_mean(r2[inside]), drawn(mapping, "r2", name)),
            "ceiling": finite_mean(ceiling[inside]),
            "normalised": finite_mean(against[inside]),
            "masked": int(np.isnan(against[inside]).sum()),
        }
        for name, inside in regions.items()
    )


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
