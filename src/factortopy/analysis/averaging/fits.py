"""Means and limits over several fits of one network: seeds of one subject, or subjects; never over voxels."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas
from xarray import Dataset

from factortopy.analysis.estimates._estimate import CONFIDENCE, OVER_SEEDS, OVER_SUBJECTS, Estimate, student_limits
from factortopy.analysis.estimates._of_mapping import RATIO, estimate
from factortopy.analysis.estimates.tables import table_of
from factortopy.analysis.hierarchy.slope import LINE
from factortopy.analysis.regions import ALL_VOXELS, region_names
from factortopy.errors import DataError, ShapeError
from factortopy.mapping import Mapping

DIFFERENT = "differs"
LIMITED = ("r2", "depth", "scale_share")
"""Variables of one number a voxel that get limits over seeds."""


def over_fits(values: Sequence[float], over: str = OVER_SUBJECTS, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of independent fits, such as subjects or seeds, with Student's interval of the mean.

    Args:
        values: of every fit.
        over: what the fits are of: ``"subjects"`` or ``"seeds"``.
        confidence: of the limits, in 0..1.

    Raises:
        DataError: if there are fewer than two.
    """
    if len(values) < 2:
        raise DataError(f"an interval over fits needs two or more, got {len(values)}")
    return Estimate.of_sample(np.asarray(values, dtype=float), over, confidence)


def summarise_fits(mappings: Sequence[Mapping], confidence: float = CONFIDENCE) -> pandas.DataFrame:
    """Scores, shares and the hierarchy line over several fits, with limits.

    Several subjects: limits over subjects, each of which counts once however many seeds it has. One subject:
    limits over seeds, which say how far training (and the split, where each seed has its own) decides.

    Args:
        mappings: of one network by one recipe.
        confidence: of the limits, in 0..1.

    Returns:
        A row for each quantity and region that all have: ``quantity`` (``"r2"``, ``"normalised"``, ``"depth"``,
        ``"scale"``, or ``"slope"``, ``"b0"``, ``"b1"``), ``region``; ``mean`` over seeds, or over subjects, each the
        mean of its seeds, with ``mean_low`` and ``mean_high``, Student's limits of it; ``sd``, standard deviation
        over seeds or subjects; ``fits``, how many; ``limits``, ``"subjects"`` or ``"seeds"``.

    Raises:
        DataError: if there are fewer than two, one stands twice, or networks or recipes differ.
    """
    subjects = _grouped(mappings)
    over = OVER_SUBJECTS if len(subjects) > 1 else OVER_SEEDS
    groups = list(subjects.values()) if over == OVER_SUBJECTS else [[mapping] for mapping in mappings]
    regions = region_names(name for name in mappings[0].rois if all(name in mapping.rois for mapping in mappings))
    rows = []
    for region, quantity in [*product(regions, ("r2", RATIO, "depth", "scale")), *product([ALL_VOXELS], LINE)]:
        values = [[estimate(mapping, quantity, region).value for mapping in group] for group in groups]
        means = [float(np.mean(group)) for group in values]
        if np.isfinite(means).all():
            mean, sd = over_fits(means, over, confidence), float(np.std(means, ddof=1))
            rows.append(
                {"quantity": quantity, "region": region, "mean": mean, "sd": sd, "fits": len(groups), "limits": over}
            )
    return table_of(rows)


def seed_average(mappings: Sequence[Mapping]) -> Mapping:
    """Average fits of one network to one subject with several seeds: a mapping like any other.

    Args:
        mappings: of the same voxels.

    Returns:
        The mean of every variable over voxels, and ``<name>_sd``, its standard deviation over seeds; R^2,
        depth and scale share with ``_low`` and ``_high``, Student's limits of the mean over seeds; and,
        where all were tested on the same images, the mean of their draws, so that :func:`estimate` has
        limits over test images. Channels are left out: those of two fits are not the same.

    Raises:
        DataError: if there are fewer than two, a seed stands twice, or networks, recipes or subjects differ.
        ShapeError: if the mappings have other voxels or layers.
    """
    if len(_grouped(mappings)) > 1:
        raise DataError("an average over seeds needs one subject; for several see subject_average")
    first, rest = mappings[0].dataset, [held.dataset for held in mappings[1:]]
    for other in rest:
        if not all(_same(first, other, name) for name in ("vertex", "hemisphere", "network_layer")):
            raise ShapeError("an average over seeds needs the same voxels and layers in every mapping")
    datasets = [first, *rest]
    splits = {str(data.attrs.get("split")) for data in datasets}
    left_out = ("_low", "_high", "_raw", "channels")
    names = [
        str(name)
        for name, values in first.items()
        if not str(name).endswith(left_out)
        and ("voxel" in values.dims or (len(splits) == 1 and str(name).startswith("drawn_")))
        and all(name in data and data[name].shape == values.shape for data in rest)
    ]
    result = first.drop_vars(list(first.data_vars))
    for name in names:
        stacked = np.stack([data[name].values for data in datasets]).astype(np.float64)
        result[name] = (first[name].dims, stacked.mean(axis=0))
        if "voxel" in first[name].dims:
            result[f"{name}_sd"] = (first[name].dims, stacked.std(axis=0, ddof=1))
        if name in LIMITED:
            low, high = student_limits(stacked)
            result = result.assign({f"{name}_low": (("voxel",), low), f"{name}_high": (("voxel",), high)})
    seeds = ", ".join(str(data.attrs.get("seed", "unknown")) for data in datasets)
    split = splits.pop() if len(splits) == 1 else DIFFERENT
    facts = {"seed": seeds, "split": split, "limits": "Student's, of the mean over seeds"}
    return Mapping(result.assign_attrs(facts), settings=dict(mappings[0].settings), provenance={"seeds": seeds})


def _same(one: Dataset, other: Dataset, name: str) -> bool:
    if one.sizes["voxel"] != other.sizes["voxel"] or (name in one.coords) != (name in other.coords):
        return False
    return name not in one.coords or bool(np.array_equal(one[name].values, other[name].values))


def _grouped(mappings: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Mappings by subject, after proof that they are fits of one network that differ in subject or seed."""
    if len(mappings) < 2:
        raise DataError(f"limits over fits need two mappings or more, got {len(mappings)}")
    subjects: dict[str, list[Mapping]] = {}
    for mapping in mappings:
        subjects.setdefault(str(mapping.dataset.attrs.get("subject")), []).append(mapping)
    for name in ("network", "recipe"):
        held = list(dict.fromkeys(str(mapping.dataset.attrs.get(name)) for mapping in mappings))
        if len(held) > 1:
            raise DataError(f"these mappings differ in {name} ({', '.join(held)}); give fits of one {name}")
    for subject, own in subjects.items():
        seeds = [str(mapping.dataset.attrs.get("seed")) for mapping in own]
        if len(set(seeds)) < len(seeds):
            raise DataError(f"subject {subject!r} stands twice with seed {max(seeds, key=seeds.count)}")
    return subjects
