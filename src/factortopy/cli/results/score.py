"""``factortopy score``: brain scores of a mapping by ROI, raw and against the noise ceiling."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import Json
from factortopy.cli.tables import print_table
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping


def score(
    mapping: Annotated[Path, typer.Argument(help="Folder that [bold]fit[/bold] wrote.")],
    *,
    normalised: Annotated[
        bool, typer.Option("--normalised", help="Also R² divided by the noise ceiling, voxel by voxel.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Smallest noise ceiling of voxels that are normalised; others are masked.")
    ] = 0.05,
    as_json: Json = False,
) -> None:
    """Print the score of each ROI on held-out images: raw, its noise ceiling, and normalised."""
    from factortopy.analysis import records_of, roi_scores
    from factortopy.mapping import Mapping

    loaded = Mapping.load(mapping)
    if normalised and "ceiling" not in loaded.dataset:
        raise DataError(f"{mapping} has no noise ceiling, so its scores stay raw; leave out --normalised")
    scores = roi_scores(loaded, threshold)
    if not normalised:
        scores = scores.drop(columns=["normalised", "masked"])
    facts = _facts(loaded, threshold if normalised else None)
    if as_json:
        typer.echo(json.dumps(facts | {"rois": records_of(scores)}))
        return
    columns = [
        "ROI",
        "voxels",
        "R²",
        "limits",
        "ceiling",
        *(["R² / ceiling", "masked"] if normalised else []),
    ]
    title = "Scores on held-out images" + (", SIMULATED responses" if loaded.simulated else "")
    print_table(
        title,
        columns,
        [_cells(row) for row in scores.to_dict("records")],
        note="\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, {})),
    )


def _cells(row: dict[str, Any]) -> list[str]:
    from factortopy.analysis import Estimate

    r2 = Estimate(row["r2"], row.pop("r2_low"), row.pop("r2_high"))
    cells = [Estimate(value).text() if isinstance(value, float) else str(value) for value in row.values()]
    return [*cells[:3], f"{r2.low:.2f}…{r2.high:.2f}" if r2.limited else "–", *cells[3:]]


def _facts(mapping: "Mapping", threshold: float | None) -> dict[str, Any]:
    """What was fitted, on which images, and what the numbers are: formulas, threshold, numbers of trials."""
    from factortopy.analysis import NORMALISED_FORMULA, ceiling_facts
    from factortopy.mapping import facts as facts_of

    formula, repeats = ceiling_facts(mapping)
    facts: dict[str, Any] = {
        **facts_of(mapping.dataset),
        "score": "R^2 on held-out images, raw, mean over voxels",
        "limits": "95 % of draws of test images" if "drawn_r2" in mapping.dataset else "none",
        "ceiling": formula if "ceiling" in mapping.dataset else "none",
        "test_responses_by_trials_averaged": repeats,
        "simulated": mapping.simulated,
    }
    if threshold is not None:
        facts |= {"normalised": NORMALISED_FORMULA, "masked_where_ceiling_below": threshold}
    return facts
