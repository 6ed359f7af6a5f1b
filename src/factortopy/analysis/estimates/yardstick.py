"""A fit held against a plain ridge and against the training mean, and what is to be said of it in words."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas
from jaxtyping import Bool, Float

from factortopy.analysis.estimates._of_mapping import drawn, estimate
from factortopy.analysis.estimates.estimate_tables import Estimate, table_of
from factortopy.analysis.quantities import finite_mean, regions_of
from factortopy.cortex import ALL_VOXELS
from factortopy.mapping import Mapping


def yardstick_table(mapping: Mapping) -> pandas.DataFrame:
    """A fit beside a ridge regression on all layers and the training mean, by ROI and over all voxels.

    Args:
        mapping: of a fit.

    Returns:
        Columns ``roi``; ``voxels``, how many the ridge was fitted to; over these, means of held-out R^2: ``r2`` of the
        fit, ``ridge`` and ``margin``, the fit less the ridge, with ``_low`` and ``_high`` over test images, drawn in
        pairs; ``training_mean``, R^2 of predicting the mean response, over all voxels of the ROI. NaN what was not
        measured.

    Example:
        >>> row = ft.analysis.yardstick_table(mapping).iloc[-1]
        >>> row["roi"], bool(row["training_mean"] < 0)
        ('all voxels', True)
    """
    return table_of(_row(mapping, roi) for roi in regions_of(mapping))


def nothing_found(mapping: Mapping) -> bool:
    """Whether mean held-out R^2 is not above 0: its lower limit, or itself where there are no limits."""
    r2 = estimate(mapping, "r2")
    return r2.known and (r2.low if r2.limited else r2.value) <= 0


def above_chance(mapping: Mapping) -> Bool[np.ndarray, "voxel"]:
    """Voxels that are predicted at all: the lower limit of their held-out R^2 is above 0, or itself without limits.

    The rule of :func:`nothing_found`, voxel by voxel.
    """
    data = mapping.dataset
    return predicted_at_all(data["r2"].values, data["r2_low"].values if "r2_low" in data else None)


def predicted_at_all(
    r2: Float[np.ndarray, "voxel"], low: Float[np.ndarray, "voxel"] | None
) -> Bool[np.ndarray, "voxel"]:
    """As :func:`above_chance`, of R^2 and its lower limits."""
    return np.asarray((r2 > 0) & ((r2 if low is None else low) > 0))


def region_errors(
    observed: Float[np.ndarray, "row voxel"],
    predicted: Float[np.ndarray, "row voxel"],
    used: Bool[np.ndarray, "voxel"],
    regions: Iterable[Bool[np.ndarray, "voxel"]],
) -> Float[np.ndarray, "region"]:
    """Root mean square error, over held-out rows, of the mean response of the voxels of each region that are used.

    NaN where a region has none.
    """
    errors = [
        np.sqrt(np.square((observed[:, chosen] - predicted[:, chosen]).mean(axis=1)).mean()) if chosen.any() else np.nan
        for chosen in (used & inside for inside in regions)
    ]
    return np.array(errors, dtype=np.float32)


def findings(mapping: Mapping) -> list[str]:
    """A line each: that nothing was found, that a ridge predicts better by more than its limits, or was not fitted."""
    lines = [] if not nothing_found(mapping) else [_nothing(mapping)]
    better = _where_ridge_wins(mapping)
    if better:
        lines.append(better)
    reason = mapping.dataset.attrs.get("ridge")
    return lines if reason is None else [*lines, f"The ridge was not fitted: {reason}"]


def _row(mapping: Mapping, roi: str) -> dict[str, Any]:
    inside, data = regions_of(mapping)[roi], mapping.dataset

    def values(name: str) -> np.ndarray:
        return data[name].values[inside] if name in data else np.full(inside.sum(), math.nan)

    ridge = values("ridge_r2")
    own = np.where(np.isfinite(ridge), values("r2"), math.nan)
    of_ridge, of_margin = drawn(mapping, "ridge", roi), drawn(mapping, "margin", roi)
    return {
        "roi": roi,
        "voxels": int(np.isfinite(own).sum()),
        "r2": Estimate.of_draws(finite_mean(own), None if of_ridge is None else of_ridge + of_margin),
        "ridge": Estimate.of_draws(finite_mean(ridge), of_ridge),
        "margin": Estimate.of_draws(finite_mean(own - ridge), of_margin),
        "training_mean": finite_mean(values("mean_r2")),
    }


def _nothing(mapping: Mapping) -> str:
    mean = _row(mapping, ALL_VOXELS)["training_mean"]
    beside = f"; the training mean has {mean:.3f}" if math.isfinite(mean) else ""
    return (
        f"Nothing was found: held-out R² {estimate(mapping, 'r2').text()} is not above 0{beside}. Maps are drawn faded."
    )


def _where_ridge_wins(mapping: Mapping) -> str | None:
    """The regions where even the upper limit of the margin is below 0, all voxels first."""
    rows = {str(row["roi"]): row for row in yardstick_table(mapping).to_dict("records")}
    worse = {roi: Estimate.in_row(row, "margin") for roi, row in rows.items()}
    worse = {roi: margin for roi, margin in worse.items() if margin.limited and margin.high < 0}
    if not worse:
        return None
    margin = worse.pop(ALL_VOXELS, None)
    where = ", ".join(f"{roi} ({by.text(sign=True)})" for roi, by in worse.items())
    if margin is None:
        return f"A ridge regression on all layers predicts better than this fit in {where}."
    row = rows[ALL_VOXELS]
    also = f"; by ROI: {where}" if where else ""
    return (
        f"A ridge regression on all layers predicts better than this fit: R² {row['ridge']:.3f} to {row['r2']:.3f} on "
        f"the same {row['voxels']:,} voxels, {margin.text(sign=True)}{also}."
    )
