"""What is in every channel cluster: voxels, depth, score, ROIs; and how many clusters an ROI spreads over."""

from typing import Any

import numpy as np
import pandas
from jaxtyping import Int

from factortopy.analysis.channels.clusters import ChannelClusters
from factortopy.analysis.estimates.tables import records_of, table_of
from factortopy.analysis.regions import finite_mean
from factortopy.mapping import Mapping


def cluster_table(mapping: Mapping, clusters: ChannelClusters) -> pandas.DataFrame:
    """One row a cluster, in the order of their numbers.

    Args:
        mapping: whose voxels were clustered.
        clusters: of :func:`factortopy.analysis.channel_clusters`.

    Returns:
        Columns ``cluster``, from 1; ``voxels``; ``left``, how many of them lie in the left hemisphere; ``similarity``,
        mean cosine between its voxels, in -1..1; ``depth``, mean layer position by share in 0..1; ``scale_share``,
        mean share of the global tokens; ``r2``, mean raw R^2 on held-out images; and ``in_ROI`` for each ROI, the
        share of its voxels that lies there (ROIs may overlap or leave voxels out). NaN what is not known.
    """
    data, members = mapping.dataset, mapping.rois
    rows = []
    for number in range(1, clusters.count + 1):
        inside = clusters.labels == number
        means = {
            name: finite_mean(data[name].values[inside]) if name in data else np.nan
            for name in ("depth", "scale_share", "r2")
        }
        rows.append(
            {
                "cluster": number,
                "voxels": int(inside.sum()),
                "left": int((data["hemisphere"].values[inside] == "left").sum()) if "hemisphere" in data else None,
                "similarity": clusters.similarity[number - 1, number - 1],
                **means,
                **{f"in_{name}": float(voxels[inside].mean()) for name, voxels in members.items()},
            }
        )
    return table_of(rows)


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
    return {
        name: effective_clusters(clusters.labels[inside])
        for name, inside in mapping.rois.items()
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
        "clusters": records_of(cluster_table(mapping, clusters)),
        "effective_clusters": roi_spread(mapping, clusters),
    }
