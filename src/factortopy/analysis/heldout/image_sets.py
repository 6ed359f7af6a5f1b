"""Scores of one mapping on other sets of images, kept in it beside the held-out ones and never mixed with them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas

from factortopy.analysis.heldout.protocols import image_set_scores
from factortopy.errors import DataError
from factortopy.mapping import OTHER, Mapping, tells_limits, with_values

KEPT = ("r2", "r", "ceiling", "drawn_r2")
"""Variables of a set; of another than the held-out one, ``OTHER`` stands before them."""
LIMITS = ("bootstrap", "confidence", "no_limits")
FACTS = ("subject", "images_test", "scores_of", "trials_test", "repeats_test", "voxels_not_measured", *LIMITS)
SETS = "image_sets"
"""Attribute of the facts of each set, as JSON; ``image_set`` are their names."""


def with_image_set(mapping: Mapping, scored: Mapping, name: str) -> Mapping:
    """A copy of a mapping that also holds its scores on another set of images; of the same name, they are replaced.

    Draws are kept where all sets, and the mapping itself, have equally many.

    Args:
        mapping: with its own held-out scores.
        scored: the same as :func:`factortopy.score_images` gives it.
        name: of the set.

    Raises:
        DataError: if they are of other voxels.
    """
    if scored.dataset.sizes["voxel"] != mapping.dataset.sizes["voxel"]:
        raise DataError("scores on other images must be of the mapping's own voxels; score this mapping on them")
    sets = {**other_image_sets(mapping), name: scored}
    voxel_wide = ("r2", "r", "ceiling")
    values = {f"{OTHER}{variable}": _stacked(sets, variable) for variable in voxel_wide}
    dropped = [known for known in mapping.dataset.variables if str(known).startswith(OTHER) or known == "image_set"]
    bare = mapping.dataset.drop_vars(dropped)
    if all("drawn_r2" in one.dataset for one in sets.values()):
        draws = {len(one.dataset["drawn_r2"]) for one in sets.values()}
        if len(draws | ({bare.sizes["draw"]} if "draw" in bare.sizes else set())) == 1:
            values[f"{OTHER}drawn_r2"] = _stacked(sets, "drawn_r2")
    facts = {key: _facts(one) for key, one in sets.items()}
    dataset = with_values(bare, {**values, "image_set": np.array(list(sets))})
    return replace(mapping, dataset=dataset.assign_attrs({SETS: json.dumps(facts)}))


def other_image_sets(mapping: Mapping) -> dict[str, Mapping]:
    """The mapping as scored on each other set of images that it holds, by name; empty where there is none."""
    data = mapping.dataset
    if f"{OTHER}r2" not in data or SETS not in data.attrs:
        return {}
    facts, found = json.loads(data.attrs[SETS]), {}
    names = map(str, data.data_vars)
    own = [name for name in names if name.startswith(OTHER) or name in KEPT or tells_limits(name)]
    bare = data.drop_vars([*own, "image_set"])
    bare.attrs = {name: value for name, value in data.attrs.items() if name not in (*FACTS, SETS)}
    for number, name in enumerate(str(name) for name in data["image_set"].values):
        values = {
            variable: data[f"{OTHER}{variable}"].values[number] for variable in KEPT if f"{OTHER}{variable}" in data
        }
        if not np.isfinite(values["ceiling"]).any():
            del values["ceiling"]
        found[name] = Mapping(with_values(bare, values).assign_attrs(facts[name]), provenance=mapping.provenance)
    return found


def image_set_table(
    mappings: Sequence[Mapping], labels: Sequence[str] = (), threshold: float = 0.05
) -> pandas.DataFrame:
    """Scores on the held-out images and on every other set that mappings hold, in rows of their own.

    Args:
        mappings: those without another set are left out.
        labels: their names, for a column ``mapping`` in front; none if empty.
        threshold: as in :func:`image_set_scores`.

    Returns:
        Rows as of :func:`image_set_scores`; none where no mapping holds another set.
    """
    tables = []
    for number, mapping in enumerate(mappings):
        others = other_image_sets(mapping)
        if not others:
            continue
        table = image_set_scores({f"held out, {mapping.dataset.attrs.get('subject')}": mapping, **others}, threshold)
        if labels:
            table.insert(0, "mapping", labels[number])
        tables.append(table)
    return pandas.concat(tables, ignore_index=True) if tables else pandas.DataFrame()


def _stacked(sets: dict[str, Mapping], variable: str) -> np.ndarray:
    """Values of each set; NaN where one has none."""
    shape = next(iter(sets.values())).dataset["r2"].shape
    datasets = [one.dataset for one in sets.values()]
    return np.stack([data[variable].values if variable in data else np.full(shape, np.nan) for data in datasets])


def _facts(mapping: Mapping) -> dict[str, Any]:
    facts = mapping.dataset.attrs
    known = {name: facts[name] for name in FACTS if name in facts}
    return {name: one.tolist() if isinstance(one, np.ndarray | np.generic) else one for name, one in known.items()}
