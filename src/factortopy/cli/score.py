"""``factortopy score``: what a mapping scores and how deep it reads, by ROI and over subjects or seeds."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import factortopy as ft
from factortopy.cli.depth import null_answer, order_answer, read_distances
from factortopy.cli.shared import options as opt
from factortopy.cli.shared import score_options as own
from factortopy.cli.shared.tables import Answer, Rows
from factortopy.errors import DataError

NORMALISED = ("normalised", "masked")
SHARE = "r² / ceiling"
ROIS = {
    "roi": "ROI",
    "voxels": "voxels",
    "r2": "R²",
    "ceiling": "ceiling",
    "normalised": "R² / ceiling",
    "masked": "masked",
}
SETS = {
    "roi": "ROI",
    "images": "images",
    "voxels": "voxels",
    "r2": "R²",
    "r": "r",
    "ceiling": "ceiling",
    "share": SHARE,
}
AREAS = {
    "split": "split",
    "subject": "subject",
    "area": "area",
    "voxels": "voxels",
    "left_out": "left out",
    "r": "r",
    "r2_over_nc": "r² / NC",
    "brain_score": "Brain-Score",
}
BESIDE = {
    "roi": "ROI",
    "voxels": "voxels",
    "r2": "R²",
    "ridge": "ridge, all layers",
    "margin": "R² less ridge's",
    "training_mean": "training mean",
}
MEANS = {"r2": "R²", "normalised": "R² / ceiling", "depth": "depth (share)", "scale": "scale (share)"}


def score(
    mappings: opt.MappingFolders,
    *,
    normalised: own.Normalised = False,
    threshold: own.Threshold = 0.05,
    on: own.On = None,
    protocol: own.Protocol = False,
    output: own.Output = None,
    orders: own.Orders = None,
    permutations: own.Permutations = 1_000,
    tokens: own.Tokens = None,
    photographs: own.Photographs = None,
    split: own.Split = None,
    draw: own.Draw = None,
    nulls: own.Nulls = None,
    seed: opt.Seed = 0,
    as_csv: opt.Csv = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:
    """Print scores by ROI and the hierarchy line; of several mappings of one network, their means with limits.

    Means are over subjects where there are several, else over seeds; a subject counts once however many seeds
    it has. Limits are over test images, subjects or seeds; none is over voxels. --order and --nulls test depth.
    """
    if as_csv and as_json:
        raise DataError("give --json or --csv, not both")
    asked = {"--order": orders is not None, "--nulls": nulls is not None, "--output": output is not None and not on}
    asked |= {"--normalised": normalised, "--on": on is not None, "--protocol": protocol}
    _check_asked([name for name, given in asked.items() if given], len(mappings), len(tokens or []))
    if orders is None and any(given is not None for given in (None if on else tokens, photographs, split, draw)):
        raise DataError("--tokens, --photographs, --split and --draw are for orders of ROIs; give --order all as well")
    if output is not None:
        opt.check_new(output)
    if draw is not None:
        opt.check_output(draw)
    loaded = [ft.Mapping.load(folder) for folder in mappings]
    if orders is not None:
        distances = read_distances(loaded, tokens or [], photographs, split, seed, not quiet)
        answer = order_answer(mappings, loaded, orders, distances, permutations, seed, draw)
    elif nulls is not None:
        answer = null_answer(loaded, nulls, seed, not quiet)
    elif protocol:
        answer = _protocol_answer(loaded)
    elif on is not None and tokens:
        answer = _other_images_answer(loaded[0], on, tokens[0], threshold, output, not quiet)
    elif len(loaded) > 1 or output is not None:
        answer = _mean_answer(loaded, output)
    else:
        answer = _roi_answer(mappings[0], loaded[0], normalised, threshold)
    answer.print(as_json, as_csv)


def _check_asked(asked: list[str], mappings: int, tokens: int) -> None:
    """Refuse options that ask for different tables, or for one that these mappings cannot have."""
    if len(asked) > 1:
        raise DataError(f"{' and '.join(asked)} ask for different tables; give one of them")
    if asked == ["--normalised"] and mappings > 1:
        raise DataError("--normalised is of one mapping; means of several always show R² / ceiling: leave it out")
    if asked == ["--on"] and (mappings, tokens) != (1, 1):
        raise DataError("--on scores one mapping on other images; give one mapping, and once --tokens of those images")


def _roi_answer(path: Path, mapping: "ft.Mapping", normalised: bool, threshold: float) -> Answer:
    """Raw scores, noise ceilings and, where asked for, normalised scores of each ROI."""
    if normalised and "ceiling" not in mapping.dataset:
        raise DataError(f"{path} has no noise ceiling, so its scores stay raw; leave out --normalised")
    left_out = () if normalised else NORMALISED
    columns = {name: heading for name, heading in ROIS.items() if name not in left_out}
    scores = ft.analysis.roi_scores(mapping, threshold)
    rows = ft.analysis.records_of(scores.drop(columns=list(left_out)))
    facts = _roi_facts(mapping, threshold if normalised else None)
    facts["above_ceiling"] = _above(scores[scores["r2"] > scores["ceiling"]]["roi"])
    note = "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, {}))
    tables = [Rows("Scores on held-out images", rows, columns, note, simulated=mapping.simulated)]
    facts |= {"rois": rows}
    if "mean_r2" in mapping.dataset:
        facts["beside_a_ridge"] = beside = ft.analysis.records_of(ft.analysis.yardstick_table(mapping))
        tables.append(Rows("Beside a plain ridge", beside, BESIDE, simulated=mapping.simulated))
    sets = ft.analysis.records_of(ft.analysis.image_set_table([mapping], threshold=threshold))
    if sets:
        facts["by_set_of_images"] = rows = sets
        tables.append(Rows("Scores by set of images", sets, SETS, simulated=mapping.simulated))
    return Answer(facts, rows, tables)


def _above(names: Iterable[str]) -> str | None:
    """What is said of scores above their noise ceiling; None where there are none."""
    listed = ", ".join(dict.fromkeys(names))
    return f"{listed}: nothing is clipped; a ceiling is an estimate, of responses like those scored" if listed else None


def _roi_facts(mapping: "ft.Mapping", threshold: float | None) -> dict[str, Any]:
    """What was fitted, on which images, and what the numbers are: formulas, threshold, numbers of trials."""
    formula, repeats = ft.analysis.ceiling_facts(mapping)
    drawn = "drawn_r2" in mapping.dataset
    line = {name: ft.analysis.estimate(mapping, name) for name in ("slope", "b0", "b1")}
    facts: dict[str, Any] = {
        **ft.mapping.facts(mapping.dataset),
        "score": "R^2 on held-out images, raw, mean over voxels",
        "hierarchy_line": ", ".join(f"{name} {value.text()}" for name, value in line.items() if value.known) or None,
        "limits": mapping.dataset.attrs.get("no_limits", ft.reporting.limits_note(mapping) if drawn else "none"),
        "ceiling": formula if "ceiling" in mapping.dataset else "none",
        "test_responses_by_trials_averaged": repeats,
        "findings": " ".join(ft.analysis.findings(mapping)) or None,
        "simulated": mapping.simulated,
    }
    if threshold is not None:
        facts |= {"normalised": ft.analysis.NORMALISED_FORMULA, "masked_where_ceiling_below": threshold}
    return facts


def _mean_answer(mappings: "list[ft.Mapping]", output: Path | None) -> Answer:
    """Means with Student's limits of one network's scores, shares and hierarchy line, over subjects or seeds.

    Raises:
        DataError: if the mappings do not belong together.
    """
    summary = ft.analysis.summarise_fits(mappings)
    over = summary["limits"][0]
    each = [ft.mapping.facts(mapping.dataset) for mapping in mappings]
    names = ("network", "subject", "recipe", "split", "seed", "images", "scores_of")
    facts = {name: ", ".join(dict.fromkeys(one[name] for one in each)) for name in names} | {
        "score": "R^2 on held-out images, raw; R^2 / ceiling: ratio of the two means",
        "limits": f"95 %, Student's, of the mean over {over}",
        "simulated": any(mapping.simulated for mapping in mappings),
    }
    if output is not None:
        facts["average_over_seeds"] = str(ft.analysis.seed_average(mappings).save(output))
    rows = ft.analysis.records_of(summary)
    above = _above(row["region"] for row in rows if row["quantity"] == "normalised" and row["mean"] > 1)
    facts |= {"above_ceiling": above} if above else {}
    printed: dict[str, dict[str, str]] = {}
    for row in rows:
        text = ft.analysis.text_in_row(row, "mean")
        if row["quantity"] in MEANS:
            printed.setdefault(row["region"], {"region": row["region"]})[row["quantity"]] = text
        else:
            name = f"hierarchy line, {row['quantity']}"
            printed[name] = {"region": name, "depth": text}
    note = "\n".join(f"{name}: {value}" for name, value in facts.items())
    columns, simulated = {"region": "ROI", **MEANS}, bool(facts["simulated"])
    table = Rows(f"Means over {over}", list(printed.values()), columns, note, simulated=simulated)
    return Answer(facts | {"rows": rows}, rows, [table])


def _other_images_answer(
    mapping: "ft.Mapping", folder: Path, tokens: Path, threshold: float, output: Path | None, progress: bool
) -> Answer:
    """Scores on the fit's held-out images and on another recording's, each in rows of its own."""
    fitted = mapping.provenance.get("subject", {})
    other = ft.datasets.load_like(folder, fitted, progress=progress)
    # Limits of all sets that a mapping holds are of equally many draws.
    draws = mapping.dataset.sizes.get("draw", 1_000)
    scored = ft.score_images(mapping, ft.TokenStore.open(tokens), other, bootstrap=draws)
    if output is not None:
        ft.analysis.with_image_set(mapping, scored, other.name).save(output)
    sets = {f"held out, {mapping.dataset.attrs.get('subject')}": mapping, other.name: scored}
    rows = ft.analysis.records_of(ft.image_set_scores(sets, threshold))
    facts: dict[str, Any] = {**ft.mapping.facts(mapping.dataset)}
    for name, one in sets.items():
        own = ft.mapping.facts(one.dataset)
        formula, _ = ft.analysis.ceiling_facts(one)
        facts |= {f"{name}: images": own["images"], f"{name}: scores of": own["scores_of"], f"{name}: ceiling": formula}
    facts |= {
        "score": "R^2, raw, mean over voxels; other images' responses z-scored by themselves",
        SHARE: f"mean over voxels with a ceiling of {threshold} and more of r |r| / ceiling",
        "voxels_not_measured": scored.dataset.attrs["voxels_not_measured"],
        "simulated": mapping.simulated,
    }
    facts["above_ceiling"] = _above(f"{row['roi']} ({row['images']})" for row in rows if (row["share"] or 0) > 1)
    note = "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, {}))
    table = Rows("Scores by set of images", rows, SETS, note, simulated=mapping.simulated)
    return Answer(facts | {"rois": rows}, rows, [table])


def _protocol_answer(mappings: "list[ft.Mapping]") -> Answer:
    """Scores of LAION-fMRI's protocols, and the formula of each."""
    rows = ft.analysis.records_of(ft.analysis.brain_scores(mappings))
    sources = {one.provenance["split_source"]["file"]: one.provenance["split_source"]["sha256"] for one in mappings}
    facts: dict[str, Any] = {
        **{AREAS[name]: formula for name, formula in ft.analysis.BRAIN_SCORE_FORMULAS.items()},
        "voxels": ft.analysis.BRAIN_SCORE_NOTE,
        "splits": ", ".join(f"{name} SHA-256 {digest}" for name, digest in sources.items()),
        "scores of": ", ".join(dict.fromkeys(ft.mapping.facts(one.dataset)["scores_of"] for one in mappings)),
    }
    above = _above(f"{row['area']} ({row['subject']})" for row in rows if (row["r2_over_nc"] or 0) > 1)
    facts |= {"above_ceiling": above} if above else {}
    note = "\n".join(f"{name}: {value}" for name, value in facts.items())
    return Answer(facts | {"areas": rows}, rows, [Rows("Scores of LAION-fMRI's protocols", rows, AREAS, note)])
