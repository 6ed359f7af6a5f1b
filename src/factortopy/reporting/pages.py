"""What pages are made of: templates, figures as data, captions, and rows of text; they need no other file."""

import base64
import math
import tomllib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.analysis import (
    OVER_IMAGES,
    OVER_TRAINING,
    Estimate,
    Recovery,
    estimate,
    finite_mean,
    hierarchy_slope,
    image_set_table,
    layer_position,
    limits_over,
    text_in_row,
    yardstick_table,
)
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import FactortopyError
from factortopy.mapping import Mapping, facts, patches_fact
from factortopy.plot import alt_text, to_png
from factortopy.provenance import package_versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Row = dict[str, str]
FACTS = ("network", "subject", "recipe", "split", "seed", "images", "scores_of", "assumption", "penalty", "limits")
LONGEST = 160
"""Longest value printed in full, characters."""


def render(template: str, **content: Any) -> str:
    """A page from a template of this package, with the version that wrote it; text is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("factortopy.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    version = package_versions(("factortopy",)).get("factortopy", "development")
    return environment.get_template(template).render(version=version, **content)


def captions() -> dict[str, dict[str, str]]:
    """How to read each figure, by its name: ``title`` and ``caption``."""
    source = files("factortopy.reporting").joinpath("templates/captions.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def inlined(figure: "Figure", dpi: int, caption: str, title: str = "") -> dict[str, str]:
    """A figure as templates take it, at a resolution, with its caption."""
    source = f"data:image/png;base64,{base64.b64encode(to_png(figure, dpi)).decode()}"
    return {"title": title, "caption": caption, "alt": alt_text(figure), "source": source}


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
    about = facts(mapping.dataset)
    numbers: dict[str, Any] = {
        **{name.replace("_", " ").capitalize(): about[name] for name in FACTS if name in about},
        "Voxels": int(mapping.dataset.sizes["voxel"]),
        "Mean R²": estimate(mapping, "r2"),
        **_beside(yardstick_table(mapping).iloc[-1].to_dict()),
        "Mean noise ceiling": estimate(mapping, "ceiling").value,
        "R² / ceiling": _of_ceiling(mapping, ALL_VOXELS),
        "Hierarchy slope (share)": _slope(mapping, "layer_share"),
        "Hierarchy slope (selector)": _slope(mapping, "layer"),
    }
    return {name: text(value) for name, value in numbers.items()}


def limits_note(mapping: Mapping) -> str:
    """What the limits of a mapping's key numbers are over, and what they leave out; empty where there are none."""
    over = estimate(mapping, "r2").over
    if not over:
        return ""
    alone = f"95 % limits are over {over}."
    if over != OVER_IMAGES:
        return alone
    if limits_over(mapping, "depth") != OVER_IMAGES:
        return (
            f"95 % limits of R² are over {over}, those of depth, scale and slope by share over {OVER_TRAINING}. Depth "
            "and scale are left out where a voxel is not predicted."
        )
    return (
        f"{alone} They leave the training out: with other training images or another seed, depth, scale and slope "
        "can differ by far more than their limits say."
    )


def selectors_note(mapping: Mapping) -> str:
    """What of a mapping tells what voxels read: shares always, selectors not where every component has channels."""
    if not patches_fact([mapping.dataset]):
        return "Trust the slope by share: it does not depend on how features are scaled."
    return (
        "Voxels read patches with channels of every component: layers and scale are told by shares alone, selectors "
        "only say what channels were held to before the data."
    )


def roi_rows(mapping: Mapping) -> list[Row]:
    """One row for each ROI and one for all voxels: scores, depth by share and by selector, scale."""
    regions = {**mapping.rois, ALL_VOXELS: np.ones(mapping.dataset.sizes["voxel"], dtype=bool)}
    return [_roi_row(mapping, name, inside) for name, inside in regions.items()]


def yardstick_rows(mapping: Mapping) -> list[Row]:
    """The fit beside a ridge and the training mean, a row for each ROI; none where nothing of it was measured."""
    rows = yardstick_table(mapping).to_dict("records")
    if not math.isfinite(rows[-1]["training_mean"]):
        return []
    own = ({"ROI": row["roi"], "Voxels": row["voxels"], "R²": Estimate.in_row(row, "r2")} for row in rows)
    return [
        {name: text(value) for name, value in {**first, **_beside(row)}.items()}
        for first, row in zip(own, rows, strict=True)
    ]


def image_set_rows(mapping: Mapping) -> list[Row]:
    """Scores on the held-out images and on other sets, in rows of their own; none where there is no other set."""
    headings = {"r2": "R²", "r": "r", "ceiling": "Ceiling", "share": "r² / ceiling"}
    return [
        {
            "ROI": row["roi"],
            "Images": row["images"],
            "Voxels": text(row["voxels"]),
            **{heading: text_in_row(row, name) for name, heading in headings.items()},
        }
        for row in image_set_table([mapping]).to_dict("records")
    ]


def recovery_rows(result: Recovery) -> list[Row]:
    """What was found against what was planted in a simulated subject."""
    values = asdict(result)
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
    numbers: dict[str, Any] = {
        "ROI": name,
        "Voxels": int(inside.sum()),
        "Mean R²": estimate(mapping, "r2", name),
        "Noise ceiling": _mean(mapping, "ceiling", inside),
        "R² / ceiling": _of_ceiling(mapping, name),
        "Depth (share)": estimate(mapping, "depth", name),
        "Depth (selector)": finite_mean(layer_position(mapping.found("layer"))[inside]),
        "Scale (share)": estimate(mapping, "scale", name),
        "Scale (selector)": _mean(mapping, "scale", inside),
    }
    return {column: text(value) for column, value in numbers.items()}


def _of_ceiling(mapping: Mapping, region: str) -> str:
    """R² over its noise ceiling; above 1 it is marked and never clipped."""
    ratio = estimate(mapping, "normalised", region)
    return text(ratio) + (" (above the ceiling)" if ratio.known and ratio.value > 1 else "")


def _beside(row: MappingType[str, Any]) -> dict[str, Any]:
    """Numbers of a row of the yardstick."""
    return {
        "Ridge, all layers": Estimate.in_row(row, "ridge"),
        "R² less ridge's": Estimate.in_row(row, "margin"),
        "Training mean": Estimate(row["training_mean"]),
    }


def _mean(mapping: Mapping, variable: str, inside: np.ndarray) -> float:
    return finite_mean(mapping.found(variable)[inside]) if variable in mapping.dataset else np.nan


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
