"""The comparison: scores of every method by ROI, with intervals, as a table, CSV and JSON."""

import csv
import io
import json
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from factortopy.analysis import normalised
from factortopy.baselines.methods import METHODS, REFERENCE
from factortopy.storage import write_text

LEVEL = 95
"""Per cent of the bootstrap resamples inside an interval."""


@dataclass(frozen=True)
class Row:
    """Score of one method in one ROI.

    Attributes:
        method: its name.
        label: its name in figures.
        family: linear baseline, FactorTopy, ablation or control.
        roi: name of the ROI, or all voxels.
        voxels: how many it has.
        r2: mean over voxels of raw R^2 on the test images.
        r2_low, r2_high: 95 % interval over draws of test images; None if no response varies.
        ceiling: mean noise ceiling; None if not known.
        normalised: mean of R^2 over ceiling, voxels of ceiling below 0.05 left out; None if there are none.
        difference: from FactorTopy's R^2; None if FactorTopy was not fitted.
        difference_low, difference_high: 95 % interval over the same draws, paired.
    """

    method: str
    label: str
    family: str
    roi: str
    voxels: int
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    ceiling: float | None
    normalised: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Methods at equal budget on one subject.

    Attributes:
        dataset: ``r2`` (method, voxel); ``resampled`` (method, resample, roi); ``member`` (roi, voxel);
            ``ceiling`` (voxel) where known; attributes say what was compared and how.
    """

    dataset: xr.Dataset

    @property
    def simulated(self) -> bool:
        """Whether the responses were simulated."""
        return bool(self.dataset.attrs["simulated"])

    @property
    def methods(self) -> list[str]:
        """Names of the methods that were fitted."""
        return [str(name) for name in self.dataset["method"].values]

    @property
    def rois(self) -> list[str]:
        """Names of the ROIs; the last one is all voxels."""
        return [str(name) for name in self.dataset["roi"].values]

    def rows(self) -> list[Row]:
        """The table, method by method in each ROI."""
        return [self._row(method, roi) for roi in self.rois for method in self.methods]

    def save(self, folder: str | PathLike[str]) -> tuple[Path, Path]:
        """Write ``baselines.csv`` and ``baselines.json`` to a folder; returns their paths.

        Raises:
            DataError: if they cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [item.name for item in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows())
        content = json.dumps(self.to_dict(), indent=1)
        return (
            write_text(Path(folder) / "baselines.csv", text.getvalue()),
            write_text(Path(folder) / "baselines.json", content + "\n"),
        )

    def to_dict(self) -> dict[str, Any]:
        """What was compared, and the table; JSON-ready."""
        return {**self.dataset.attrs, "rows": [asdict(row) for row in self.rows()]}

    def _row(self, method: str, roi: str) -> Row:
        # By a dictionary, as ``sel(method=...)`` would mean a method of interpolation.
        inside = self.dataset["member"].sel(roi=roi).values
        r2 = self.dataset["r2"].sel({"method": method}).values[inside]
        resampled = self.dataset["resampled"].sel(roi=roi)
        low, high = _interval(resampled.sel({"method": method}).values)
        ceiling = against = difference = None
        if "ceiling" in self.dataset:
            limits = self.dataset["ceiling"].values[inside]
            ceiling, against = _mean(limits), _mean(normalised(r2, limits).values)
        bounds: tuple[float | None, float | None] = (None, None)
        if REFERENCE in self.methods and method != REFERENCE:
            reference = self.dataset["r2"].sel({"method": REFERENCE}).values[inside]
            difference = _mean(r2 - reference)
            paired = resampled.sel({"method": method}) - resampled.sel({"method": REFERENCE})
            bounds = _interval(paired.values)
        return Row(
            method=method,
            label=METHODS[method].label,
            family=METHODS[method].family,
            roi=roi,
            voxels=int(inside.sum()),
            r2=_mean(r2),
            r2_low=low,
            r2_high=high,
            ceiling=ceiling,
            normalised=against,
            difference=difference,
            difference_low=bounds[0],
            difference_high=bounds[1],
        )


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def _interval(values: np.ndarray) -> tuple[float | None, float | None]:
    if not np.isfinite(values).all():
        return None, None
    low, high = np.percentile(values, (50 - LEVEL / 2, 50 + LEVEL / 2))
    return float(low), float(high)
