"""Scores beside R^2 that published protocols ask for, each with its formula: correlations against noise ceilings."""

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingType
from typing import Any

import numpy as np
import pandas
from jaxtyping import Float

from factortopy.analysis.estimates._of_mapping import drawn
from factortopy.analysis.estimates.estimate_tables import Estimate, table_of
from factortopy.analysis.quantities import finite_mean
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping
from factortopy.subjects import noise_ceiling_at

BRAIN_SCORE_AREAS = ("V1", "V2", "V4", "IT")
BRAIN_SCORE_LEAST = 0.3
"""Noise ceiling of 12 repeats (R^2) below which Brain-Score leaves voxels out."""
BRAIN_SCORE_REPEATS = 12
ROUNDING = 1e-6
"""Of ceilings kept in single precision: a voxel right at the limit stays in."""
BRAIN_SCORE_FORMULAS = {
    "r": "median over voxels of Pearson's r over test images, responses averaged over repeats",
    "r2_over_nc": "median over these voxels of r |r| / NC, NC the noise ceiling (R^2) of the test images' own repeats",
    "brain_score": "(median r)^2 / median sqrt(NC12), NC12 the noise ceiling of 12 repeats, whatever the images have",
}
BRAIN_SCORE_NOTE = (
    "voxels with NC12 of 30 % and more; a root of NC12 below 1 makes Brain-Score's number smaller than r^2 / NC. "
    "Brain-Score itself fits a ridge to features: here it is its number for what the mapping predicts"
)


def signed_share(r: Float[np.ndarray, "voxel"], ceiling: Float[np.ndarray, "voxel"]) -> Float[np.ndarray, "voxel"]:
    """Share of the explainable variance by the correlation, ``r |r| / ceiling``: negative where r is, never clipped."""
    return np.divide(r * np.abs(r), ceiling, out=np.full(np.shape(r), np.nan), where=ceiling > 0)


def image_set_scores(mappings: MappingType[str, Mapping], threshold: float = 0.05) -> pandas.DataFrame:
    """Scores of one mapping on several sets of images, side by side and never averaged over sets.

    Args:
        mappings: the mapping as scored on each set, by the name of the set; see ``score_images``.
        threshold: smallest ceiling of voxels whose score is divided by it.

    Returns:
        A row for each ROI and set: ``roi``, ``images``, ``voxels``; ``r2`` (mean raw R^2) with limits over images;
        ``r`` (mean); ``ceiling`` (mean); ``share``, mean of ``r |r| / ceiling`` where the
        ceiling reaches the threshold.

    Example:
        >>> list(ft.image_set_scores({"photographs": mapping, "again": mapping})["images"][:2])
        ['photographs', 'again']
    """
    regions = {**next(iter(mappings.values())).rois, ALL_VOXELS: None}
    return table_of(
        _image_set_row(name, mask, images, mapping, threshold)
        for name, mask in regions.items()
        for images, mapping in mappings.items()
    )


def _image_set_row(
    roi: str, mask: np.ndarray | None, images: str, mapping: Mapping, threshold: float
) -> dict[str, Any]:
    data = mapping.dataset
    r2, unknown = data["r2"].values, np.full(data.sizes["voxel"], np.nan)
    inside = np.ones(len(r2), dtype=bool) if mask is None else mask
    # Voxels that one recording lacks have no score there.
    inside = inside & np.isfinite(r2)
    r, ceiling = (data[name].values if name in data else unknown for name in ("r", "ceiling"))
    return {
        "roi": roi,
        "images": images,
        "voxels": int(inside.sum()),
        "r2": Estimate.of_draws(finite_mean(r2[inside]), drawn(mapping, "r2", roi)),
        "r": finite_mean(r[inside]),
        "ceiling": finite_mean(ceiling[inside]),
        "share": finite_mean(signed_share(r, ceiling)[inside & (ceiling >= threshold)]),
    }


def brain_score(r: Float[np.ndarray, "voxel"], ceiling_12: Float[np.ndarray, "voxel"]) -> float:
    """Brain-Score's number of one area and subject of LAION-fMRI, ``(median r)^2 / median sqrt(NC12)``.

    Source: brain-score/vision, benchmarks Zerbe2026_fmri. Its divisor is the ceiling of a correlation and its
    numerator a square, so it is smaller than the share of explainable variance, r^2 / NC12.

    Args:
        r: correlations with responses averaged over repeats, of voxels whose ceiling is 0.3 and more.
        ceiling_12: noise ceiling (R^2) of 12 repeats of the same voxels.

    Raises:
        ShapeError: if there is not one ceiling a voxel, or no voxel.

    Example:
        >>> round(ft.brain_score(r=np.array([0.2, 0.4, 0.6]), ceiling_12=np.array([0.36, 0.64, 0.81])), 3)
        0.2
    """
    if r.shape != ceiling_12.shape or r.ndim != 1 or not r.size:
        raise ShapeError(f"r {r.shape} and ceiling_12 {ceiling_12.shape} must both be (voxel,)")
    return float(np.median(r) ** 2 / np.median(np.sqrt(ceiling_12)))


def brain_scores(mappings: Sequence[Mapping]) -> pandas.DataFrame:
    """Scores of LAION-fMRI's protocols (tau, ood, cluster_k5): r, r^2 / NC and Brain-Score's number, by area.

    Args:
        mappings: of LAION-fMRI's subjects, fitted with its published splits to averaged responses.

    Returns:
        A row for each mapping and area, then the means over folds and subjects of each protocol: ``protocol``,
        ``pool`` (of the split), ``subject``, ``split``, ``area``, ``voxels``, ``left_out`` (below 30 %), ``r``,
        ``r2_over_nc``, ``brain_score``; formulas in ``BRAIN_SCORE_FORMULAS``. As in Brain-Score, a fold counts
        as much as another within a subject, and so does a subject.

    Raises:
        DataError: if a mapping is of other data, another split, single trials, or has no ceiling of 12 repeats or none
            of the areas.
    """
    rows = [row for mapping in mappings for row in _area_rows(mapping)]
    numbers = [*BRAIN_SCORE_FORMULAS]
    table = pandas.DataFrame(rows)
    by_fold = table.groupby(["protocol", "pool", "area", "subject", "split"], sort=False)[numbers].mean()
    by_subject = by_fold.groupby(level=["protocol", "pool", "area", "subject"], sort=False).mean()
    folds = by_fold.groupby(level=["protocol", "pool", "area"], sort=False).size()
    for (protocol, pool, area), group in by_subject.groupby(level=["protocol", "pool", "area"], sort=False):
        splits = folds[protocol, pool, area] / len(group)
        what = f"{len(group)} subject{'s' if len(group) > 1 else ''}" + (f", {splits:g} folds" if splits != 1 else "")
        mean = group.mean().to_dict()
        rows.append({"protocol": protocol, "pool": pool, "subject": f"mean of {what}", "area": area} | mean)
    return table_of(rows if len(mappings) > 1 else rows[: len(table)])


def _area_rows(mapping: Mapping) -> Iterable[dict[str, Any]]:
    data, source = mapping.dataset, mapping.provenance.get("split_source") or {}
    name, fitted = str(data.attrs.get("subject")), mapping.provenance.get("subject", {})
    fault = ""
    if fitted.get("kind") != "LAION-fMRI":
        fault = f"is of {name}, which is no subject of LAION-fMRI"
    elif "name" not in source:
        fault = "was not fitted with a published split; fit it with --split tau, ood or cluster_k5_0 to _4"
    elif "trials_test" in data.attrs:
        fault = "is of single trials; fit responses that are averaged over repeats"
    elif fitted.get("ceiling_repeats") != BRAIN_SCORE_REPEATS or "ceiling" not in data or "r" not in data:
        fault = "has no noise ceiling of 12 repeats; get the map Noiseceiling12rep and fit again"
    elif not set(BRAIN_SCORE_AREAS) & set(mapping.rois):
        fault = f"has none of the ROIs {', '.join(BRAIN_SCORE_AREAS)}; fit it to a subject that has them"
    if fault:
        raise DataError(f"these scores are of LAION-fMRI's protocols; the mapping of {name!r} {fault}")
    twelve = np.bincount([BRAIN_SCORE_REPEATS])[1:]
    r, ceiling = (data[variable].values.astype(np.float64) for variable in ("r", "ceiling"))
    at_twelve = noise_ceiling_at(ceiling, np.asarray(data.attrs["repeats_test"]), twelve)
    protocol, _, fold = source["name"].rpartition("_")
    pool = "shared" if source["pool"] == "shared" else "each subject's"
    for area in BRAIN_SCORE_AREAS:
        if area not in mapping.rois:
            continue
        inside = mapping.rois[area] & np.isfinite(r)
        kept = inside & (at_twelve >= BRAIN_SCORE_LEAST - ROUNDING)
        yield {
            "protocol": protocol if fold.isdigit() else source["name"],
            "pool": pool,
            "subject": name,
            "split": source["name"],
            "area": area,
            "voxels": int(kept.sum()),
            "left_out": int(inside.sum() - kept.sum()),
            "r": float(np.median(r[kept])) if kept.any() else np.nan,
            "r2_over_nc": float(np.median(signed_share(r[kept], ceiling[kept]))) if kept.any() else np.nan,
            "brain_score": brain_score(r[kept], at_twelve[kept]) if kept.any() else np.nan,
        }
