"""Channel clusters of every voxel of NSD's ``nsdgeneral``: time, memory, and agreement with the N x N way.

At 37,984 voxels the Gram matrix alone takes 11.5 GB in float64; the paper's way is computed here without it,
in a process of its own, whose peak memory is taken. At 3,000 voxels the matrix is made, and the clusters of
both are compared (adjusted Rand index): on smooth clouds of channels, on planted clusters, and, if a mapping
is given, on its own. The last line is one JSON object.

Run: python benchmarks/clusters.py [--mapping FOLDER]
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity

from factortopy.analysis import PAPER_CLUSTERS, ClusterWay, channels_of, cluster_channels
from factortopy.analysis.channels.clusters import CENTROIDS
from factortopy.analysis.channels.tree import cosine_k_means
from factortopy.mapping import Mapping

VOXELS, WIDTH, COMPARED, STARTS = 37_984, 128, 3_000, 3
WAYS: tuple[ClusterWay, ...] = ("paper", "gauge-free")


def cloud(voxels: int, groups: int = 0) -> np.ndarray:
    """Channels of falling variance; around planted directions if there are groups."""
    random = np.random.default_rng(0)
    channels = random.normal(size=(voxels, WIDTH)) * np.linspace(1, 0.1, WIDTH)
    if groups:
        channels = channels + 2 * random.normal(size=(groups, WIDTH))[random.integers(groups, size=voxels)]
    return channels


def whole_matrix(channels: np.ndarray, seed: int) -> np.ndarray:
    """The paper's way word for word, with the matrix of voxels x voxels."""
    groups, middles = cosine_k_means(channels @ channels.T, CENTROIDS, seed)
    return fcluster(linkage(cosine_similarity(middles), "ward"), PAPER_CLUSTERS, "maxclust")[groups]


def agreement(channels: np.ndarray) -> float:
    """Smallest adjusted Rand index of both computations, over starts of k-means."""
    indices = [
        adjusted_rand_score(cluster_channels(channels, seed=seed).labels, whole_matrix(channels, seed))
        for seed in range(STARTS)
    ]
    return float(min(indices))


def measure(way: ClusterWay, voxels: int) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of one clustering, this process's imports included."""
    channels = cloud(voxels)
    start, used = time.perf_counter(), time.process_time()
    found = cluster_channels(channels, way=way)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    scale = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e9
    return {"seconds": seconds, "cpu_seconds": used, "peak_gb": peak, "clusters": found.count}


def in_a_process(way: ClusterWay, voxels: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--child", way, "--voxels", str(voxels)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, compare, print a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, default=VOXELS)
    parser.add_argument("--mapping", type=Path, help="a mapping whose channels are clustered as well")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.voxels)))
        return
    costs = {way: in_a_process(way, options.voxels) for way in WAYS}
    same = {"cloud": agreement(cloud(COMPARED)), "planted": agreement(cloud(COMPARED, PAPER_CLUSTERS))}
    if options.mapping:
        channels = np.asarray(channels_of(Mapping.load(options.mapping), "paper"), dtype=float)
        same["mapping"] = agreement(channels[:COMPARED])
    print(f"{options.voxels:,} voxels, {WIDTH} channels, {PAPER_CLUSTERS} clusters")
    print(f"{'way':<12}{'seconds':>9}{'CPU s':>9}{'peak GB':>9}")
    for way, cost in costs.items():
        print(f"{way:<12}{cost['seconds']:>9.1f}{cost['cpu_seconds']:>9.1f}{cost['peak_gb']:>9.2f}")
    print(f"adjusted Rand index with the N x N way, {COMPARED:,} voxels, least of {STARTS} starts:")
    for name, index in same.items():
        print(f"{name:<12}{index:>9.3f}")
    print(json.dumps({"voxels": options.voxels, **costs, "agreement": same, "agreement_voxels": COMPARED}))


if __name__ == "__main__":
    main()
