"""What is in every channel cluster: voxels, depth, score, ROIs; and how many clusters an ROI spreads over."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from factortopy.analysis.channels.clusters import ChannelClusters
from factortopy.mapping import Mapping


@dataclass(frozen=True)
class ClusterRow:
    """One cluster of voxels.

    Attributes:
        cluster: its number, from 1.
        voxels: how many voxels it holds.
        left: how many of them lie in the left hemisphere; None where hemispheres are not known.
        similarity: mean cosine between its voxels, in -1..1.
        depth: mean layer position by share, 0 first layer to 1 last; None where shares are not known.
        scale_share: mean share of the global tokens, 0 local to 1 global.
        r2: mean R^2 on held-out images, raw.
        rois: share of its voxels that lies in each ROI, 0 to 1; ROIs may overlap or leave voxels out.
    """

    cluster: int
    voxels: int
    left: int | None
    similarity: float
    depth: float | None
    scale_share: float | None
    r2: float | None
    rois: dict[str, float]


def cluster_rows(mapping: Mapping, clusters: ChannelClusters) -> list[ClusterRow]:
    """One row a cluster, in the order of their numbers.

    Args:
        mapping: whose voxels were clustered.
        clusters: of :func:`factortopy.analysis.channel_clusters`.
    """
    data, rows = mapping.dataset, []
    rois = mapping.rois

    def mean(name: str, inside: np.ndarray) -> float | None:
        values = data[name].values[inside] if name in data else np.array([])
        return float(np.nanmean(values)) if np.isfinite(values).any() else None

    for number in range(1, clusters.count + 1):
        inside = clusters.labels == number
        left = int((data["hemisphere"].values[inside] == "left").sum()) if "hemisphere" in data else None
        rows.append(
            ClusterRow(
                number,
                int(inside.sum()),
                left,
                float(clusters.similarity[number - 1, number - 1]),
                mean("depth", inside),
                mean("scale_share", inside),
                mean("r2", inside),
                {name: float(members[inside].mean()) for name, members in rois.items()},
            )
        )
    return rows


def effective_clusters(labels: Int[np.ndarray, "voxel"]) -> float:
    """Over how many clusters voxels spread: ``exp H`` with H the entropy of their labels.

    Args:
        labels: clusters of some voxels, such as those of an ROI; 0, no cluster, is left out.

    Returns:
        1 if all lie in one cluster, k if evenly in k; NaN without voxels.
    """
    counts = np.bincount(labels[labels > 0])
    if not counts.any():
        return float("nan")
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def roi_spread(mapping: Mapping, clusters: ChannelClusters) -> dict[str, float]:
    """Effective number of clusters in every ROI that has voxels: how diverse the channels are that it reads.

    An ROI of more voxels tends to spread further.

    Args:
        mapping: whose voxels were clustered.
        clusters: of :func:`factortopy.analysis.channel_clusters`.
    """
    members = mapping.rois
    return {
        name: effective_clusters(clusters.labels[inside])
        for name, inside in members.items()
        if (clusters.labels[inside] > 0).any()
    }


def cluster_facts(mapping: Mapping, clusters: ChannelClusters) -> dict[str, Any]:
    """Everything about clusters but the voxels' labels, JSON-ready."""
    attributes = mapping.dataset.attrs
    return {
        "network": attributes.get("network"),
        "subject": attributes.get("subject"),
        "simulated": mapping.simulated,
        "way": clusters.way,
        "count": clusters.count,
        "voxels": len(clusters.labels),
        "voxels_without_channels": int((clusters.labels == 0).sum()),
        "height": clusters.height,
        "clusters": [asdict(row) for row in cluster_rows(mapping, clusters)],
        "effective_clusters": roi_spread(mapping, clusters),
    }
