"""``factortopy plan``: before scanning or fitting, how well a map can be expected to be found."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

import factortopy as ft
from factortopy.cli.shared import options as opt
from factortopy.cli.shared.tables import Rows, print_table

ROWS = {
    "slope_error": ("error of the hierarchy slope", "0"),
    "depth_r": ("depth, correlation with the truth", "1"),
    "space_r": ("space, correlation (smaller of x, y)", "1"),
    "scale_r": ("scale, correlation", "1"),
    "r2_of_oracle": ("R² / R² of a model told the selectors", "1"),
    "r2_of_ceiling": ("R² / R² of the noise-free signal", "1"),
}

CHANGES = {
    "label": "",
    "shown": "images x repeats",
    "ceiling": "ceiling",
    "slope_error": "slope error",
    "depth_r": "depth r",
    "space_r": "space r",
    "scale_r": "scale r",
    "r2_of_oracle": "R² / oracle",
}
FORMATS = dict.fromkeys(ROWS, ".2f") | {"ceiling": ".2g"}


def plan(
    *,
    images: Annotated[int, Option(min=1, help="Training images, each shown REPEATS times.")],
    ceiling: Annotated[float, Option(help="Mean noise ceiling (R², 0 to 1) of responses averaged over REPEATS.")],
    repeats: Annotated[int, Option(min=1, help="Trials that each response averages.")] = 1,
    voxels: Annotated[int | None, Option(min=1, help="Take cases of the nearest number.")] = None,
    network: Annotated[str | None, Option(help="Among the measured. [dim]\\[default: the most measured][/dim]")] = None,
    kind: Annotated[str, Option("--planted", help="Kind of simulated subject.")] = "smooth",
    recipe: Annotated[opt.Recipe, Option(help="How it is fitted.")] = "default",
    table: Annotated[
        Path | None,
        Option(
            help="Own measurements, by [bold]benchmarks/recovery.py --table[/bold]. "
            "[dim]\\[default: those of the package][/dim]"
        ),
    ] = None,
    as_json: opt.Json = False,
) -> None:
    """Say how well a map can be recovered from so many images and such a noise ceiling.

    The numbers are interpolated from fits to SIMULATED subjects; outside what was measured it says so.
    """
    cases = ft.analysis.load_recovery_table(table)
    made = ft.analysis.forecast_recovery(
        images, ceiling, repeats=repeats, voxels=voxels, network=network, kind=kind, recipe=recipe, table=cases
    )
    asked = made.asked
    if as_json:
        typer.echo(json.dumps(made.as_dict() | {"advice": advice(made)}))
        return
    rows = [
        (label, _text(asked.measures[name]) if asked.inside else "not measured", best)
        for name, (label, best) in ROWS.items()
    ]
    note = f"{_where(asked)}\n{_what(made, voxels)}"
    print_table(f"What to expect of {setup(asked)}, SIMULATED", rows, ("", "expected", "at best"), note=note)
    if not asked.inside:
        typer.echo(advice(made))
        return
    variants = [_row(made, item) for item in (asked, *made.same_time, *made.twice_the_time)]
    Rows("What a change would do", variants, CHANGES, advice(made), FORMATS).print()


def setup(item: "ft.analysis.Expectation") -> str:
    """Images, repeats and ceiling in words."""
    each = "once" if item.repeats == 1 else f"{item.repeats} times each"
    return f"{item.images:,} images {each} at a noise ceiling of {item.ceiling:.2g}"


def advice(made: "ft.analysis.RecoveryForecast") -> str:
    """Which change would help most, of those that were measured."""
    best, asked = made.best_in_time, made.asked
    if not asked.inside:
        return "Outside what was measured: no change can be compared with it."
    unknown = "" if all(item.inside for item in made.same_time) else ", of those measured"
    if not any(item.inside for item in made.same_time):
        now = "No other use of the same scanning time was measured"
    elif best is asked:
        now = f"In the same scanning time, nothing is clearly better{unknown}"
    else:
        now = f"In the same scanning time, {best.images:,} images x {best.repeats} would be better{unknown}"
    if not all(item.inside for item in made.twice_the_time):
        return f"{now}; what twice the time would bring was not measured."
    more, again = made.twice_the_time
    what = "more images" if more.shortfall <= again.shortfall else "more repeats"
    if min(more.shortfall, again.shortfall) >= asked.shortfall:
        return f"{now}; neither twice the images nor twice the repeats would help."
    return f"{now}; of twice the time, {what} would make the most."


def _where(item: "ft.analysis.Expectation") -> str:
    images, ceiling = item.nearest
    near = f"{images:,} images at a ceiling of {ceiling:g}"
    if not item.inside:
        values = [f"{label.partition(',')[0]} {_text(item.measures[name])}" for name, (label, _) in ROWS.items()]
        return f"OUTSIDE what was measured, and nothing is extrapolated. The nearest case, {near}: {', '.join(values)}."
    if item.far:
        return f"Far from every measured case, so only a rough guess; the nearest is {near}."
    return f"Interpolated in log images and log ceiling; the nearest measured case is {near}."


def _what(made: "ft.analysis.RecoveryForecast", voxels: int | None) -> str:
    first = made.cases[0]
    asked = "" if voxels in (None, first.voxels) else f" ({voxels:,} were asked for: their number is not modelled)"
    seeds = sorted({seed for case in made.cases for seed in case.seeds})
    return (
        f"From {len(made.cases)} measured cases: {first.network}, recipe {first.recipe} ({first.budget}), "
        f"plant {first.kind!r}, {first.voxels:,} voxels{asked} of one ceiling, {first.channels} planted "
        f"channels, views of {first.photographs}, seeds {', '.join(map(str, seeds))}. A brain is not a "
        "simulation: take the numbers as a guide, not as a promise."
    )


def _row(made: "ft.analysis.RecoveryForecast", item: "ft.analysis.Expectation") -> dict[str, Any]:
    label = "same time" if item in made.same_time else "twice the time"
    return {
        "label": "as asked" if item is made.asked else label,
        "shown": f"{item.images:,} x {item.repeats}",
        "ceiling": item.ceiling,
        **(item.measures if item.inside else {}),
    }


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
