"""Mappings beside each other: whether they may be compared, what each says of every voxel, who predicts best where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from factortopy.analysis.estimates._of_mapping import split_of
from factortopy.analysis.heldout.scores import ceiling_facts
from factortopy.analysis.quantities import QUANTITIES, has_quantity, regions_of, voxel_values
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping


@dataclass(frozen=True, eq=False)
class Comparison:
    """Mappings onto the same voxels, scored on the same test images.

    Attributes:
        mappings: what is compared; differences are taken from the first.
        labels: a name for each, no two alike.
        dataset: each of ``QUANTITIES`` that all mappings have (mapping, voxel), with the voxels'
            coordinates and what a figure's header says of all.
    """

    mappings: tuple[Mapping, ...]
    labels: tuple[str, ...]
    dataset: xr.Dataset

    @property
    def simulated(self) -> bool:
        """Whether the responses were simulated."""
        return self.mappings[0].simulated

    @property
    def regions(self) -> dict[str, Bool[np.ndarray, "voxel"]]:
        """Membership of the ROIs that have voxels, and of all voxels."""
        return regions_of(self.mappings[0])

    def values(self, quantity: str) -> Float[np.ndarray, "mapping voxel"]:
        """A quantity of every mapping and voxel; see :func:`voxel_values`."""
        return np.stack([voxel_values(mapping, quantity) for mapping in self.mappings])

    def index(self, label: str) -> int:
        """Index of a mapping by its label.

        Raises:
            UnknownNameError: if there is none of that name.
        """
        if label not in self.labels:
            raise UnknownNameError("mapping", label, self.labels)
        return self.labels.index(label)


def compare(mappings: Sequence[Mapping], labels: Sequence[str] | None = None) -> Comparison:
    """Put mappings of the same voxels beside each other.

    Args:
        mappings: two or more, such as of several networks, sizes, checkpoints or time steps; or averages over
            the same subjects (:func:`factortopy.analysis.subject_average`).
        labels: a name for each; the networks' names, with what differs, if None.

    Raises:
        DataError: if the mappings differ in subject, responses, split, noise ceiling, voxels or ROIs (the
            message says in what), or labels are not as many or not distinct.

    Example:
        >>> comparison = ft.compare([mapping, mapping], labels=["before", "after"])
        >>> comparison.values("r2").shape == (2, mapping.dataset.sizes["voxel"])
        True
    """
    labels = labels_of(mappings) if labels is None else tuple(labels)
    if len(labels) != len(mappings) or len(set(labels)) != len(labels):
        raise DataError(f"{len(mappings)} mappings need as many distinct labels, got {', '.join(labels)}")
    check_comparable(mappings, labels)
    first = mappings[0].dataset
    names = [name for name in QUANTITIES if all(has_quantity(mapping, name) for mapping in mappings)]
    variables = {
        name: (("mapping", "voxel"), np.stack([voxel_values(mapping, name) for mapping in mappings])) for name in names
    }
    kept = {name: values for name, values in first.coords.items() if values.dims == ("voxel",)}
    attributes = first.attrs | {
        name: " / ".join(dict.fromkeys(str(mapping.dataset.attrs.get(name)) for mapping in mappings))
        for name in ("recipe", "seed")
    }
    attributes["network"] = " / ".join(labels) if len(labels) <= 3 else f"{len(labels)} mappings"
    dataset = xr.Dataset(variables, kept | {"mapping": list(labels)}, attributes)
    return Comparison(tuple(mappings), labels, dataset)


@dataclass(frozen=True, eq=False)
class Winners:
    """Which mapping predicts each voxel best.

    Attributes:
        best: index of the mapping of largest R^2; -1 where no mapping's R^2 is above 0.
        margin: R^2 of the best less that of the next; NaN where ``best`` is -1.
        low: lower limit of the margin; None where no limits are known.
        clear: where the best is better beyond doubt (``low`` above 0); None as ``low``.
        basis: what the limits are made from.
    """

    best: Int[np.ndarray, "voxel"]
    margin: Float[np.ndarray, "voxel"]
    low: Float[np.ndarray, "voxel"] | None
    clear: Bool[np.ndarray, "voxel"] | None
    basis: str

    def share(self, inside: Bool[np.ndarray, "voxel"], index: int, *, clear: bool = False) -> float:
        """Part of some voxels that a mapping wins; with ``clear``, beyond doubt; NaN if not known.

        Args:
            inside: the voxels.
            index: of the mapping; -1 for those that none predicts.
            clear: count only voxels where the margin is clear.
        """
        if not inside.any() or (clear and self.clear is None):
            return float("nan")
        won = self.best[inside] == index
        return float((won & self.clear[inside] if clear and self.clear is not None else won).mean())


PAIRED = "limits: paired draws of test images"
SEPARATE = "limits: of each mapping by itself, cautious"
UNKNOWN = "no limits: fitted without bootstrap"


def winners(comparison: Comparison) -> Winners:
    """Which mapping predicts each voxel best, and by how much, from what mappings hold.

    A mapping holds limits of R^2 by itself, not of differences: the lower limit of the margin is the best's
    ``r2_low`` less the largest ``r2_high`` of the others. Test images that are hard are so for all networks,
    so this is cautious; :func:`factortopy.analysis.paired_winners` gives paired limits where predictions are
    at hand.

    Args:
        comparison: mappings of the same voxels.

    Example:
        >>> won = ft.winners(ft.compare([mapping, other_seed], labels=["one", "other"]))
        >>> len(won.best) == mapping.dataset.sizes["voxel"]
        True
    """
    r2 = comparison.values("r2")
    best, margin = best_and_margin(r2)
    if not all("r2_low" in mapping.dataset for mapping in comparison.mappings):
        return Winners(best, margin, None, None, UNKNOWN)
    lows, highs = (
        np.stack([mapping.dataset[name].values for mapping in comparison.mappings]) for name in ("r2_low", "r2_high")
    )
    own = np.arange(len(r2))[:, None] == best
    low = np.where(own, lows, -np.inf).max(axis=0) - np.where(own, -np.inf, highs).max(axis=0)
    low = np.where(best >= 0, low, np.nan)
    return Winners(best, margin, low, low > 0, SEPARATE)


def best_and_margin(
    r2: Float[np.ndarray, "mapping voxel"],
) -> tuple[Int[np.ndarray, "voxel"], Float[np.ndarray, "voxel"]]:
    """The mapping of largest R^2, -1 where none is above 0, and its R^2 less the next one's."""
    scores = np.where(np.isfinite(r2), r2, -np.inf)
    order = np.sort(scores, axis=0)
    predicted = order[-1] > 0
    best = np.where(predicted, scores.argmax(axis=0), -1)
    margin = np.full(r2.shape[1], np.nan)
    margin[predicted] = order[-1, predicted] - order[-2, predicted]
    return best, margin


def labels_of(mappings: Sequence[Mapping]) -> tuple[str, ...]:
    """A name for each mapping: its network, with subject, recipe or seed where these tell two apart."""
    parts = [
        {name: str(mapping.dataset.attrs.get(name, "unknown")) for name in ("subject", "recipe", "seed")}
        for mapping in mappings
    ]
    names = [str(mapping.dataset.attrs.get("network", "unnamed")) for mapping in mappings]
    for key in ("subject", "recipe", "seed"):
        if len(set(names)) < len(names) and len({part[key] for part in parts}) > 1:
            prefix = "seed " if key == "seed" else ""
            names = [f"{name}, {prefix}{part[key]}" for name, part in zip(names, parts, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return tuple(names)


DIGITS = 10
"""Digits of a digest that are printed."""


def check_comparable(mappings: Sequence[Mapping], labels: Sequence[str]) -> None:
    """Refuse mappings of other responses, split, noise ceiling, voxels or ROIs than the first one's."""
    if len(mappings) < 2:
        raise DataError(f"a comparison needs two mappings or more, got {len(mappings)}")
    for mapping, label in zip(mappings[1:], labels[1:], strict=True):
        differences = differing(mappings[0], mapping)
        if differences:
            raise DataError(
                f"{labels[0]!r} and {label!r} cannot be compared, they differ in {'; '.join(differences)}: fit both to "
                "the same responses with the same split, that of one --seed or of --split FILE.json"
            )


def differing(one: Mapping, other: Mapping) -> list[str]:
    """What keeps two mappings from being compared voxel by voxel, in words; empty if nothing does."""
    words = {"subject": "subject", "split": "split", "images_test": "number of test images"}
    pairs = {name: (one.dataset.attrs.get(name), other.dataset.attrs.get(name)) for name in words}
    pairs["split"] = split_of(one), split_of(other)
    differences = [
        f"{words[name]} ({_short(left)} and {_short(right)})" for name, (left, right) in pairs.items() if left != right
    ]
    hashes = [mapping.provenance.get("responses_hash") for mapping in (one, other)]
    if pairs["subject"][0] == pairs["subject"][1] and None not in hashes and hashes[0] != hashes[1]:
        differences.append(f"responses ({_short(hashes[0])} and {_short(hashes[1])})")
    voxels = differing_voxels(one, other)
    return differences + differing_ceiling(one, other, values=not voxels) + voxels


def differing_ceiling(one: Mapping, other: Mapping, *, values: bool) -> list[str]:
    """What differs in how the noise ceiling was had."""
    ceilings = [mapping.dataset.get("ceiling") for mapping in (one, other)]
    if ceilings[0] is None or ceilings[1] is None:
        words = " and ".join("none" if item is None else "known" for item in ceilings)
        return [] if ceilings[0] is ceilings[1] else [f"noise ceiling ({words})"]
    (formula, repeats), (formula_other, repeats_other) = ceiling_facts(one), ceiling_facts(other)
    if formula != formula_other:
        return [f"noise ceiling ({formula} and {formula_other})"]
    if values and repeats != repeats_other:
        return [f"trials averaged by test responses ({repeats} and {repeats_other})"]
    left, right = (item.values for item in ceilings if item is not None)
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
        given = [name in mapping.dataset.coords for mapping in (one, other)]
        if given[0] != given[1]:
            return [f"voxels (only one has its {name})"]
        if given[0] and not np.array_equal(one.dataset[name].values, other.dataset[name].values):
            return [f"voxels (equally many, {counts[0]:,}, but of other places)"]
    if set(one.rois) != set(other.rois):
        return [f"ROIs ({', '.join(one.rois) or 'none'} and {', '.join(other.rois) or 'none'})"]
    changed = [name for name, inside in one.rois.items() if (inside != other.rois[name]).any()]
    return [f"the voxels of ROI {', '.join(changed)}"] if changed else []


def _short(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return f"{text[:DIGITS]}…" if len(text) == 64 else repr(text) if isinstance(value, str) else text
