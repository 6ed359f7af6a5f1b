"""Ward trees: cosine k-means for the leaves, the cut into a number of clusters, the tree above the cut."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

ROUNDS = 300
"""Of k-means at most; some tens are enough."""
BLOCK = 4_096


def cosine_k_means(
    rows: Float[np.ndarray, "row D"], count: int, seed: int = 0
) -> tuple[Int[np.ndarray, "row"], Float[np.ndarray, "centroid D"]]:
    """Groups of rows of like direction: each row goes to the centroid of largest cosine.

    Centroids start at rows drawn at random and are then means of their rows; one that loses all its rows
    vanishes. It ends when no row changes its group, or after ``ROUNDS``. Only products of rows with each
    other decide, so any rotation of the rows gives the same groups.

    Returns:
        Group of every row, from 0, and the centroids.
    """
    if count >= len(rows):
        return np.arange(len(rows)), rows
    centroids = rows[np.random.default_rng(seed).choice(len(rows), count, replace=False)]
    groups = np.full(len(rows), -1)
    for _ in range(ROUNDS):
        before, directions = groups, unit(centroids).T
        blocks = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        groups = np.concatenate([(block @ directions).argmax(axis=1) for block in blocks])
        if (groups == before).all():
            break
        _, groups = np.unique(groups, return_inverse=True)
        centroids = means(rows, groups)
    return groups, centroids


def means(rows: Float[np.ndarray, "row D"], groups: Int[np.ndarray, "row"]) -> Float[np.ndarray, "group D"]:
    """Mean of the rows of every group 0, 1, ...; none may be empty."""
    from scipy.sparse import csr_array

    sizes = np.bincount(groups)
    member = csr_array((1 / sizes[groups], (groups, np.arange(len(rows)))))
    return np.asarray(member @ rows)


def unit(rows: Float[np.ndarray, "row D"]) -> Float[np.ndarray, "row D"]:
    """Rows of length 1; rows of 0 stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


@dataclass(frozen=True, eq=False)
class Cut:
    """A tree cut into clusters: labels from 1 that follow the leaves, the tree above the cut, and its height."""

    labels: Int[np.ndarray, "leaf"]
    tree: Float[np.ndarray, "merge 4"]
    height: float


def cut_tree(tree: Float[np.ndarray, "merge 4"], count: int) -> Cut:
    """Cut a tree into so many clusters, or the nearest number that its heights allow.

    A cut at height h leaves one cluster and one more for every merge above h, so the number of clusters at
    each height that occurs is known and none need be tried. Merges at one height are made together: only
    then may a number be missing; of two numbers equally near the larger is taken.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list

    heights = np.sort(tree[:, 2])
    # Below the first height no merge is made and every leaf is a cluster.
    thresholds = np.concatenate([[heights[0] - 1], np.unique(heights)])
    clusters = 1 + len(heights) - np.searchsorted(heights, thresholds, side="right")
    height = float(thresholds[np.abs(clusters - count).argmin()])
    labels = fcluster(tree, height, "distance")
    _, first = np.unique(labels[leaves_list(tree)], return_index=True)
    labels = first.argsort().argsort()[labels - 1] + 1
    return Cut(labels, _above(tree, labels, height), height)


def _above(
    tree: Float[np.ndarray, "merge 4"], labels: Int[np.ndarray, "leaf"], height: float
) -> Float[np.ndarray, "merge_above 4"]:
    """The merges above a height, between the clusters below it."""
    # The cluster that every node of the tree belongs to: leaves and low merges in their cluster, others one by one.
    node, sizes = (labels - 1).tolist(), [1] * int(labels.max())
    merges = []
    for left, right, at, _ in tree.tolist():
        a, b = node[int(left)], node[int(right)]
        if at <= height:
            node.append(a)
            continue
        node.append(len(sizes))
        sizes.append(sizes[a] + sizes[b])
        merges.append((a, b, at, sizes[-1]))
    return np.array(merges).reshape(-1, 4)
