"""What ``recovery.py`` makes of its results: a row a case and recipe, a table, the key numbers."""

from itertools import groupby
from typing import Any

import numpy as np

from laboratory import markdown

ORACLE = "oracle"
MEASURES = ("slope_error", "depth_r", "space_r", "scale_r", "r2_of_oracle", "r2_of_ceiling")
TARGET, LOW_TARGET = (2_300, 0.2), (9_000, 0.05)


def summarise(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a case and recipe: means over seeds, R^2 as shares of the oracle's and of the ceiling.

    ``slope_error`` is the mean of absolute errors, ``slope_bias`` of signed ones.
    """
    names = ("network", "kind", "images", "ceiling", "channels", "voxels", "photographs")
    oracle = {tuple(row[n] for n in (*names, "seed")): row["r2"] for row in results if row["recipe"] == ORACLE}

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in (*names, "recipe", "budget"))

    rows = []
    for facts, group in groupby(sorted((r for r in results if r["recipe"] != ORACLE), key=key), key):
        fits = [fit for fit in group if tuple(fit[n] for n in (*names, "seed")) in oracle]
        if not fits:
            continue
        best = np.array([oracle[tuple(fit[n] for n in (*names, "seed"))] for fit in fits])
        mean = {name: float(np.mean([fit[name] for fit in fits])) for name in (*MEASURES[1:4], "r2", "ceiling_r2")}
        errors = np.array([fit["slope_error"] for fit in fits])
        rows.append(
            dict(zip((*names, "recipe", "budget"), facts, strict=True))
            | mean
            | {
                **{name: fits[0][name] for name in ("split", "images_validation", "images_test")},
                "seeds": [fit["seed"] for fit in fits],
                "slope_error": float(np.abs(errors).mean()),
                "slope_bias": float(errors.mean()),
                "slope_planted": float(np.mean([fit["slope_planted"] for fit in fits])),
                "oracle_r2": float(best.mean()),
                "r2_of_oracle": share(mean["r2"], float(best.mean())),
                "r2_of_ceiling": share(mean["r2"], mean["ceiling_r2"]),
                "seconds": float(np.mean([fit["seconds"] for fit in fits])),
            }
        )
    return rows


def share(part: float, whole: float) -> float | None:
    """A share of something positive; None where there is nothing to share."""
    return part / whole if whole > 0 else None


def table(rows: list[dict[str, Any]]) -> str:
    """The summary as Markdown, with what it is of."""
    facts = ("network", "planted", "images", "ceiling", "voxels", "recipe", "steps x images", "seeds", "R²")
    heads = (*facts, "of oracle", "of ceiling", "slope error", "depth r", "space r", "scale r", "seconds")
    cells = [
        (
            row["network"],
            row["kind"],
            f"{row['images']:,}",
            row["ceiling"],
            f"{row['voxels']:,}",
            row["recipe"],
            row["budget"],
            ", ".join(map(str, row["seeds"])),
            f"{row['r2']:.3f}",
            *("–" if row[name] is None else f"{row[name]:.2f}" for name in MEASURES[4:]),
            f"{row['slope_bias']:+.3f}",
            *(f"{row[name]:.3f}" for name in ("depth_r", "space_r", "scale_r")),
            f"{row['seconds']:.0f}",
        )
        for row in rows
    ]
    photographs = ", ".join(sorted({row["photographs"] for row in rows})) or "none yet"
    channels = ", ".join(sorted({str(row["channels"]) for row in rows}))
    held = ", ".join(sorted({f"{row['images_test']:,}" for row in rows}))
    return (
        f"*SIMULATED subjects over views of {photographs}; {channels} planted channels. R² is raw, a mean "
        f"over voxels and {held} test images of one trial each. Slope, depth and scale are by share, against "
        f"shares of the noise-free signal; space r is the smaller of x and y.*\n\n{markdown(heads, cells)}"
    )


def key_numbers(rows: list[dict[str, Any]]) -> dict[str, float | str | None]:
    """The measures nearest to the two targets, for the default recipe and, with a prefix, the authors'."""
    found: dict[str, float | str | None] = {}
    for recipe, prefix in (("default", ""), ("paper", "paper_")):
        fits = [row for row in rows if row["recipe"] == recipe]
        main, low = (nearest(fits, *target) for target in (TARGET, LOW_TARGET))
        found |= {f"{prefix}{name}": None if main is None else main[name] for name in MEASURES[:-1]}
        found[f"{prefix}case"] = None if main is None else f"{main['images']}:{main['ceiling']}"
        low = None if low is main else low
        found[f"{prefix}slope_error_low_ceiling"] = None if low is None else low["slope_error"]
        found[f"{prefix}low_ceiling_case"] = None if low is None else f"{low['images']}:{low['ceiling']}"
    return found


def nearest(rows: list[dict[str, Any]], images: int, ceiling: float) -> dict[str, Any] | None:
    """The smooth plant that was measured nearest to so many images and such a ceiling."""

    def distance(row: dict[str, Any]) -> tuple[float, float, int]:
        apart = abs(np.log(row["ceiling"] / ceiling)), abs(np.log(row["images"] / images))
        return *apart, -row["voxels"]

    return min((row for row in rows if row["kind"] == "smooth"), key=distance, default=None)
