"""What a comparison says: each mapping in each ROI, hierarchy lines, differences, and how alike whole mappings are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas
from jaxtyping import Float, Int

from factortopy.analysis.comparing.comparison import Comparison, Winners, labels_of
from factortopy.analysis.estimates._of_mapping import RATIO, counted_values, estimate, paired_difference
from factortopy.analysis.estimates.estimate_tables import Estimate, table_of
from factortopy.analysis.quantities import finite_mean, map_correlation, voxel_values
from factortopy.analysis.slope import LINE
from factortopy.cortex import ALL_VOXELS
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping


def region_table(comparison: Comparison, won: Winners) -> pandas.DataFrame:
    """Each mapping in each ROI that has voxels and in all voxels, ROI by ROI.

    Args:
        comparison: mappings of the same voxels.
        won: from :func:`factortopy.analysis.winners` or ``paired_winners``.

    Returns:
        Columns ``mapping``, ``roi``, ``voxels``; with ``_low`` and ``_high``, ``r2`` (mean raw R^2), ``normalised``
        (mean R^2 over mean ceiling), ``depth`` (mean layer position by share), ``scale`` (mean scale share) and
        ``difference`` (R^2 less the first mapping's, in pairs); ``ceiling``; ``won`` and ``won_clearly``, parts of
        the voxels where this mapping's R^2 is the largest and above 0; ``limits``, what limits are over.

    Example:
        >>> comparison = ft.compare([mapping, other_seed], labels=["one", "other"])
        >>> sorted(set(ft.region_table(comparison, ft.winners(comparison))["mapping"]))
        ['one', 'other']
    """
    return table_of(
        _region_row(comparison, won, index, roi)
        for roi, index in product(comparison.regions, range(len(comparison.mappings)))
    )


def line_table(comparison: Comparison) -> pandas.DataFrame:
    """Slope, b0 and b1 of each mapping by layer share; empty where the ROIs allow no line.

    Args:
        comparison: mappings of the same voxels.

    Returns:
        Columns ``mapping``, ``quantity``; ``value``, ``low``, ``high``; ``difference`` (less the first mapping's, in
        pairs), ``difference_low``, ``difference_high``; ``limits``, what limits are over.
    """
    rows = []
    for (index, label), quantity in product(enumerate(comparison.labels), LINE):
        value = estimate(comparison.mappings[index], quantity)
        if value.known:
            less = _from_first(comparison, index, quantity)
            limits = value.over or "none"
            rows.append({"mapping": label, "quantity": quantity, "value": value, "difference": less, "limits": limits})
    return table_of(rows)


@dataclass(frozen=True, eq=False)
class Difference:
    """One mapping's quantity less another's, voxel by voxel.

    Attributes:
        quantity: what is compared.
        one: label of the mapping.
        other: label of the mapping that is taken off.
        values: the difference; NaN where either has none.
        regions: mean difference by ROI and over all voxels, with limits where they are known and both mappings have
            the quantity in the same voxels.
    """

    quantity: str
    one: str
    other: str
    values: Float[np.ndarray, "voxel"]
    regions: dict[str, Estimate]


def difference(comparison: Comparison, quantity: str, one: str, other: str) -> Difference:
    """What one mapping says more of each voxel than another.

    Args:
        comparison: mappings of the same voxels.
        quantity: as :func:`factortopy.analysis.voxel_values` takes it, such as ``"depth"`` or ``"r2"``.
        one: label of the mapping.
        other: label of the mapping that is taken off.

    Raises:
        UnknownNameError: if there is no such mapping or quantity.

    Example:
        >>> comparison = ft.compare([mapping, other_seed], labels=["one", "other"])
        >>> len(ft.difference(comparison, "r2", "one", "other").values) == mapping.dataset.sizes["voxel"]
        True
    """
    left, right = (comparison.mappings[comparison.index(label)] for label in (one, other))
    values = voxel_values(left, quantity) - voxel_values(right, quantity)
    both = np.stack([counted_values(mapping, quantity) for mapping in (left, right)])
    known = np.isfinite(both)
    # Draws are of means over each mapping's own voxels: limits of this mean only where those are the same.
    regions = {
        name: paired_difference(left, right, quantity, name)
        if (known[0] == known[1])[inside].all()
        else Estimate(finite_mean((both[0] - both[1])[inside]))
        for name, inside in comparison.regions.items()
    }
    return Difference(quantity, one, other, values, regions)


def _region_row(comparison: Comparison, won: Winners, index: int, roi: str) -> dict[str, object]:
    mapping, inside = comparison.mappings[index], comparison.regions[roi]
    r2 = estimate(mapping, "r2", roi)
    return {
        "mapping": comparison.labels[index],
        "roi": roi,
        "voxels": int(inside.sum()),
        "r2": r2,
        "ceiling": estimate(mapping, "ceiling", roi).value,
        **{name: estimate(mapping, name, roi) for name in (RATIO, "depth", "scale")},
        "difference": _from_first(comparison, index, "r2", roi),
        "won": won.share(inside, index),
        "won_clearly": won.share(inside, index, clear=True),
        "limits": r2.over or "none",
    }


def _from_first(comparison: Comparison, index: int, quantity: str, region: str = ALL_VOXELS) -> Estimate:
    if index == 0:
        return Estimate()
    return paired_difference(comparison.mappings[index], comparison.mappings[0], quantity, region)


SIMILARITIES = {
    "depth": "layer position by share",
    "layer": "layer shares",
    "scale": "scale share",
    "space": "place in the image",
    "r2": "R²",
}


@dataclass(frozen=True, eq=False)
class Similarity:
    """Correlation between mappings over the voxels they share.

    Attributes:
        quantity: one of ``SIMILARITIES``.
        labels: names of the mappings.
        correlation: symmetric, 1 on the diagonal; NaN where too few voxels are shared or nothing varies.
        voxels: number of voxels that went into each.
    """

    quantity: str
    labels: tuple[str, ...]
    correlation: Float[np.ndarray, "mapping mapping"]
    voxels: Int[np.ndarray, "mapping mapping"]


def similarity(mappings: Sequence[Mapping], quantity: str, labels: Sequence[str] | None = None) -> Similarity:
    """Correlation of a quantity between mappings of one surface, of one subject or several.

    With A and B the values of two mappings over the voxels that both have, a column a component and each
    less its mean over these voxels, ``r = sum A B / sqrt(sum A^2 sum B^2)``: Pearson's r for one number a
    voxel. Of places the components are x and y. Layer shares of L layers are shares of L equal parts of
    depth; for networks of different L they are summed into as many equal parts as the smallest L.

    Args:
        mappings: two or more, of vertices of one surface, or of the very same voxels.
        quantity: ``"depth"``, ``"layer"``, ``"scale"``, ``"space"`` or ``"r2"``.
        labels: names of the mappings; the networks' if None.

    Raises:
        UnknownNameError: if there is no such quantity.
        DataError: if a mapping lacks it, or the mappings lie on different surfaces.

    Example:
        >>> comparison = ft.compare([mapping, other_seed], labels=["one", "other"])
        >>> ft.similarity([mapping, mapping], "depth", labels=["one", "same"]).correlation.round(6).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    if quantity not in SIMILARITIES:
        raise UnknownNameError("similarity", quantity, SIMILARITIES)
    labels = labels_of(mappings) if labels is None else tuple(labels)
    vertices = _vertex_numbers(mappings)
    fewest = min(len(mapping.layers) for mapping in mappings)
    values = [_components(mapping, quantity, fewest) for mapping in mappings]
    count = len(mappings)
    correlation, voxels = np.full((count, count), np.nan), np.zeros((count, count), dtype=int)
    for i in range(count):
        for j in range(i, count):
            _, left, right = np.intersect1d(vertices[i], vertices[j], assume_unique=True, return_indices=True)
            correlation[i, j], voxels[i, j] = map_correlation(values[i][left], values[j][right])
            correlation[j, i], voxels[j, i] = correlation[i, j], voxels[i, j]
    return Similarity(quantity, labels, correlation, voxels)


def shares_by_depth(shares: Float[np.ndarray, "voxel layer"], parts: int) -> Float[np.ndarray, "voxel part"]:
    """Layer shares summed into equal parts of depth, a layer being the l-th of L equal parts."""
    layers = shares.shape[1]
    total = np.concatenate([np.zeros((len(shares), 1)), np.cumsum(shares, axis=1)], axis=1)
    edges = np.linspace(0, layers, parts + 1)
    below = np.minimum(edges.astype(int), layers - 1)
    until = total[:, below] + (edges - below) * shares[:, below]
    return np.diff(until, axis=1)


def _components(mapping: Mapping, quantity: str, parts: int) -> Float[np.ndarray, "voxel component"]:
    if quantity == "space":
        return np.asarray(mapping.found("space"), dtype=float)
    if quantity != "layer":
        return voxel_values(mapping, quantity)[:, None]
    if "layer_share" not in mapping.dataset:
        raise DataError("layer shares are compared, but a mapping holds none; fit it again")
    return shares_by_depth(mapping.found("layer_share").astype(float), parts)


def _vertex_numbers(mappings: Sequence[Mapping]) -> list[Int[np.ndarray, "voxel"]]:
    """A number for each voxel that is the same in all mappings; distinct within one."""
    surfaces = {str(mapping.dataset.attrs.get("surface") or "") for mapping in mappings}
    if len(surfaces) > 1:
        raise DataError(f"mappings on different surfaces share no voxels: {', '.join(sorted(surfaces))}")
    subjects = {str(mapping.dataset.attrs.get("subject")) for mapping in mappings}
    on_vertices = all({"hemisphere", "vertex"} <= set(mapping.dataset.coords) for mapping in mappings)
    if surfaces != {""} and on_vertices:
        return [
            2 * mapping.dataset["vertex"].values + (mapping.dataset["hemisphere"].values == "right")
            for mapping in mappings
        ]
    if len(subjects) > 1 or len({mapping.dataset.sizes["voxel"] for mapping in mappings}) > 1:
        raise DataError("voxels of different subjects can be matched only as vertices of one surface")
    return [np.arange(mapping.dataset.sizes["voxel"]) for mapping in mappings]
