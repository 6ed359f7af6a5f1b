"""What every figure and table says of the numbers it shows: one line, made in one place."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

SIDES = {"train": "training", "validation": "validation", "test": "test"}
NAMED = {name: name for name in ("network", "subject", "recipe", "split", "seed")} | {"scores_of": "scores of"}
"""Facts that need their name beside them, and what it is called."""
PATCHES = "patches"
"""Attribute of the facts of several mappings, in some of which voxels read patches."""
DIGITS = 8
"""Of a split's digest: enough to tell splits apart."""


def facts(dataset: xr.Dataset, values: str = "") -> dict[str, str]:
    """What was mapped, how, on which images, and what the values shown are; in the order to be read.

    Args:
        dataset: of a mapping or a comparison; its attributes say what was done.
        values: what is shown, e.g. ``"layer share"``.

    Returns:
        Texts by name: ``network``, ``subject``, ``recipe``, ``split``, ``seed``, ``images`` and ``scores_of``,
        the kind of responses that scores are of (single trials, a person's own means of them, group means);
        ``assumption`` where there were no coordinates; ``penalty`` where it is at the edge of its grid; ``limits``
        where test images were too few for any; ``score`` where the dataset has one R^2 a voxel, which says so where
        it is above its noise ceiling;
        ``values`` if given; of selectors it says where shares alone tell what voxels read. What is not known says so.
    """
    attributes = dataset.attrs
    named = {
        "network": str(attributes.get("network", "unnamed")),
        "subject": str(attributes.get("subject", "unnamed")),
        "recipe": str(attributes.get("recipe", "unknown")),
        "split": str(attributes.get("split", "unknown"))[:DIGITS],
        "seed": str(attributes.get("seed", "unknown")),
        "images": _images(attributes),
        "scores_of": _scores_of(attributes),
    }
    if "split_name" in attributes:
        named["split"] += f" ({attributes['split_name']})"
    if "assumption" in attributes:
        named["assumption"] = str(attributes["assumption"])
    if "penalty_at_edge" in attributes:
        named["penalty"] = str(attributes["penalty_at_edge"])
    if "no_limits" in attributes:
        named["limits"] = str(attributes["no_limits"])
    if "r2" in dataset and dataset["r2"].dims == ("voxel",):
        named["score"] = _score(dataset)
    told = any(f"{kind} selector" in values for kind in ("layer", "scale"))
    if told and patches_fact([dataset]):
        values += " (voxels read patches: shares alone tell layers and scale)"
    return named | ({"values": values} if values else {})


def facts_line(dataset: xr.Dataset, values: str = "") -> str:
    """:func:`facts` as one line, parted by dots."""
    texts = facts(dataset, values)
    return " · ".join(f"{NAMED[name]} {text}" if name in NAMED else text for name, text in texts.items())


def patches_fact(datasets: Iterable[xr.Dataset]) -> dict[str, int]:
    """The attribute of what is made of several mappings, if in one of them voxels read patches; else nothing."""
    return {PATCHES: 1} if any("size" in dataset or PATCHES in dataset.attrs for dataset in datasets) else {}


def _images(attributes: dict[str, Any]) -> str:
    counts = {name: attributes.get(f"images_{side}") for side, name in SIDES.items()}
    texts = [
        f"{count if isinstance(count, str) else f'{int(count):,}'} {name}"
        for name, count in counts.items()
        if count is not None
    ]
    alone = " (the test images are the validation images)" if "scored_on" in attributes else ""
    return f"{', '.join(texts)} images{alone}" if texts else "images not counted"


def _score(dataset: xr.Dataset) -> str:
    """The mean score, raw; one above its noise ceiling is named and never clipped."""
    r2 = dataset["r2"].values
    if not np.isfinite(r2).any():
        return "no R²"
    text = f"mean R² {np.nanmean(r2):.3f} raw"
    both = np.isfinite(r2) & np.isfinite(dataset["ceiling"].values) if "ceiling" in dataset else np.zeros(len(r2), bool)
    if both.any() and r2[both].mean() > (ceiling := dataset["ceiling"].values[both].mean()):
        text += f", ABOVE its noise ceiling of {ceiling:.3f}"
    return text


def _scores_of(attributes: dict[str, Any]) -> str:
    """By ``scores_of``, ``trials_test`` and the numbers of test responses that average one trial, two and so on."""
    if "trials_test" in attributes:
        return f"{int(attributes['trials_test']):,} single trials of the test images"
    counts = np.asarray(attributes.get("repeats_test", ()))
    kind = {"own mean": "own means", "group mean": "group means"}.get(str(attributes.get("scores_of")), "")
    if not counts.sum():
        return f"{kind}, repeats not listed" if kind else "responses as given, repeats unknown"
    repeats = np.flatnonzero(counts) + 1
    if len(repeats) == 1 and repeats[0] == 1 and kind != "group means":
        return "single trials, one a test image"
    kind = kind or "own means"
    if len(repeats) == 1:
        return f"{kind} of {repeats[0]} repeats a test image"
    mean = np.average(np.arange(1, len(counts) + 1), weights=counts)
    return f"{kind} of {repeats[0]} to {repeats[-1]} repeats a test image, {mean:.1f} on average"
