"""What a change of a network's weights, such as fine-tuning, did to its mapping: before against after."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from factortopy.analysis.comparing.comparison import Comparison, compare, voxel_values
from factortopy.analysis.estimates.bootstrap import CONFIDENCE, percentiles
from factortopy.analysis.estimates.limits import Limited, limited, limited_difference
from factortopy.analysis.hierarchy.slope import hierarchy_slope, layer_position
from factortopy.errors import DataError, FactortopyError
from factortopy.mapping import Mapping
from factortopy.storage import write_text

BEFORE, AFTER = "before", "after"
FORGETTING = "1 - mean R² after / mean R² before; 0: nothing is lost, 1: all, negative: gained"
SOURCES = {"share": "layer_share", "selector": "layer"}
LINE = ("slope", "b0", "b1")


@dataclass(frozen=True)
class ChangeRow:
    """What changed in one ROI; limits are over the same draws of test images for both mappings.

    Attributes:
        roi: the ROI, or ``"all voxels"``.
        voxels: how many it has.
        r2_before, r2_after: mean raw R^2.
        r2_change, r2_change_low, r2_change_high: after less before; the paper's table 3 is its negative.
        forgetting, forgetting_low, forgetting_high: catastrophic-forgetting index,
            ``1 - mean R^2 after / mean R^2 before``; None where R^2 before is not above 0 beyond doubt.
        depth_before, depth_after: mean layer position in 0..1 by layer share.
        depth_change, depth_change_low, depth_change_high: after less before.
        selector_depth_change: the same by the layer selector, which no draw of test images changes.
        depth_moved: mean over voxels of the size of the change of depth by share, whatever its direction.
        layer_changed: part of the voxels whose layer of largest share is another one.
        limits: what limits are over: ``"test images"`` or ``"none"``.
    """

    roi: str
    voxels: int
    r2_before: float | None
    r2_after: float | None
    r2_change: float | None
    r2_change_low: float | None
    r2_change_high: float | None
    forgetting: float | None
    forgetting_low: float | None
    forgetting_high: float | None
    depth_before: float | None
    depth_after: float | None
    depth_change: float | None
    depth_change_low: float | None
    depth_change_high: float | None
    selector_depth_change: float | None
    depth_moved: float | None
    layer_changed: float | None
    limits: str


@dataclass(frozen=True)
class LineChange:
    """How a number of the hierarchy line changed.

    Attributes:
        quantity: ``"slope"``, ``"b0"`` or ``"b1"``.
        source: ``"share"`` or ``"selector"``.
        before, after: the number.
        change, change_low, change_high: after less before; limits by share only.
    """

    quantity: str
    source: str
    before: float
    after: float
    change: float
    change_low: float | None
    change_high: float | None


@dataclass(frozen=True, eq=False)
class Change:
    """Two mappings of one network's architecture onto the same voxels.

    Attributes:
        comparison: the mappings, labelled ``"before"`` and ``"after"``.
        rows: by ROI, then of all voxels.
        lines: of the hierarchy line; empty where the ROIs allow none.
    """

    comparison: Comparison
    rows: tuple[ChangeRow, ...]
    lines: tuple[LineChange, ...]

    @property
    def mappings(self) -> tuple[Mapping, Mapping]:
        """Before and after."""
        before, after = self.comparison.mappings
        return before, after

    @property
    def forgetting(self) -> float | None:
        """Catastrophic-forgetting index over all voxels."""
        return self.rows[-1].forgetting

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
            "forgetting": self.forgetting,
            "confidence": CONFIDENCE,
            "rois": [asdict(row) for row in self.rows],
            "hierarchy": [asdict(line) for line in self.lines],
        }

    def save(self, folder: str | PathLike[str]) -> list[Path]:
        """Write ``change.csv`` (by ROI), ``voxels.csv`` and ``change.json`` to a folder; returns their paths.

        Raises:
            DataError: if they cannot be written.
        """
        folder = Path(folder)
        names = [item.name for item in fields(ChangeRow)]
        rows = [[getattr(row, name) for name in names] for row in self.rows]
        data = self.mappings[0].dataset
        columns = {name: data[name].values for name in ("hemisphere", "vertex") if name in data.coords}
        columns |= {
            f"{name}_change": self.values(name).astype(np.float32)
            for name in ("r2", "depth", "selector_depth", "scale")
        }
        return [
            write_text(folder / "change.csv", _table(names, rows)),
            write_text(folder / "voxels.csv", _table(list(columns), list(zip(*columns.values(), strict=True)))),
            write_text(folder / "change.json", json.dumps(self.to_dict(), indent=1) + "\n"),
        ]


def change(before: Mapping, after: Mapping) -> Change:
    """What changed from one mapping to another of the same architecture, subject and split.

    Args:
        before: of the network as it was.
        after: of the network with other weights, e.g. fine-tuned.

    Raises:
        DataError: if they differ in subject, responses, split, noise ceiling, voxels, layers or global token.
    """
    for name, left, right in (
        ("layers", before.layers, after.layers),
        ("global token", *(held.dataset.attrs.get("global_token") for held in (before, after))),
    ):
        if left != right:
            raise DataError(
                f"before and after differ in {name} ({_short(left)} and {_short(right)}); give mappings of "
                "one network before and after its weights changed (for other networks: factortopy compare)"
            )
    comparison = compare([before, after], (BEFORE, AFTER))
    rows = tuple(_row(before, after, roi, inside) for roi, inside in comparison.regions.items())
    return Change(comparison, rows, tuple(_lines(before, after)))


def forgetting_index(before: Mapping, after: Mapping, region: str) -> Limited:
    """Catastrophic-forgetting index of a region, ``F = 1 - mean R^2 after / mean R^2 before``.

    Its limits are percentiles of the same ratio in draws of test images, drawn in pairs. There is no index
    where the network did not predict the region before: R^2, or its lower limit where known, not above 0.

    Args:
        before: of the network as it was.
        after: of the network with other weights.
        region: an ROI, or ``"all voxels"``.
    """
    old, new = (limited(mapping, "r2", region) for mapping in (before, after))
    if old.value is None or new.value is None or min(old.value, old.low or old.value) <= 0:
        return Limited(None)
    value = 1 - new.value / old.value
    drawn = [_drawn(mapping, region) for mapping in (before, after)]
    if drawn[0] is None or drawn[1] is None or drawn[0].shape != drawn[1].shape:
        return Limited(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 1 - drawn[1] / drawn[0]
    low, high = percentiles(ratio[drawn[0] > 0], CONFIDENCE)
    return Limited(value, float(low), float(high), old.over)


def _row(before: Mapping, after: Mapping, roi: str, inside: Bool[np.ndarray, "voxel"]) -> ChangeRow:
    r2, depth = (limited_difference(after, before, name, roi) for name in ("r2", "depth"))
    r2_before, r2_after, depth_before, depth_after = (
        limited(mapping, name, roi).value for name in ("r2", "depth") for mapping in (before, after)
    )
    forgetting = forgetting_index(before, after, roi)
    selector, share = ((_voxels(after, name) - _voxels(before, name))[inside] for name in ("selector_depth", "depth"))
    return ChangeRow(
        roi=roi,
        voxels=int(inside.sum()),
        r2_before=r2_before,
        r2_after=r2_after,
        r2_change=r2.value,
        r2_change_low=r2.low,
        r2_change_high=r2.high,
        forgetting=forgetting.value,
        forgetting_low=forgetting.low,
        forgetting_high=forgetting.high,
        depth_before=depth_before,
        depth_after=depth_after,
        depth_change=depth.value,
        depth_change_low=depth.low,
        depth_change_high=depth.high,
        selector_depth_change=_mean(selector),
        depth_moved=_mean(np.abs(share)),
        layer_changed=_layer_changed(before, after, inside),
        limits=r2.over,
    )


def _lines(before: Mapping, after: Mapping) -> list[LineChange]:
    found = []
    for source, variable in SOURCES.items():
        try:
            old, new = (hierarchy_slope(mapping, variable) for mapping in (before, after))
        except FactortopyError:
            continue  # the subject's ROIs allow no line
        for name in LINE:
            limits = limited_difference(after, before, name) if source == "share" else Limited(None)
            left, right = getattr(old, name), getattr(new, name)
            found.append(LineChange(name, source, left, right, right - left, limits.low, limits.high))
    return found


def _voxels(mapping: Mapping, quantity: str) -> Float[np.ndarray, "voxel"]:
    if quantity != "selector_depth":
        return voxel_values(mapping, quantity)
    return layer_position(mapping.dataset["layer"].values.astype(np.float64))


def _layer_changed(before: Mapping, after: Mapping, inside: Bool[np.ndarray, "voxel"]) -> float | None:
    shares = [mapping.dataset["layer_share"].values[inside] for mapping in (before, after)]
    known = np.isfinite(shares).all(axis=(0, 2))
    return _mean(shares[0][known].argmax(axis=1) != shares[1][known].argmax(axis=1))


def _drawn(mapping: Mapping, region: str) -> Float[np.ndarray, "draw"] | None:
    if "drawn_r2" not in mapping.dataset:
        return None
    names = [str(name) for name in mapping.dataset["region"].values]
    return np.asarray(mapping.dataset["drawn_r2"].values[:, names.index(region)], dtype=float)


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()


def _short(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return f"{len(value)} from {value[0]} to {value[-1]}"
