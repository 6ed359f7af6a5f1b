"""Means over fits of one network: over seeds of one subject, or over subjects vertex by vertex; never over voxels."""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import pandas
import xarray as xr
from jaxtyping import Float

from factortopy.analysis.comparing.comparison import differing_ceiling
from factortopy.analysis.estimates._of_mapping import RATIO, SPLITS, counted_values, estimate, split_of, tells
from factortopy.analysis.estimates.estimate_tables import (
    CONFIDENCE,
    OVER_FOLDS,
    OVER_SEEDS,
    OVER_SUBJECTS,
    over_fits,
    student_limits,
    table_of,
)
from factortopy.analysis.quantities import finite_mean, region_names, regions_of
from factortopy.analysis.slope import LINE, hierarchy_slope
from factortopy.analysis.vertices import Vertices
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, ShapeError, UnknownNameError
from factortopy.mapping import OTHER, SHARES, SIMULATED, YARDSTICK, Mapping, mapping_dataset, patches_fact
from factortopy.provenance import provenance
from factortopy.storage import sha256_text

DIFFERENT = "differs"
SAME = ("network", "surface", "recipe", "global_token", "gauge", "scores_of")
"""What all mappings of an average must have in common."""
IMAGES = ("images_train", "images_validation", "images_test")
AVERAGED = ("space", "layer", "scale", "r2", "layer_share", "scale_share", "depth", "ceiling", "r")
LIMITED = ("r2", "depth", "scale_share")
"""Variables of one number a voxel that get limits over seeds or subjects."""


def summarise_fits(mappings: Sequence[Mapping], confidence: float = CONFIDENCE) -> pandas.DataFrame:
    """Scores, shares and the hierarchy line over several fits, with limits.

    Several subjects: limits over subjects, each of which counts once however many seeds it has. One subject:
    limits over seeds, which say how far training (and the split, where each seed has its own) decides; or over folds,
    where all have one seed.

    Args:
        mappings: of one network by one recipe.
        confidence: of the limits, in 0..1.

    Returns:
        A row for each quantity and region that all have: ``quantity`` (``"r2"``, ``"normalised"``, ``"depth"``,
        ``"scale"``, or ``"slope"``, ``"b0"``, ``"b1"``), ``region``; ``mean`` over seeds, or over subjects, each the
        mean of its seeds, with ``mean_low`` and ``mean_high``, Student's limits of it; ``sd``, standard deviation
        over seeds, folds or subjects; ``fits``, how many; ``limits``, ``"subjects"``, ``"seeds"`` or ``"folds"``.

    Raises:
        DataError: if there are fewer than two, one stands twice, or networks or recipes differ.

    Example:
        >>> table = ft.summarise_fits([mapping, other_seed])
        >>> "all voxels" in set(table["region"])
        True
    """
    subjects = _grouped(mappings)
    seeds = {str(mapping.dataset.attrs.get("seed")) for mapping in mappings}
    over = OVER_SUBJECTS if len(subjects) > 1 else OVER_SEEDS if len(seeds) > 1 else OVER_FOLDS
    groups = list(subjects.values()) if len(subjects) > 1 else [[mapping] for mapping in mappings]
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

    Example:
        >>> average = ft.seed_average([mapping, other_seed])
        >>> average.dataset.sizes["voxel"] == mapping.dataset.sizes["voxel"]
        True
    """
    if len(_grouped(mappings)) > 1:
        raise DataError("an average over seeds needs one subject; for several see subject_average")
    first, rest = mappings[0].dataset, [mapping.dataset for mapping in mappings[1:]]
    for other in rest:
        if not all(_same(first, other, name) for name in ("vertex", "hemisphere", "network_layer")):
            raise ShapeError("an average over seeds needs the same voxels and layers in every mapping")
    datasets = [first, *rest]
    splits = {str(data.attrs.get("split")) for data in datasets}
    # Where voxels are many each seed has a ridge on a sample of its own, whose means are not of the same voxels.
    samples = {np.isfinite(data["ridge_r2"].values).tobytes() for data in datasets if "ridge_r2" in data}
    left_out = ("_low", "_high", "_raw", "channels", *(YARDSTICK if len(samples) > 1 else ()))
    names = [
        str(name)
        for name, values in first.items()
        if not str(name).endswith(left_out)
        and not str(name).startswith((OTHER, *SIMULATED))
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
    split = {"split": DIFFERENT, SPLITS: sha256_text(*sorted(splits))} if len(splits) > 1 else {"split": splits.pop()}
    facts = {"seed": seeds, **split, "limits": "Student's, of the mean over seeds", **patches_fact(datasets)}
    kept = _in_common(mappings) | {"seeds": seeds}
    return Mapping(result.assign_attrs(facts), settings=dict(mappings[0].settings), provenance=kept)


def _in_common(mappings: Sequence[Mapping]) -> dict[str, object]:
    """Subject and responses where all have the same: what averages are compared by."""
    first, *rest = (mapping.provenance for mapping in mappings)
    names = [name for name in ("subject", "responses_hash") if name in first]
    return {name: first[name] for name in names if all(other.get(name) == first[name] for other in rest)}


def _same(one: xr.Dataset, other: xr.Dataset, name: str) -> bool:
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
        values = list(dict.fromkeys(str(mapping.dataset.attrs.get(name)) for mapping in mappings))
        if len(values) > 1:
            raise DataError(f"these mappings differ in {name} ({', '.join(values)}); give fits of one {name}")
    for subject, own in subjects.items():
        runs = [tuple(str(mapping.dataset.attrs.get(name)) for name in ("seed", "split")) for mapping in own]
        if len(set(runs)) < len(runs):
            seed = max(runs, key=runs.count)[0]
            raise DataError(f"subject {subject!r} stands twice with seed {seed} and one split; give each fit once")
    return subjects


def subject_average(mappings: Sequence[Mapping], fewest: int = 1) -> Mapping:
    """Average one network's mappings over subjects, each vertex over the subjects that have it.

    Args:
        mappings: one a subject, of vertices of one surface, such as fsaverage.
        fewest: vertices that fewer subjects have are left out.

    Returns:
        A mapping that can be painted and compared like any other: means of selectors, shares, R^2 and
        ceiling; ``subjects`` (voxel), how many have the vertex; ``r2``, ``depth`` and ``scale_share`` with
        ``_low`` and ``_high``, Student's limits of the mean over subjects (NaN where fewer than two have the
        vertex); ``persons_r2``, ``persons_ceiling``, ``persons_depth``, ``persons_scale`` (person, region)
        and ``persons_slope``, ``persons_b0``, ``persons_b1`` (person), each subject's own ROI means and
        hierarchy line. Of a subject in whom nothing was found scores count alone. A vertex lies in an ROI if it
        does in more than half of the subjects that have it.

    Raises:
        DataError: if there are fewer than two, a subject stands twice, or they differ in network, layers,
            surface, recipe, global token, gauge or noise ceiling.

    Example:
        >>> average = ft.subject_average([mapping, other_subject])
        >>> average.dataset.sizes["voxel"] == mapping.dataset.sizes["voxel"]
        True
    """
    _check(mappings)
    vertices = Vertices(mappings, fewest)
    values: dict[str, np.ndarray] = {"subjects": vertices.count}
    found = any(map(tells, mappings))
    if not found:  # as in its subjects, maps are drawn and numbers of depth and scale not given
        values["predicted"] = np.zeros(len(vertices.count), np.float32)
    for name in AVERAGED:
        if all(name in mapping.dataset for mapping in mappings):
            stacked = vertices.spread([_told(mapping, name) if found else mapping.found(name) for mapping in mappings])
            values[name] = finite_mean(stacked, axis=0).astype(np.float32)
            if name in LIMITED:
                values[f"{name}_low"], values[f"{name}_high"] = student_limits(stacked)
    rois = vertices.rois(mappings)
    values |= _by_subject(mappings, rois)
    names = [str(mapping.dataset.attrs["subject"]) for mapping in mappings]
    values |= {
        "hemisphere": vertices.hemisphere,
        "vertex": vertices.vertex,
        "person": np.array(names),
        "region": np.array(region_names(rois)),
    }
    dataset = mapping_dataset(values, mappings[0].layers, rois, _attributes(mappings, names))
    facts = {"subject": mappings[0].provenance.get("subject", {}), "averaged": names}
    return Mapping(dataset, settings=dict(mappings[0].settings), provenance=provenance(**facts))


def _told(mapping: Mapping, name: str) -> Float[np.ndarray, "voxel *rest"]:
    """As ``Mapping.found``; no share or depth of a subject in whom nothing is predicted, which are of no worth."""
    values = mapping.found(name)
    return values if tells(mapping) or name not in SHARES else np.full(values.shape, np.nan)


def _check(mappings: Sequence[Mapping]) -> None:
    names = [str(mapping.dataset.attrs.get("subject")) for mapping in mappings]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise DataError(f"an average needs two subjects or more, each once; got {', '.join(names) or 'none'}")
    first = mappings[0]
    for name, mapping in zip(names, mappings, strict=True):
        pairs = {key: (first.dataset.attrs.get(key), mapping.dataset.attrs.get(key)) for key in SAME}
        differences = [f"{key} ({left} and {right})" for key, (left, right) in pairs.items() if left != right]
        if first.layers != mapping.layers:
            differences.append(f"layers ({len(first.layers)} and {len(mapping.layers)})")
        differences += differing_ceiling(first, mapping, values=False)
        if differences:
            words = "; ".join(differences)
            raise DataError(f"the mappings of {names[0]!r} and {name!r} cannot be averaged, they differ in {words}")
        if not mapping.dataset.attrs.get("surface"):
            raise DataError(f"{name!r} lies on no surface; an average needs vertices of one, such as fsaverage")


def _by_subject(mappings: Sequence[Mapping], rois: Iterable[str]) -> dict[str, np.ndarray]:
    """Each subject's own ROI means and hierarchy line; NaN where it has none."""
    variables: dict[str, np.ndarray] = {}
    regions = [regions_of(mapping) for mapping in mappings]
    for quantity in ("r2", "ceiling", "depth", "scale"):
        try:
            values = [counted_values(mapping, quantity) for mapping in mappings]
        except UnknownNameError:
            continue
        means = [
            [finite_mean(own[inside[name]]) if name in inside else np.nan for name in region_names(rois)]
            for own, inside in zip(values, regions, strict=True)
        ]
        variables[f"persons_{quantity}"] = np.array(means)
    try:
        lines = [hierarchy_slope(mapping) if tells(mapping) else None for mapping in mappings]
    except (DataError, UnknownNameError):
        return variables
    return variables | {f"persons_{name}": np.array([getattr(line, name, np.nan) for line in lines]) for name in LINE}


def _attributes(mappings: Sequence[Mapping], names: list[str]) -> dict[str, object]:
    every = [mapping.dataset.attrs for mapping in mappings]
    return {
        **{name: every[0][name] for name in SAME if name in every[0]},
        "subject": f"average of {len(names)} ({', '.join(names)})",
        "simulated": int(any(mapping.simulated for mapping in mappings)),
        "seed": " / ".join(dict.fromkeys(str(attributes.get("seed")) for attributes in every)),
        "split": sha256_text(*(str(split_of(mapping)) for mapping in mappings)),
        "confidence": CONFIDENCE,
        "limits": "Student's, of the mean over subjects",
        **patches_fact(mapping.dataset for mapping in mappings),
        **{name: _range(attributes.get(name) for attributes in every) for name in IMAGES},
    }


def _range(counts: Iterable[object]) -> str:
    """Numbers of images of all subjects, in words."""
    numbers = [int(str(count)) for count in counts if count is not None]
    few, many = min(numbers, default=0), max(numbers, default=0)
    return f"{many:,}" if few == many else f"{few:,} to {many:,}"
