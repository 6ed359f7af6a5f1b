"""The comparison: scores of every method by ROI, with intervals, as a table, CSV and JSON."""

import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas
import xarray as xr

from factortopy.analysis import Estimate, finite_mean, normalised, records_of, table_of
from factortopy.baselines.methods import METHODS, REFERENCE
from factortopy.storage import write_table, write_text


@dataclass(frozen=True, eq=False)
class BaselineScores:
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

    def table(self) -> pandas.DataFrame:
        """Score of each method in each ROI, method by method.

        Returns:
            Columns ``method``, ``label`` (its name in figures), ``family`` (linear baseline, FactorTopy, ablation or
            control), ``roi``, ``voxels``; ``r2``, the mean over voxels of raw R^2 on the test images, and
            ``difference``, that from FactorTopy's R^2 in pairs, with ``_low`` and ``_high`` over draws of test
            images; ``ceiling``, mean noise ceiling; ``normalised``, mean of R^2 over ceiling, voxels of ceiling
            below 0.05 left out. NaN what is not known.
        """
        return table_of(self._row(method, roi) for roi in self.rois for method in self.methods)

    def save(self, folder: str | PathLike[str]) -> tuple[Path, Path]:
        """Write ``baselines.csv`` and ``baselines.json`` to a folder; returns their paths.

        Raises:
            DataError: if they cannot be written.
        """
        return (
            write_table(Path(folder) / "baselines.csv", self.table()),
            write_text(Path(folder) / "baselines.json", json.dumps(self.to_dict(), indent=1) + "\n"),
        )

    def to_dict(self) -> dict[str, Any]:
        """What was compared, and the table; JSON-ready."""
        return {**self.dataset.attrs, "rows": records_of(self.table())}

    def _row(self, method: str, roi: str) -> dict[str, object]:
        inside = self.dataset["member"].sel(roi=roi).values
        # By a dictionary, as ``sel(method=...)`` would mean a method of interpolation.
        r2 = self.dataset["r2"].sel({"method": method}).values[inside]
        draws = self.dataset["resampled"].sel({"roi": roi, "method": method}).values
        row: dict[str, object] = {
            "method": method,
            "label": METHODS[method].label,
            "family": METHODS[method].family,
            "roi": roi,
            "voxels": int(inside.sum()),
            "r2": Estimate.of_draws(finite_mean(r2), draws),
            "ceiling": math.nan,
            "normalised": math.nan,
            "difference": Estimate(),
        }
        if "ceiling" in self.dataset:
            ceiling = self.dataset["ceiling"].values[inside]
            row |= {"ceiling": finite_mean(ceiling), "normalised": finite_mean(normalised(r2, ceiling).values)}
        if REFERENCE in self.methods and method != REFERENCE:
            reference = self.dataset["r2"].sel({"method": REFERENCE}).values[inside]
            redrawn = self.dataset["resampled"].sel({"roi": roi, "method": REFERENCE}).values
            row["difference"] = Estimate.of_draws(finite_mean(r2 - reference), draws - redrawn)
        return row
