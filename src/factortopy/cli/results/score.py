"""``factortopy score``: what a mapping scores and how deep it reads, by ROI, over subjects, and against nulls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factortopy.cli.options import Csv, Json, MappingFolders, Quiet, Seed, check_place
from factortopy.cli.tables import Answer, Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping

NORMALISED = ("normalised", "masked")
COLUMNS = {
    "roi": "ROI",
    "voxels": "voxels",
    "r2": "R²",
    "ceiling": "ceiling",
    "normalised": "R² / ceiling",
    "masked": "masked",
}

Normalised = Annotated[
    bool, typer.Option("--normalised", help="Of one mapping: also R² divided by the noise ceiling, voxel by voxel.")
]
Threshold = Annotated[
    float, typer.Option(help="Smallest noise ceiling of voxels that are normalised; others are masked.")
]
Average = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the average over seeds here, a mapping like any other."),
]
ORDERS = "Orders of ROIs, instead of scores"
Orders = Annotated[
    list[str] | None,
    typer.Option(
        "--order",
        metavar="ROI,ROI,...",
        help="Does depth follow this order, evenly spaced, or with levels: V1=0,V2+V3=0.33,EBA=1? May be repeated; "
        "all takes the paper's, V1 to V4, and the three streams.",
        rich_help_panel=ORDERS,
    ),
]
Permutations = Annotated[
    int, typer.Option(min=1, help="Orders of the layers that the null tries.", rich_help_panel=ORDERS)
]
Stores = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="STORE",
        help="Tokens of a mapping's network: also depth by distance from pixels.",
        rich_help_panel=ORDERS,
    ),
]
Photographs = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGES", help="The photographs of these tokens, as for [bold]extract[/bold].", rich_help_panel=ORDERS
    ),
]
SplitFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help="Distances on the test images of this split, not on random ones.",
        rich_help_panel=ORDERS,
    ),
]
Drawing = Annotated[
    Path | None,
    typer.Option(
        "--draw",
        metavar="FILE",
        help="Draw them here (PNG and SVG); of several mappings, FILE-1, FILE-2, ...",
        rich_help_panel=ORDERS,
    ),
]
Nulls = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=19,
        help="Instead of scores: compare the hierarchy slope, or the likeness of two mappings' maps, with N random "
        "maps just as smooth.",
    ),
]


def score(
    mappings: MappingFolders,
    *,
    normalised: Normalised = False,
    threshold: Threshold = 0.05,
    output: Average = None,
    orders: Orders = None,
    permutations: Permutations = 1_000,
    tokens: Stores = None,
    photographs: Photographs = None,
    split: SplitFile = None,
    draw: Drawing = None,
    nulls: Nulls = None,
    seed: Seed = 0,
    as_csv: Csv = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print scores by ROI and the hierarchy line; of several mappings of one network, their means with limits.

    Means are over subjects where there are several, else over seeds; a subject counts once however many seeds
    it has. Limits are over test images, subjects or seeds; none is over voxels. --order and --nulls test depth.
    """
    if as_csv and as_json:
        raise DataError("give --json or --csv, not both")
    _check_words(orders, nulls, {"--output": output, "--normalised": normalised}, len(mappings))
    if orders is None and any(given is not None for given in (tokens, photographs, split, draw)):
        raise DataError("--tokens, --photographs, --split and --draw are for orders of ROIs; give --order all as well")
    for path in (output, draw):
        if path is not None:
            check_place(path)
    from factortopy.mapping import Mapping

    loaded = [Mapping.load(folder) for folder in mappings]
    if orders is not None:
        from factortopy.cli.results.hierarchy import hierarchy_answer, read_distances

        distances = read_distances(loaded, tokens or [], photographs, split, seed, not quiet)
        answer = hierarchy_answer(mappings, loaded, orders, distances, permutations, seed, draw)
    elif nulls is not None:
        from factortopy.cli.results.nulls import null_answer

        answer = null_answer(loaded, nulls, seed, not quiet)
    elif len(loaded) > 1 or output is not None:
        from factortopy.cli.results.means import mean_answer

        answer = mean_answer(loaded, output)
    else:
        answer = _roi_answer(mappings[0], loaded[0], normalised, threshold)
    answer.print(as_json, as_csv)


def _check_words(orders: list[str] | None, nulls: int | None, given: dict[str, Any], count: int) -> None:
    """Refuse options that say nothing together.

    Raises:
        DataError: if there are such.
    """
    named = [name for name, value in {"--order": orders, "--nulls": nulls}.items() if value is not None]
    named += [name for name, value in given.items() if value]
    if len(named) > 1:
        raise DataError(f"{' and '.join(named)} ask for different tables; give one of them")
    if given["--normalised"] and count > 1:
        raise DataError("--normalised is of one mapping; means of several always show R² / ceiling: leave it out")


def _roi_answer(path: Path, mapping: "Mapping", normalised: bool, threshold: float) -> Answer:
    """Raw scores, noise ceilings and, where asked for, normalised scores of each ROI."""
    from factortopy.analysis import records_of, roi_scores

    if normalised and "ceiling" not in mapping.dataset:
        raise DataError(f"{path} has no noise ceiling, so its scores stay raw; leave out --normalised")
    columns = COLUMNS if normalised else {name: head for name, head in COLUMNS.items() if name not in NORMALISED}
    scores = roi_scores(mapping, threshold)
    rows = records_of(scores if normalised else scores.drop(columns=list(NORMALISED)))
    facts = _facts(mapping, threshold if normalised else None)
    title = "Scores on held-out images" + (", SIMULATED responses" if mapping.simulated else "")
    note = "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, {}))
    return Answer(facts | {"rois": rows}, rows, [Rows(title, rows, columns, note)])


def _facts(mapping: "Mapping", threshold: float | None) -> dict[str, Any]:
    """What was fitted, on which images, and what the numbers are: formulas, threshold, numbers of trials."""
    from factortopy.analysis import NORMALISED_FORMULA, ceiling_facts, estimate
    from factortopy.mapping import facts as facts_of

    formula, repeats = ceiling_facts(mapping)
    line = {name: estimate(mapping, name) for name in ("slope", "b0", "b1")}
    facts: dict[str, Any] = {
        **facts_of(mapping.dataset),
        "score": "R^2 on held-out images, raw, mean over voxels",
        "hierarchy_line": ", ".join(f"{name} {value.text()}" for name, value in line.items() if value.known) or None,
        "limits": "95 % of draws of test images" if "drawn_r2" in mapping.dataset else "none",
        "ceiling": formula if "ceiling" in mapping.dataset else "none",
        "test_responses_by_trials_averaged": repeats,
        "simulated": mapping.simulated,
    }
    if threshold is not None:
        facts |= {"normalised": NORMALISED_FORMULA, "masked_where_ceiling_below": threshold}
    return facts
