"""Tables of a report: rows of text, ready to be printed."""

import math
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import asdict
from typing import Any

import numpy as np

from factortopy.analysis import (
    ALL_VOXELS,
    Estimate,
    Recovery,
    estimate,
    finite_mean,
    hierarchy_slope,
    layer_position,
)
from factortopy.errors import FactortopyError
from factortopy.mapping import Mapping, facts

Row = dict[str, str]
FACTS = ("network", "subject", "recipe", "split", "seed", "images", "repeats")
EVERYTHING = "all vertices"
LONGEST = 160
"""Longest value printed in full, characters."""


def text(value: Any) -> str:
    """A value as it is printed: three decimals for fractions, a dash for what is missing."""
    if isinstance(value, Estimate):
        return value.text()
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}"
    if value is None:
        return "–"
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    small_or_large = math.isfinite(number) and number != 0 and not 1e-3 <= abs(number) < 1e4
    return f"{number:.3g}" if small_or_large else Estimate(number).text()


def headline(mapping: Mapping) -> Row:
    """What was fitted, and the key numbers of a mapping with their limits."""
    known = facts(mapping.dataset)
    numbers: dict[str, Any] = {
        **{name.capitalize(): known[name] for name in FACTS},
        "Vertices": int(mapping.dataset.sizes["voxel"]),
        "Mean R²": estimate(mapping, "r2"),
        "Mean noise ceiling": estimate(mapping, "ceiling").value,
        "R² / ceiling": estimate(mapping, "normalised"),
        "Hierarchy slope (share)": _slope(mapping, "layer_share"),
        "Hierarchy slope (selector)": _slope(mapping, "layer"),
    }
    return {name: text(value) for name, value in numbers.items()}


def roi_rows(mapping: Mapping) -> list[Row]:
    """One row for each ROI and one for all vertices: scores, depth by share and by selector, scale."""
    everything = np.ones(mapping.dataset.sizes["voxel"], dtype=bool)
    regions = {**mapping.rois, EVERYTHING: everything}
    return [_roi_row(mapping, name, inside) for name, inside in regions.items()]


def recovery_rows(found: Recovery) -> list[Row]:
    """What was found against what was planted in a simulated subject."""
    values = asdict(found)
    lines = [
        ("Hierarchy slope (layer share)", "slope_found", "slope_planted", None),
        ("Hierarchy slope (selector)", "slope_selector", "slope_planted", None),
        ("b0, layer position at level 0", "b0_found", "b0_planted", None),
        ("b1, layer position at level 1", "b1_found", "b1_planted", None),
        ("Depth (layer share)", None, None, "depth_r"),
        ("Space, x", None, None, "space_x_r"),
        ("Space, y", None, None, "space_y_r"),
        ("Scale (scale share)", None, None, "scale_r"),
    ]
    columns = ("Found", "Planted", "Correlation over vertices")
    return [
        {
            "Quantity": name,
            **{column: text(values[key] if key else None) for column, key in zip(columns, keys, strict=True)},
        }
        for name, *keys in lines
    ]


def flat_rows(facts: MappingType[str, Any]) -> list[Row]:
    """Nested settings or provenance as rows of dotted names and values; long lists are cut and say so."""
    return [{"Name": name, "Value": _shortened(value)} for name, value in _flatten(facts)]


def _flatten(facts: MappingType[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, MappingType):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shortened(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        # Settings are shown as they are, without rounding.
        shown = ", ".join(str(item) for item in value)
        return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} … ({len(value)} in all)"
    return str(value)


def _roi_row(mapping: Mapping, name: str, inside: np.ndarray) -> Row:
    region = ALL_VOXELS if name == EVERYTHING else name
    numbers: dict[str, Any] = {
        "ROI": name,
        "Vertices": int(inside.sum()),
        "Mean R²": estimate(mapping, "r2", region),
        "Noise ceiling": _mean(mapping, "ceiling", inside),
        "R² / ceiling": estimate(mapping, "normalised", region),
        "Depth (share)": estimate(mapping, "depth", region),
        "Depth (selector)": finite_mean(layer_position(mapping.dataset["layer"].values)[inside]),
        "Scale (share)": estimate(mapping, "scale", region),
        "Scale (selector)": _mean(mapping, "scale", inside),
    }
    return {column: text(value) for column, value in numbers.items()}


def _mean(mapping: Mapping, variable: str, inside: np.ndarray) -> float:
    return finite_mean(mapping.dataset[variable].values[inside]) if variable in mapping.dataset else np.nan


def _slope(mapping: Mapping, source: str) -> str | None:
    try:
        line = hierarchy_slope(mapping, source)
    except FactortopyError:
        # A subject without the paper's ROIs has no slope; the table shows a dash.
        return None
    if source != "layer_share":
        return f"{line.slope:.3f}, b0 {line.b0:.3f}, b1 {line.b1:.3f}"
    slope, b0, b1 = (estimate(mapping, name).text() for name in ("slope", "b0", "b1"))
    return f"{slope}, b0 {b0}, b1 {b1}"
