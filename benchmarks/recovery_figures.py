"""Figures of what ``recovery.py`` measured: against images and ceiling, and by kind of planted subject."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from factortopy.plot import Grid, Header, Look, draw_key, new_figure, save, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[dict[str, Any]]
PANELS = {
    "slope_error": ("hierarchy slope: error", 0.0, 0.05),
    "depth_r": ("depth: correlation", 1.0, 0.98),
    "space_r": ("space: correlation", 1.0, 0.95),
    "scale_r": ("scale: correlation", 1.0, 0.95),
    "r2_of_oracle": ("R² / R² of the oracle", 1.0, 0.9),
    "r2_of_ceiling": ("R² / R² of the noise-free signal", 1.0, None),
}
"""Title, best value, and what is aimed at."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = "osD^vP"
DASHES = {"default": "-", "paper": "--"}
MUTED = "#555b63"
AIM = Look(MUTED, "", "aim", style=":", width=0.8)
LOWEST = -0.25
"""Worse shares and correlations are drawn at the lower edge."""


def header_of(rows: Rows) -> Header:
    """What a figure's header says of several fits: network, plant, recipes, images and seeds of all rows."""

    def every(name: str) -> str:
        return ", ".join(dict.fromkeys(str(row[name]) for row in rows))

    recipes = ", ".join(dict.fromkeys(f"{row['recipe']} ({row['budget']})" for row in rows))
    images = sorted({row["images"] for row in rows})
    splits = {row["split"] for row in rows}
    subject = f"simulated ({every('kind')}), {every('voxels')} voxels, views of {every('photographs')}"
    facts: dict[str, Any] = {
        "network": every("network"),
        "subject": subject,
        "recipe": recipes,
        "split": splits.pop() if len(splits) == 1 else "several",
        "seed": ", ".join(map(str, sorted({seed for row in rows for seed in row["seeds"]}))),
        "images_train": " to ".join(f"{count:,}" for count in dict.fromkeys((images[0], images[-1]))),
        "images_validation": rows[0]["images_validation"],
        "images_test": rows[0]["images_test"],
        "repeats_test": [rows[0]["images_test"]],
    }
    return Header(xr.Dataset(attrs=facts), simulated=True)


def draw(rows: Rows, folder: Path) -> None:
    """A figure for each network and kind, and one that compares kinds where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["kind"]), []).append(row)
    for (network, kind), chosen in groups.items():
        save(against_images(chosen), folder / f"recovery-{network.replace('/', '_')}-{kind}")
    for network in dict.fromkeys(network for network, _ in groups):
        chosen = [row for row in rows if row["network"] == network]
        if len({row["kind"] for row in chosen}) > 1:
            save(by_kind(chosen), folder / f"recovery-kinds-{network.replace('/', '_')}")


@styled
def against_images(rows: Rows) -> "Figure":
    """Every measure against training images; colours are ceilings, dashes the authors' recipe."""
    ceilings = sorted({row["ceiling"] for row in rows})
    recipes = [recipe for recipe in DASHES if any(row["recipe"] == recipe for row in rows)]
    figure, panels = _panels(rows, "How well a planted map is found", "shares, selectors of space, raw R²")
    for name, axes in panels.items():
        for number, ceiling in enumerate(ceilings):
            for recipe in recipes:
                line = sorted(
                    (row["images"], max(row[name], LOWEST))
                    for row in rows
                    if row["ceiling"] == ceiling and row["recipe"] == recipe and row[name] is not None
                )
                axes.plot(
                    *zip(*line, strict=True) if line else ([], []),
                    color=COLOURS[number % len(COLOURS)],
                    marker=MARKERS[number % len(MARKERS)],
                    linestyle=DASHES[recipe],
                    markerfacecolor="white" if recipe == "paper" else None,
                    markersize=4,
                    linewidth=1.2,
                )
        images = sorted({row["images"] for row in rows})
        axes.set_xscale("log")
        axes.set_xticks(images, [f"{count:,}" for count in images])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("training images")
    looks = [Look(COLOURS[n % 6], MARKERS[n % 6], f"ceiling {ceiling:g}") for n, ceiling in enumerate(ceilings)]
    draw_key(figure, [*looks, *(Look("black", "", f"recipe {one}", style=DASHES[one]) for one in recipes), AIM])
    return figure


@styled
def by_kind(rows: Rows) -> "Figure":
    """Every measure by kind of planted subject, in the case that most kinds share."""
    cases = [(row["images"], row["ceiling"]) for row in rows]
    images, ceiling = max(dict.fromkeys(cases), key=cases.count)
    here = [row for row in rows if (row["images"], row["ceiling"]) == (images, ceiling)]
    kinds = list(dict.fromkeys(row["kind"] for row in here))
    recipes = [recipe for recipe in DASHES if any(row["recipe"] == recipe for row in here)]
    title = f"What is planted matters: {images:,} training images, noise ceiling {ceiling:g}"
    figure, panels = _panels(here, title, "shares, selectors of space, raw R²")
    for name, axes in panels.items():
        for number, recipe in enumerate(recipes):
            found = {row["kind"]: row[name] for row in here if row["recipe"] == recipe}
            points = [(place, found.get(kind)) for place, kind in enumerate(kinds)]
            shown = [(place, max(value, LOWEST)) for place, value in points if value is not None]
            axes.plot(
                *zip(*shown, strict=True), color=COLOURS[number], marker=MARKERS[number], linestyle="none",
                markersize=5, gid=recipe,
            )  # fmt: skip
        axes.set_xticks(range(len(kinds)), kinds, rotation=30, ha="right")
        axes.set_xlim(-0.5, len(kinds) - 0.5)
    looks = [Look(COLOURS[n], MARKERS[n], f"recipe {recipe}", style="none") for n, recipe in enumerate(recipes)]
    draw_key(figure, [*looks, AIM])
    return figure


def _panels(rows: Rows, title: str, source: str) -> tuple["Figure", dict[str, "Axes"]]:
    """A figure with a panel a measure, its best value and what is aimed at."""
    grid = Grid(len(PANELS), 36, left=14, above=6, below=11, gap=13, foot=12)
    figure = new_figure(
        header_of(rows), title, grid.total, source=source,
        alt="; ".join(f"{name}: {_said(rows, name)}" for name in PANELS),
    )  # fmt: skip
    panels = {}
    for number, (name, (label, best, aim)) in enumerate(PANELS.items()):
        axes = grid.add(figure, number)
        axes.set_title(label, loc="left")
        axes.axhline(best, color=MUTED, linewidth=0.6)
        if aim is not None:
            axes.axhline(aim, color=MUTED, linewidth=0.6, linestyle=":")
        values = [max(row[name], LOWEST) for row in rows if row[name] is not None]
        if name == "slope_error":
            axes.set_ylim(-0.03, 1.1 * max([0.1, *values]))
        else:
            axes.set_ylim(min([0.0, *values]) - 0.05, 1.05)
        panels[name] = axes
    return figure, panels


def _said(rows: Rows, name: str) -> str:
    values = [row[name] for row in rows if row[name] is not None]
    return f"{min(values):.2f} to {max(values):.2f}" if values else "none"
