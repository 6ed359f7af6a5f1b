"""How alike whole mappings are: correlations over voxels of what no scaling of features changes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from factortopy.analysis.comparing.comparison import labels_of
from factortopy.analysis.quantities import map_correlation, voxel_values
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping

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
    """Layer shares summed into equal parts of depth, a layer being the l-th of L equal parts.

    Args:
        shares: of each layer.
        parts: how many, at most L.
    """
    layers = shares.shape[1]
    total = np.concatenate([np.zeros((len(shares), 1)), np.cumsum(shares, axis=1)], axis=1)
    edges = np.linspace(0, layers, parts + 1)
    below = np.minimum(edges.astype(int), layers - 1)
    until = total[:, below] + (edges - below) * shares[:, below]
    return np.diff(until, axis=1)


def _components(mapping: Mapping, quantity: str, parts: int) -> Float[np.ndarray, "voxel component"]:
    if quantity == "space":
        return np.asarray(mapping.dataset["space"].values, dtype=float)
    if quantity != "layer":
        return voxel_values(mapping, quantity)[:, None]
    if "layer_share" not in mapping.dataset:
        raise DataError("layer shares are compared, but a mapping holds none; fit it again")
    return shares_by_depth(mapping.dataset["layer_share"].values.astype(float), parts)


def _vertex_numbers(mappings: Sequence[Mapping]) -> list[Int[np.ndarray, "voxel"]]:
    """A number for each voxel that is the same in all mappings; distinct within one."""
    surfaces = {str(mapping.dataset.attrs.get("surface") or "") for mapping in mappings}
    if len(surfaces) > 1:
        raise DataError(f"mappings on different surfaces share no voxels: {', '.join(sorted(surfaces))}")
    subjects = {str(mapping.dataset.attrs.get("subject")) for mapping in mappings}
    known = all({"hemisphere", "vertex"} <= set(mapping.dataset.coords) for mapping in mappings)
    if surfaces != {""} and known:
        return [
            2 * mapping.dataset["vertex"].values + (mapping.dataset["hemisphere"].values == "right")
            for mapping in mappings
        ]
    if len(subjects) > 1 or len({mapping.dataset.sizes["voxel"] for mapping in mappings}) > 1:
        raise DataError("voxels of different subjects can be matched only as vertices of one surface")
    return [np.arange(mapping.dataset.sizes["voxel"]) for mapping in mappings]
