"""Clusters of voxels by the channels they select (figure 8), without a matrix of voxels x voxels.

The paper's way takes the rows of the Gram matrix ``K = W W^T`` of the channel selectors W (voxel, D) as
points: k-means by cosine into 1,000, then Ward's linkage on the rows of the centroids' cosine similarities.
K has a row and a column for each voxel, but rows of K and of ``Z = W (W^T W)^(1/2)`` (voxel, D) have the same
products with each other, ``K_i . K_j = w_i^T W^T W w_j = Z_i . Z_j``, and neither k-means nor Ward's linkage
needs more. So the clusters are the same, and not by approximation.

W is not identifiable: mixing the channels by any invertible A, ``B -> A B, W -> W A^-1``, changes K and no
prediction (`docs/identifiability.md`). The gauge-free way compares what the channels predict: the cosine of
two voxels is the correlation of the channel part of their predictions, from ``W S W^T`` with S the covariance
of the aligned features over images. Its points are the rows of ``W S^(1/2)`` at unit length, in the canonical
gauge just the channels; groups by the same k-means, then Ward's linkage of the points themselves.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas
import torch
from jaxtyping import Float, Int

from factortopy.analysis.channels.tree import cosine_k_means, cut_tree, means, unit
from factortopy.analysis.estimates._of_mapping import tells
from factortopy.analysis.estimates.estimate_tables import records_of, table_of
from factortopy.analysis.heldout.gauge import canonical_selectors
from factortopy.analysis.quantities import finite_mean
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping, load_model
from factortopy.networks import Tokens

ClusterWay = Literal["paper", "gauge-free"]
PAPER_CLUSTERS = 20
CENTROIDS = 1_000
MEANS = ("depth", "scale_share", "r2")
"""Variables whose means over its voxels describe a cluster."""


@dataclass(frozen=True, eq=False)
class ChannelClusters:
    """Voxels clustered by the channels they select.

    Attributes:
        labels: cluster of every voxel, from 1; 0 for voxels that select no channel. Clusters that are alike
            have neighbouring numbers: it is the order of the tree's leaves.
        tree: linkage of the clusters as SciPy's, one leaf a cluster.
        height: where the whole tree was cut.
        similarity: mean cosine between the voxels of two clusters, in -1..1, of the points that were
            clustered; on the diagonal, within a cluster.
        way: ``"paper"`` or ``"gauge-free"``.
    """

    labels: Int[np.ndarray, "voxel"]
    tree: Float[np.ndarray, "merge 4"]
    height: float
    similarity: Float[np.ndarray, "cluster cluster"]
    way: ClusterWay

    @property
    def count(self) -> int:
        """Number of clusters."""
        return len(self.similarity)


def channel_clusters(
    mapping: Mapping,
    count: int = PAPER_CLUSTERS,
    way: ClusterWay = "paper",
    *,
    tokens: Iterable[Tokens] | None = None,
    centroids: int = CENTROIDS,
    seed: int = 0,
) -> ChannelClusters:
    """Cluster the voxels of a mapping by their channels (figure 8).

    Args:
        mapping: what to cluster.
        count, way, centroids, seed: as in :func:`cluster_channels`.
        tokens: batches of a common set of images over which predictions correlate, for the gauge-free way;
            if None, the mapping's test images, whose covariances its canonical gauge holds.

    Raises:
        UnknownNameError: if there is no such way.
        DataError: if the mapping lacks the channels, or the counts are out of range.

    Example:
        >>> clusters = ft.channel_clusters(mapping, count=3)
        >>> len(clusters.labels) == mapping.dataset.sizes["voxel"]
        True
    """
    return cluster_channels(channels_of(mapping, way, tokens), count, way, centroids=centroids, seed=seed)


def cluster_channels(
    channels: Float[np.ndarray, "voxel D"],
    count: int = PAPER_CLUSTERS,
    way: ClusterWay = "paper",
    *,
    centroids: int = CENTROIDS,
    seed: int = 0,
) -> ChannelClusters:
    """Cluster voxels by channel selectors; see the top of this file for both ways.

    Args:
        channels: channel selectors; for the gauge-free way of channels that are white over images, such as
            those of the canonical gauge. Voxels whose row is 0 or not finite belong to no cluster.
        count: clusters wanted, at least 2.
        way: ``"paper"`` clusters the channel selectors as trained, ``"gauge-free"`` what they predict.
        centroids: groups that k-means makes before the tree, at least ``count``; as many as voxels, there is
            no k-means.
        seed: of the start of k-means.

    Raises:
        UnknownNameError: if there is no such way.
        DataError: if there are fewer voxels with channels than clusters, or the counts are out of range.
    """
    from scipy.cluster.hierarchy import linkage

    if way not in ("paper", "gauge-free"):
        raise UnknownNameError("way", way, ("paper", "gauge-free"))
    channels = np.asarray(channels, dtype=np.float64)
    given = np.isfinite(channels).all(axis=1) & (channels != 0).any(axis=1)
    if not 2 <= count <= min(centroids, int(given.sum())):
        raise DataError(
            f"{count} clusters of {given.sum()} voxels with channels, by {centroids} centroids: give at "
            "least 2 clusters, and no more than centroids or voxels"
        )
    points = gram_points(channels[given]) if way == "paper" else unit(channels[given])
    groups, middles = cosine_k_means(points, centroids, seed)
    # The original takes the rows of the matrix of cosines as points; so does the paper's way.
    leaves = gram_points(unit(middles)) if way == "paper" else middles
    cut = cut_tree(linkage(leaves, "ward"), count)
    labels = np.zeros(len(channels), dtype=np.int64)
    labels[given] = cut.labels[groups]
    mean = means(unit(points), labels[given] - 1)
    return ChannelClusters(labels, cut.tree, cut.height, mean @ mean.T, way)


def cluster_agreement(clusters: Sequence[ChannelClusters]) -> float:
    """Mean adjusted Rand index of the first clusters with those of other starts: 1 the same, 0 by chance.

    Args:
        clusters: of the same voxels by several starts of k-means, two or more.
    """
    from sklearn.metrics import adjusted_rand_score

    others = [adjusted_rand_score(clusters[0].labels, other.labels) for other in clusters[1:]]
    return float(sum(others) / len(others))


def gram_points(channels: Float[np.ndarray, "voxel D"]) -> Float[np.ndarray, "voxel D"]:
    """Points with the products, and so the distances, of the rows of ``W W^T``.

    They are ``W V s`` with ``W^T W = V s^2 V^T``.
    """
    squares, axes = np.linalg.eigh(channels.T @ channels)
    return channels @ (axes * np.sqrt(squares.clip(min=0)))


def channels_of(
    mapping: Mapping, way: ClusterWay, tokens: Iterable[Tokens] | None = None
) -> Float[np.ndarray, "voxel D"]:
    """The channels that each way clusters; arguments as in :func:`channel_clusters`.

    Raises:
        DataError: if the mapping lacks them.
    """
    data = mapping.dataset
    if way == "paper":
        if "channels" in mapping.parameters:
            return mapping.parameters["channels"].numpy()
        if "channels_raw" in data:
            return data["channels_raw"].values
        raise DataError("this mapping holds no channel selectors as trained; fit again")
    if tokens is not None:
        model = load_model(mapping)
        with torch.no_grad():
            return canonical_selectors(model, (model.align(batch) for batch in tokens)).channels.numpy()
    if "channels" not in data or data.attrs.get("gauge") != "canonical":
        raise DataError("this mapping holds no channels in the canonical gauge; give tokens of images")
    return data["channels"].values


def cluster_table(mapping: Mapping, clusters: ChannelClusters) -> pandas.DataFrame:
    """One row a cluster, in the order of their numbers.

    Args:
        mapping: whose voxels were clustered.
        clusters: of :func:`factortopy.analysis.channel_clusters`.

    Returns:
        Columns ``cluster``, from 1; ``voxels``; ``left``, how many of them lie in the left hemisphere; ``similarity``,
        mean cosine between its voxels, in -1..1; ``depth``, mean layer position by share in 0..1; ``scale_share``,
        mean share of the global tokens; ``r2``, mean raw R^2 on held-out images; and ``in_ROI`` for each ROI, the
        share of its voxels that lies there (ROIs may overlap or leave voxels out). NaN what is not known; depth and
        scale are of the voxels that are predicted, NaN without any.

    Example:
        >>> table = ft.cluster_table(mapping, ft.channel_clusters(mapping, count=3))
        >>> int(table["voxels"].sum()) == mapping.dataset.sizes["voxel"]
        True
    """
    data, members = mapping.dataset, mapping.rois
    known = {name for name in MEANS if name in data and (name == "r2" or tells(mapping))}
    rows = []
    for number in range(1, clusters.count + 1):
        inside = clusters.labels == number
        rows.append(
            {
                "cluster": number,
                "voxels": int(inside.sum()),
                "left": int((data["hemisphere"].values[inside] == "left").sum()) if "hemisphere" in data else None,
                "similarity": clusters.similarity[number - 1, number - 1],
                **{name: finite_mean(mapping.found(name)[inside]) if name in known else np.nan for name in MEANS},
                **{f"in_{name}": float(voxels[inside].mean()) for name, voxels in members.items()},
            }
        )
    return table_of(rows)


def effective_clusters(labels: Int[np.ndarray, "voxel"]) -> float:
    """Over how many clusters voxels spread: ``exp H`` with H the entropy of their labels.

    Returns:
        1 if all lie in one cluster, k if evenly in k; NaN without voxels.
    """
    from scipy.stats import entropy

    counts = np.bincount(labels[labels > 0])
    return float(np.exp(entropy(counts))) if counts.any() else float("nan")


def cluster_facts(mapping: Mapping, clusters: ChannelClusters) -> dict[str, Any]:
    """Everything about clusters but the voxels' labels, JSON-ready.

    ``effective_clusters`` says how diverse the channels are that an ROI reads; more voxels tend to spread further.
    """
    attributes = mapping.dataset.attrs
    labels = {name: clusters.labels[inside] for name, inside in mapping.rois.items()}
    return {
        "network": attributes.get("network"),
        "subject": attributes.get("subject"),
        "simulated": mapping.simulated,
        "way": clusters.way,
        "count": clusters.count,
        "voxels": len(clusters.labels),
        "voxels_without_channels": int((clusters.labels == 0).sum()),
        "height": clusters.height,
        "clusters": records_of(cluster_table(mapping, clusters)),
        "effective_clusters": {name: effective_clusters(own) for name, own in labels.items() if (own > 0).any()},
    }
