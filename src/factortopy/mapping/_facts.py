"""What every figure and table says of the numbers it shows: one line, made in one place."""

from typing import Any

import numpy as np
import xarray as xr

SIDES = {"train": "training", "validation": "validation", "test": "test"}
NAMED = ("network", "subject", "recipe", "split", "seed")
"""Facts that need their name beside them."""
DIGITS = 8
"""Of a split's digest: enough to tell splits apart."""


def facts(dataset: xr.Dataset, values: str = "") -> dict[str, str]:
    """What was mapped, how, on which images, and what the values shown are; in the order to be read.

    Args:
        dataset: of a mapping or a comparison; its attributes say what was done.
        values: what is shown, e.g. ``"layer share"``.

    Returns:
        Texts by name: ``network``, ``subject``, ``recipe``, ``split``, ``seed``, ``images`` and ``repeats``;
        ``assumption`` where there were no coordinates; ``limits`` where test images were too few for any;
        ``score`` where the dataset has one R^2 a voxel; ``values`` if given. What is not known says so.
    """
    attributes = dataset.attrs
    named = {
        "network": str(attributes.get("network", "unnamed")),
        "subject": str(attributes.get("subject", "unnamed")),
        "recipe": str(attributes.get("recipe", "unknown")),
        "split": str(attributes.get("split", "unknown"))[:DIGITS],
        "seed": str(attributes.get("seed", "unknown")),
        "images": _images(attributes),
        "repeats": _repeats(attributes),
    }
    if "split_name" in attributes:
        named["split"] += f" ({attributes['split_name']})"
    if "assumption" in attributes:
        named["assumption"] = str(attributes["assumption"])
    if "no_limits" in attributes:
        named["limits"] = str(attributes["no_limits"])
    if "r2" in dataset and dataset["r2"].dims == ("voxel",):
        r2 = dataset["r2"].values
        named["score"] = f"mean R² {np.nanmean(r2):.3f} raw" if np.isfinite(r2).any() else "no R²"
    return named | ({"values": values} if values else {})


def facts_line(dataset: xr.Dataset, values: str = "") -> str:
    """:func:`facts` as one line, parted by dots."""
    texts = facts(dataset, values)
    return " · ".join(f"{name} {text}" if name in NAMED else text for name, text in texts.items())


def _images(attributes: dict[str, Any]) -> str:
    counts = {name: attributes.get(f"images_{side}") for side, name in SIDES.items()}
    texts = [
        f"{count if isinstance(count, str) else f'{int(count):,}'} {name}"
        for name, count in counts.items()
        if count is not None
    ]
    alone = " (the test images are the validation images)" if "scored_on" in attributes else ""
    return f"{', '.join(texts)} images{alone}" if texts else "images not counted"


def _repeats(attributes: dict[str, Any]) -> str:
    """From ``trials_test``, or the numbers of test responses that average one trial, two trials and so on."""
    if "trials_test" in attributes:
        return f"{int(attributes['trials_test']):,} single trials of the test images"
    counts = np.asarray(attributes.get("repeats_test", ()))
    if not counts.sum():
        return "repeats not given"
    repeats = np.flatnonzero(counts) + 1
    if len(repeats) == 1:
        return f"{repeats[0]} repeat{'s' if repeats[0] > 1 else ''} a test image"
    mean = np.average(np.arange(1, len(counts) + 1), weights=counts)
    return f"{repeats[0]} to {repeats[-1]} repeats a test image, mean {mean:.1f}"
