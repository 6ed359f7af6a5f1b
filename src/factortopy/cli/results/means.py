"""``factortopy score`` of several mappings: means and limits over subjects or seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from factortopy.cli.tables import Answer, Rows
from factortopy.errors import DataError

if TYPE_CHECKING:
    from factortopy.mapping import Mapping

COLUMNS = {"r2": "R²", "normalised": "R² / ceiling", "depth": "depth (share)", "scale": "scale (share)"}


def mean_answer(mappings: "list[Mapping]", output: Path | None) -> Answer:
    """Means with Student's limits of one network's scores, shares and hierarchy line.

    Args:
        mappings: fits of one network: subjects or seeds.
        output: where the average over seeds is written; None for no average.

    Raises:
        DataError: if the mappings do not belong together, or there is something at ``output``.
    """
    from factortopy.analysis import records_of, seed_average, summarise_fits, text_in_row

    table = summarise_fits(mappings)
    over = table["limits"][0]
    facts = _facts(mappings, over)
    if output is not None:
        average = seed_average(mappings)
        if output.exists():
            raise DataError(f"{output} exists; choose another folder")
        facts["average_over_seeds"] = str(average.save(output))
    rows = records_of(table)
    printed: dict[str, dict[str, str]] = {}
    for row in rows:
        text = text_in_row(row, "mean")
        if row["quantity"] in COLUMNS:
            printed.setdefault(row["region"], {"region": row["region"]})[row["quantity"]] = text
        else:
            name = f"hierarchy line, {row['quantity']}"
            printed[name] = {"region": name, "depth": text}
    title = f"Means over {over}" + (", SIMULATED responses" if facts["simulated"] else "")
    note = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return Answer(
        facts | {"rows": rows}, rows, [Rows(title, list(printed.values()), {"region": "ROI", **COLUMNS}, note)]
    )


def _facts(mappings: "list[Mapping]", over: str) -> dict[str, Any]:
    """What the mappings are; what differs between them stands in a row."""
    from factortopy.mapping import facts

    each = [facts(mapping.dataset) for mapping in mappings]
    names = ("network", "subject", "recipe", "split", "seed", "images", "repeats")
    return {name: ", ".join(dict.fromkeys(one[name] for one in each)) for name in names} | {
        "score": "R^2 on held-out images, raw; R^2 / ceiling: ratio of the two means",
        "limits": f"95 %, Student's, of the mean over {over}",
        "simulated": any(mapping.simulated for mapping in mappings),
    }
