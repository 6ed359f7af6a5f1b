"""Tables of a comparison: each mapping in each ROI, its hierarchy line, and differences between mappings."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas
from jaxtyping import Float

from factortopy.analysis.comparing.comparison import Comparison, Winners
from factortopy.analysis.estimates._estimate import Estimate
from factortopy.analysis.estimates._of_mapping import RATIO, estimate, paired_difference
from factortopy.analysis.estimates.tables import table_of
from factortopy.analysis.hierarchy.slope import LINE
from factortopy.analysis.quantities import voxel_values
from factortopy.analysis.regions import ALL_VOXELS, finite_mean


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
        regions: mean difference by ROI and over all voxels, with limits where they are known.
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
    """
    left, right = (comparison.mappings[comparison.index(label)] for label in (one, other))
    values = voxel_values(left, quantity) - voxel_values(right, quantity)
    regions = {}
    for name, inside in comparison.regions.items():
        mean = finite_mean(values[inside])
        regions[name] = replace(paired_difference(left, right, quantity, name), value=mean)
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
