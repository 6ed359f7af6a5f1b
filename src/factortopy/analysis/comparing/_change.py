"""What a change of a network's weights, such as fine-tuning, did to its mapping: before against after."""

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from jaxtyping import Bool, Float

from factortopy.analysis.comparing.comparison import Comparison, compare
from factortopy.analysis.estimates._of_mapping import drawn, estimate, paired_difference
from factortopy.analysis.estimates.estimate_tables import CONFIDENCE, Estimate, records_of, table_of
from factortopy.analysis.quantities import finite_mean, voxel_values
from factortopy.analysis.slope import LINE, hierarchy_slope, layer_position
from factortopy.errors import DataError, FactortopyError
from factortopy.mapping import Mapping
from factortopy.storage import write_table, write_text

BEFORE, AFTER = "before", "after"
FORGETTING = "1 - mean R² after / mean R² before; 0: nothing is lost, 1: all, negative: gained"
SOURCES = {"share": "layer_share", "selector": "layer"}


@dataclass(frozen=True, eq=False)
class Change:
    """Two mappings of one network's architecture onto the same voxels.

    Attributes:
        comparison: the mappings, labelled ``"before"`` and ``"after"``.
        regions: a row an ROI, the last of all voxels, with columns ``roi``, ``voxels``; ``r2_before``, ``r2_after``
            (mean raw R^2); ``depth_before``, ``depth_after`` (mean layer position in 0..1 by share); with ``_low``
            and ``_high`` over the same draws of test images for both, ``r2_change``, ``depth_change`` (after less
            before; the paper's table 3 is the negative) and ``forgetting`` (:func:`forgetting_index`);
            ``selector_depth_change``, by the layer selector, which no draw changes; ``depth_moved``, mean size of
            the change of depth, whatever its direction; ``layer_changed``, part of the voxels whose layer of
            largest share is another one; ``limits``, what limits are over.
        lines: a row a number of the hierarchy line, with columns ``quantity`` (``"slope"``, ``"b0"``, ``"b1"``),
            ``source`` (``"share"``, ``"selector"``), ``before``, ``after``, and ``change`` with limits by share
            only; empty where the ROIs allow no line.
    """

    comparison: Comparison
    regions: pandas.DataFrame
    lines: pandas.DataFrame

    @property
    def mappings(self) -> tuple[Mapping, Mapping]:
        """Before and after."""
        before, after = self.comparison.mappings
        return before, after

    @property
    def forgetting(self) -> Estimate:
        """Catastrophic-forgetting index over all voxels."""
        return Estimate.in_row(self.regions.iloc[-1], "forgetting")

    def values(self, quantity: str) -> Float[np.ndarray, "voxel"]:
        """Change of a quantity in every voxel, after less before.

        Args:
            quantity: as :func:`factortopy.analysis.voxel_values` takes it (``"r2"``, ``"depth"`` by share,
                ``"scale"``), or ``"selector_depth"``.
        """
        before, after = (_voxels(mapping, quantity) for mapping in self.mappings)
        return after - before

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: what was compared, by ROI, and the hierarchy line."""
        before, after = self.mappings
        return {
            "before": before.dataset.attrs.get("network"),
            "after": after.dataset.attrs.get("network"),
            "subject": before.dataset.attrs.get("subject"),
            "simulated": self.comparison.simulated,
            "forgetting_index": FORGETTING,
            "forgetting": self.forgetting.value if self.forgetting.known else None,
            "confidence": CONFIDENCE,
            "rois": records_of(self.regions),
            "hierarchy": records_of(self.lines),
        }

    def save(self, folder: str | PathLike[str]) -> list[Path]:
        """Write ``change.csv`` (by ROI), ``voxels.csv`` and ``change.json`` to a folder; returns their paths.

        Raises:
            DataError: if they cannot be written.
        """
        folder, data = Path(folder), self.mappings[0].dataset
        columns = {name: data[name].values for name in ("hemisphere", "vertex") if name in data.coords}
        columns |= {
            f"{name}_change": self.values(name).astype(np.float32)
            for name in ("r2", "depth", "selector_depth", "scale")
        }
        return [
            write_table(folder / "change.csv", self.regions),
            write_table(folder / "voxels.csv", pandas.DataFrame(columns)),
            write_text(folder / "change.json", json.dumps(self.to_dict(), indent=1) + "\n"),
        ]


def change(before: Mapping, after: Mapping) -> Change:
    """What changed from one mapping to another of the same architecture, subject and split.

    Args:
        before: of the network as it was.
        after: of the network with other weights, e.g. fine-tuned.

    Raises:
        DataError: if they differ in subject, responses, split, noise ceiling, voxels, layers or global token.

    Example:
        >>> difference = ft.change(mapping, mapping)
        >>> float(difference.regions["r2_change"].abs().max())
        0.0
    """
    for name, left, right in (
        ("layers", before.layers, after.layers),
        ("global token", *(mapping.dataset.attrs.get("global_token") for mapping in (before, after))),
    ):
        if left != right:
            raise DataError(
                f"before and after differ in {name} ({_short(left)} and {_short(right)}); give mappings of "
                "one network before and after its weights changed (for other networks: factortopy compare)"
            )
    comparison = compare([before, after], (BEFORE, AFTER))
    regions = table_of(_row(before, after, roi, inside) for roi, inside in comparison.regions.items())
    return Change(comparison, regions, table_of(_lines(before, after)))


def forgetting_index(before: Mapping, after: Mapping, region: str) -> Estimate:
    """Catastrophic-forgetting index of a region, ``F = 1 - mean R^2 after / mean R^2 before``.

    Its limits are percentiles of the same ratio in draws of test images, drawn in pairs. There is no index
    where the network did not predict the region before: R^2, or its lower limit where known, not above 0.

    Args:
        before: of the network as it was.
        after: of the network with other weights.
        region: an ROI, or ``"all voxels"``.
    """
    old, new = (estimate(mapping, "r2", region) for mapping in (before, after))
    if not (old.known and new.known) or min(old.value, old.low if old.limited else old.value) <= 0:
        return Estimate()
    value = 1 - new.value / old.value
    draws = [drawn(mapping, "r2", region) for mapping in (before, after)]
    if draws[0] is None or draws[1] is None or draws[0].shape != draws[1].shape:
        return Estimate(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 1 - draws[1] / draws[0]
    return Estimate.of_draws(value, ratio[draws[0] > 0], over=old.over)


def _row(before: Mapping, after: Mapping, roi: str, inside: Bool[np.ndarray, "voxel"]) -> dict[str, object]:
    r2 = paired_difference(after, before, "r2", roi)
    selector, share = ((_voxels(after, name) - _voxels(before, name))[inside] for name in ("selector_depth", "depth"))
    return {
        "roi": roi,
        "voxels": int(inside.sum()),
        "r2_before": estimate(before, "r2", roi).value,
        "r2_after": estimate(after, "r2", roi).value,
        "r2_change": r2,
        "forgetting": forgetting_index(before, after, roi),
        "depth_before": estimate(before, "depth", roi).value,
        "depth_after": estimate(after, "depth", roi).value,
        "depth_change": paired_difference(after, before, "depth", roi),
        "selector_depth_change": finite_mean(selector),
        "depth_moved": finite_mean(np.abs(share)),
        "layer_changed": _layer_changed(before, after, inside),
        "limits": r2.over or "none",
    }


def _lines(before: Mapping, after: Mapping) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for source, variable in SOURCES.items():
        try:
            old, new = (hierarchy_slope(mapping, variable) for mapping in (before, after))
        except FactortopyError:
            continue  # the subject's ROIs allow no line
        for name in LINE:
            left, right = getattr(old, name), getattr(new, name)
            change = paired_difference(after, before, name) if source == "share" else Estimate(right - left)
            rows.append({"quantity": name, "source": source, "before": left, "after": right, "change": change})
    return rows


def _voxels(mapping: Mapping, quantity: str) -> Float[np.ndarray, "voxel"]:
    if quantity != "selector_depth":
        return voxel_values(mapping, quantity)
    return layer_position(mapping.found("layer").astype(np.float64))


def _layer_changed(before: Mapping, after: Mapping, inside: Bool[np.ndarray, "voxel"]) -> float:
    shares = [mapping.found("layer_share")[inside] for mapping in (before, after)]
    finite = np.isfinite(shares).all(axis=(0, 2))
    return finite_mean(shares[0][finite].argmax(axis=1) != shares[1][finite].argmax(axis=1))


def _short(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return f"{len(value)} from {value[0]} to {value[-1]}"
