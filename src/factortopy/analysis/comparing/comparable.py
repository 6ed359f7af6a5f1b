"""Whether mappings may be compared at all; if not, what differs, in one line."""

from collections.abc import Sequence

import numpy as np

from factortopy.analysis.heldout._roi_scores import ceiling_facts
from factortopy.errors import DataError
from factortopy.mapping import Mapping

DIGITS = 10
"""Digits of a digest that are printed."""


def check_comparable(mappings: Sequence[Mapping], labels: Sequence[str]) -> None:
    """Refuse mappings of other responses, split, noise ceiling, voxels or ROIs than the first one's.

    Args:
        mappings: two or more.
        labels: what each is called in the message.

    Raises:
        DataError: if there are fewer than two, or they differ; the message says in what.
    """
    if len(mappings) < 2:
        raise DataError(f"a comparison needs two mappings or more, got {len(mappings)}")
    for mapping, label in zip(mappings[1:], labels[1:], strict=True):
        found = differing(mappings[0], mapping)
        if found:
            raise DataError(
                f"{labels[0]!r} and {label!r} cannot be compared, they differ in {'; '.join(found)}: fit "
                "both to the same responses with the same split"
            )


def differing(one: Mapping, other: Mapping) -> list[str]:
    """What keeps two mappings from being compared voxel by voxel, in words; empty if nothing does."""
    found = [
        f"{words} ({_short(left)} and {_short(right)})"
        for name, words in (
            ("subject", "subject"),
            ("split", "split"),
            ("images_test", "number of test images"),
        )
        for left, right in [(one.dataset.attrs.get(name), other.dataset.attrs.get(name))]
        if left != right
    ]
    hashes = [mapping.provenance.get("responses_hash") for mapping in (one, other)]
    if "subject" not in {part.split(" (")[0] for part in found} and None not in hashes and len(set(hashes)) > 1:
        found.append(f"responses ({_short(hashes[0])} and {_short(hashes[1])})")
    voxels = differing_voxels(one, other)
    return found + differing_ceiling(one, other, values=not voxels) + voxels


def differing_ceiling(one: Mapping, other: Mapping, *, values: bool) -> list[str]:
    """What differs in how the noise ceiling was had.

    Args:
        one: a mapping.
        other: another.
        values: whether the ceilings of the voxels must agree as well, as for one subject.
    """
    held = [mapping.dataset.get("ceiling") for mapping in (one, other)]
    if held[0] is None or held[1] is None:
        words = " and ".join("none" if item is None else "known" for item in held)
        return [] if held[0] is held[1] else [f"noise ceiling ({words})"]
    (formula, repeats), (formula_other, repeats_other) = ceiling_facts(one), ceiling_facts(other)
    if formula != formula_other:
        return [f"noise ceiling ({formula} and {formula_other})"]
    if values and repeats != repeats_other:
        return [f"trials averaged by test responses ({repeats} and {repeats_other})"]
    left, right = (item.values for item in held if item is not None)
    if not values or np.allclose(left, right, rtol=1e-4, atol=1e-6, equal_nan=True):
        return []
    return [f"noise ceiling (mean {np.nanmean(left):.4f} and {np.nanmean(right):.4f})"]


def differing_voxels(one: Mapping, other: Mapping) -> list[str]:
    """What differs in the voxels and in their ROIs."""
    surfaces = [mapping.dataset.attrs.get("surface") or "no surface" for mapping in (one, other)]
    if surfaces[0] != surfaces[1]:
        return [f"surface ({surfaces[0]} and {surfaces[1]})"]
    counts = [mapping.dataset.sizes["voxel"] for mapping in (one, other)]
    if counts[0] != counts[1]:
        return [f"voxels ({counts[0]:,} and {counts[1]:,})"]
    for name in ("hemisphere", "vertex"):
        known = [name in mapping.dataset.coords for mapping in (one, other)]
        if known[0] != known[1]:
            return [f"voxels (only one has its {name})"]
        if known[0] and not np.array_equal(one.dataset[name].values, other.dataset[name].values):
            return [f"voxels (equally many, {counts[0]:,}, but of other places)"]
    if set(one.rois) != set(other.rois):
        return [f"ROIs ({', '.join(one.rois) or 'none'} and {', '.join(other.rois) or 'none'})"]
    changed = [name for name, inside in one.rois.items() if (inside != other.rois[name]).any()]
    return [f"the voxels of ROI {', '.join(changed)}"] if changed else []


def _short(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return f"{text[:DIGITS]}…" if len(text) == 64 else repr(text) if isinstance(value, str) else text
