"""Figure 8: voxels clustered by the channels they select, in the paper's way and free of the gauge."""

from factortopy.analysis import PAPER_CLUSTERS, ClusterWay, channel_clusters, cluster_table, records_of
from factortopy.paper.item import Item, Result
from factortopy.paper.items.figure3 import clip_member
from factortopy.paper.study import Job, Study
from factortopy.plot import clusters

WAYS: dict[ClusterWay, str] = {"paper": "figure8", "gauge-free": "figure8_gauge_free"}


def jobs(study: Study) -> list[Job]:
    """One fit of CLIP."""
    return [Job(clip_member(study))]


def make(study: Study) -> Result:
    """Both ways of clustering: a picture and a table each."""
    from sklearn.metrics import adjusted_rand_score

    mapping = study.fit(jobs(study)[0])
    clusterings = {way: channel_clusters(mapping, PAPER_CLUSTERS, way, seed=study.plan.seed) for way in WAYS}
    alike = adjusted_rand_score(clusterings["paper"].labels, clusterings["gauge-free"].labels)
    return Result(
        {name: clusters(mapping, clusterings[way], palette=study.plan.palette) for way, name in WAYS.items()},
        {name: records_of(cluster_table(mapping, clusterings[way])) for way, name in WAYS.items()},
        (f"adjusted Rand index of the two ways: {alike:.2f}; the paper gives no numbers for this figure",),
    )


FIGURE8 = Item("figure8", f"{PAPER_CLUSTERS} channel clusters, the paper's way and gauge-free", jobs, make)
