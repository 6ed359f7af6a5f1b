"""Channel clusters: those of the N x N way, of SciPy's linkage, what was planted, and no gauge's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import cophenet, fcluster, leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize
from tiny_mappings import VOXELS, tiny_mapping

from factortopy.analysis import (
    Gauge,
    canonical_selectors,
    channel_clusters,
    channels_of,
    cluster_agreement,
    cluster_channels,
    cluster_facts,
    cluster_table,
)
from factortopy.analysis.channels.clusters import effective_clusters
from factortopy.analysis.channels.tree import cosine_k_means, cut_tree, unit
from factortopy.errors import DataError, UnknownNameError
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens


def draw_channels(voxels, width=16, groups=0, spread=0.25, seed=0):
    """Channel selectors: smooth clouds without clusters, or around planted directions."""
    random = np.random.default_rng(seed)
    if not groups:
        return random.normal(size=(voxels, 5)) @ random.normal(size=(5, width)) + random.normal(size=(voxels, width))
    label = random.integers(groups, size=voxels)
    middle = random.normal(size=(groups, width))
    size = random.lognormal(sigma=0.5, size=(voxels, 1))
    return size * (middle[label] + spread * random.normal(size=(voxels, width))), label


def by_the_whole_matrix(channels, count, centroids, seed):
    """The paper's way word for word, with the matrix of voxels x voxels."""
    kernel = channels @ channels.T
    groups, middles = cosine_k_means(kernel, centroids, seed)
    return fcluster(linkage(cosine_similarity(middles), "ward"), count, "maxclust")[groups]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_papers_way_gives_the_clusters_of_the_whole_matrix(seed):
    channels = draw_channels(1_500, seed=seed)
    expected = by_the_whole_matrix(channels, 20, 300, seed)
    found = cluster_channels(channels, 20, centroids=300, seed=seed)
    assert adjusted_rand_score(found.labels, expected) >= 0.95
    assert found.count == 20


def test_as_many_centroids_as_voxels_is_ward_on_the_rows_of_all_cosines():
    channels = draw_channels(300)
    expected = fcluster(linkage(cosine_similarity(channels @ channels.T), "ward"), 12, "maxclust")
    found = cluster_channels(channels, 12, centroids=300)
    assert adjusted_rand_score(found.labels, expected) == 1
    white = fcluster(linkage(channels / np.linalg.norm(channels, axis=1, keepdims=True), "ward"), 12, "maxclust")
    assert adjusted_rand_score(cluster_channels(channels, 12, "gauge-free", centroids=300).labels, white) == 1


@pytest.mark.parametrize("way", ["paper", "gauge-free"])
@pytest.mark.parametrize("centroids", [150, 2_000])
def test_a_voxels_size_and_the_unit_of_channels_do_not_matter(way, centroids):
    channels, _ = draw_channels(300, groups=5)
    one = cluster_channels(channels, 5, way, centroids=centroids)
    other = cluster_channels(1e-4 * channels, 5, way, centroids=centroids)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.similarity, other.similarity)
    if way == "gauge-free":  # nor does how long a voxel's channels are
        size = np.random.default_rng(1).lognormal(sigma=2, size=(300, 1))
        np.testing.assert_allclose(
            cluster_channels(size * channels, 5, way).similarity, cluster_channels(channels, 5, way).similarity
        )


@pytest.mark.parametrize("way", ["paper", "gauge-free"])
@pytest.mark.parametrize("centroids", [150, 2_000])
def test_planted_clusters_are_found(way, centroids):
    channels, planted = draw_channels(1_200, groups=8)
    found = cluster_channels(channels, 8, way, centroids=centroids)
    assert adjusted_rand_score(found.labels, planted) > 0.98
    within = np.diag(found.similarity)
    between = found.similarity[~np.eye(8, dtype=bool)]
    assert within.min() > 0.85
    assert within.min() > between.max()


def test_similarity_is_the_mean_cosine_between_voxels():
    channels, _ = draw_channels(200, groups=4)
    found = cluster_channels(channels, 4, "gauge-free")
    cosine = cosine_similarity(channels)
    for one in range(1, 5):
        for other in range(1, 5):
            mean = cosine[np.ix_(found.labels == one, found.labels == other)].mean()
            assert found.similarity[one - 1, other - 1] == pytest.approx(mean, abs=1e-9)


def test_voxels_without_channels_belong_to_no_cluster():
    channels, _ = draw_channels(100, groups=3)
    channels[3], channels[7, 0] = 0, np.nan
    labels = cluster_channels(channels, 3).labels
    assert np.flatnonzero(labels == 0).tolist() == [3, 7]
    assert set(labels[labels > 0]) == {1, 2, 3}


def test_k_means_is_no_worse_than_its_start_and_ends_where_rows_are_nearest():
    rows = draw_channels(400)
    groups, centroids = cosine_k_means(rows, 30, seed=2)
    cosine = cosine_similarity(rows, centroids)
    assert (cosine.argmax(axis=1) == groups).all()
    for group in range(len(centroids)):
        np.testing.assert_allclose(centroids[group], rows[groups == group].mean(axis=0), atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    heights=st.lists(st.integers(0, 4), min_size=1, max_size=30), count=st.integers(1, 40), seed=st.integers(0, 1_000)
)
def test_the_cut_always_ends_at_the_count_or_the_nearest_there_is(heights, count, seed):
    """Points on a line at few places give many merges of one height."""
    points = np.random.default_rng(seed).permutation(np.cumsum([0, *heights]))[:, None].astype(float)
    tree = linkage(points, "ward")
    cut = cut_tree(tree, count)
    possible = {len(points)} | {len(np.unique(fcluster(tree, height, "distance"))) for height in np.unique(tree[:, 2])}
    reached = len(np.unique(cut.labels))
    assert reached == cut.labels.max()
    assert abs(reached - count) == min(abs(number - count) for number in possible)
    if len(np.unique(tree[:, 2])) == len(tree):
        assert reached == min(count, len(points))


def test_the_tree_above_the_cut_has_the_heights_of_the_whole_one():
    points = draw_channels(60)
    tree = linkage(points, "ward")
    cut = cut_tree(tree, 9)
    assert leaves_list(cut.tree).tolist() == list(range(9))
    whole, above = squareform(cophenet(tree)), squareform(cophenet(cut.tree))
    first = [np.flatnonzero(cut.labels == number)[0] for number in range(1, 10)]
    np.testing.assert_allclose(above, whole[np.ix_(first, first)])
    # Leaves of one cluster stand side by side in the whole tree.
    order = cut.labels[leaves_list(tree)]
    assert (np.diff(order) >= 0).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_gauge_changes_the_gauge_free_clusters_and_any_changes_the_papers(seed):
    random = torch.Generator().manual_seed(seed)
    layers, width, voxels, images = 3, 6, 250, 40

    def draw(*shape):
        return torch.randn(shape, generator=random).double()

    align = [[ChannelMap(5, width).double() for _ in range(layers)] for _ in range(2)]
    layer, scale = draw(voxels, layers).softmax(1), draw(voxels).sigmoid()
    selectors = FixedSelectors(Selection(draw(voxels, 2).tanh(), layer, scale))
    model = FactorTopy(ChannelAlign(*align), selectors, draw(voxels, width), 0.5)
    tokens = Tokens(tuple(draw(images, 5, 3, 3) for _ in range(layers)), tuple(draw(images, 5) for _ in range(layers)))
    other = Gauge(draw(layers).exp(), draw(2).exp(), draw(width, width)).model(model)

    def free(held):
        channels = canonical_selectors(held, [held.align(tokens)]).channels.detach().numpy()
        return cluster_channels(channels, 10, "gauge-free", centroids=80).labels

    def paper(held):
        return cluster_channels(held.channels.detach().numpy(), 10, centroids=80).labels

    assert adjusted_rand_score(free(model), free(other)) == 1
    assert adjusted_rand_score(paper(model), paper(other)) < 0.7


def test_cosines_of_gauge_free_points_are_correlations_of_the_channel_part():
    """Voxels of one place, layer and scale: their predictions correlate as their channels say."""
    random = torch.Generator().manual_seed(3)
    tokens = torch.randn(5_000, 4, generator=random).double() @ torch.randn(4, 4, generator=random).double()
    channels = torch.randn(30, 4, generator=random).double()
    maps = [[ChannelMap(4, 4).double()] for _ in range(2)]
    ones = torch.ones(30).double()
    selection = Selection(torch.zeros(30, 2).double(), ones[:, None], ones)
    model = FactorTopy(ChannelAlign(*maps), FixedSelectors(selection), channels, 1.0)
    batch = Tokens((tokens[:, :, None, None].expand(-1, -1, 2, 2),), (tokens,))
    # Local tokens are zero in what is predicted; the same map gives both kinds one covariance.
    maps[0][0].load_state_dict(maps[1][0].state_dict())
    with torch.no_grad():
        expected = np.corrcoef(model(batch).numpy().T)
        points = canonical_selectors(model, [model.align(batch)]).channels.numpy()
    np.testing.assert_allclose(cosine_similarity(points), expected, atol=1e-6)


def test_effective_clusters():
    assert effective_clusters(np.array([2, 2, 2, 0])) == pytest.approx(1)
    assert effective_clusters(np.array([1, 2, 3, 4] * 5)) == pytest.approx(4)
    assert np.isnan(effective_clusters(np.array([0, 0])))


def test_bad_requests_are_refused():
    channels = draw_channels(50)
    with pytest.raises(UnknownNameError, match="way"):
        cluster_channels(channels, 5, "best")
    for count, centroids in ((1, 50), (51, 100), (20, 10)):
        with pytest.raises(DataError, match="clusters of 50 voxels"):
            cluster_channels(channels, count, centroids=centroids)


def test_the_largest_number_of_clusters_is_a_voxel_each():
    channels = draw_channels(12)
    for centroids in (12, 50):
        assert sorted(cluster_channels(channels, 12, centroids=centroids).labels) == list(range(1, 13))
    assert cluster_channels(channels, 2).count == 2


def test_as_many_centroids_as_rows_are_the_rows_even_of_one_direction():
    rows = np.array([[1.0, 0], [2, 0], [0, 1], [-1, 0]])
    for count in (4, 9):
        groups, centroids = cosine_k_means(rows, count)
        np.testing.assert_array_equal(groups, range(4))
        np.testing.assert_array_equal(centroids, rows)
    assert len(cosine_k_means(rows, 3)[1]) <= 3


def test_agreement_is_the_mean_rand_index_with_the_first():
    channels = draw_channels(200)
    starts = [cluster_channels(channels, 6, centroids=20, seed=seed) for seed in range(3)]
    expected = [adjusted_rand_score(starts[0].labels, other.labels) for other in starts[1:]]
    assert cluster_agreement(starts) == pytest.approx(np.mean(expected))
    assert cluster_agreement([starts[0]] * 3) == 1


def test_tables_and_facts_are_those_of_the_voxels():
    channels, _ = draw_channels(VOXELS, groups=3)
    channels[[5, 40]] = 0
    clusters = cluster_channels(channels, 3)
    mapping = tiny_mapping(np.linspace(-0.1, 0.5, VOXELS))
    data, labels = mapping.dataset, clusters.labels
    table = cluster_table(mapping, clusters)
    assert list(table["cluster"]) == [1, 2, 3]
    for row in table.to_dict("records"):
        inside = labels == row["cluster"]
        assert row["voxels"] == inside.sum()
        assert row["left"] == (inside & (data["hemisphere"].values == "left")).sum()
        for name in ("r2", "scale_share"):
            assert row[name] == pytest.approx(data[name].values[inside].mean())
        assert np.isnan(row["depth"])  # this mapping holds none
        assert row["in_V1"] == pytest.approx(inside[:20].sum() / inside.sum())
        cosine = cosine_similarity(channels[inside] @ channels.T)
        assert row["similarity"] == pytest.approx(cosine.mean())
    facts = cluster_facts(mapping, clusters)
    assert (facts["voxels"], facts["voxels_without_channels"], facts["count"]) == (VOXELS, 2, 3)
    share = np.bincount(labels[:20][labels[:20] > 0])[1:]
    share = share[share > 0] / share.sum()
    assert facts["effective_clusters"]["V1"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    masks = {"none": labels == 0, "first": labels == 1}
    lone = type(mapping)(
        data.drop_vars("hemisphere").assign_coords({f"roi_{n}": ("voxel", m) for n, m in masks.items()})
    )
    lone.dataset.attrs["rois"] = [*mapping.rois, *masks]
    assert cluster_table(lone, clusters)["left"].isna().all()
    spread = cluster_facts(lone, clusters)["effective_clusters"]
    assert "none" not in spread
    assert spread["first"] == pytest.approx(1)


def test_depth_and_scale_of_clusters_are_of_the_voxels_that_are_predicted():
    clusters = cluster_channels(draw_channels(VOXELS, groups=3)[0], 3)
    depth, some = np.linspace(0.1, 0.9, VOXELS), (clusters.labels == 1) & (np.arange(VOXELS) % 2 == 0)
    for predicted in (some, np.zeros(VOXELS, bool)):
        told = {"depth": ("voxel", depth), "predicted": ("voxel", predicted.astype(np.float32))}
        table = cluster_table(tiny_mapping(0.1).with_variables(told), clusters)
        expected = depth[predicted].mean() if predicted.any() else np.nan
        np.testing.assert_allclose(table["depth"], [expected, np.nan, np.nan])
        assert (table["scale_share"].notna() == table["depth"].notna()).all()
        np.testing.assert_allclose(table["r2"], 0.1)


def test_channels_are_those_that_were_trained_or_in_the_canonical_gauge():
    trained, kept, canonical = (draw_channels(VOXELS, seed=seed) for seed in range(3))
    bare = tiny_mapping(0.1)
    held = bare.with_variables(
        {"channels_raw": (("voxel", "channel"), kept), "channels": (("voxel", "channel"), canonical)}
    )
    np.testing.assert_array_equal(channels_of(held, "paper"), kept)
    np.testing.assert_array_equal(channels_of(held, "gauge-free"), canonical)
    full = replace(held, parameters={"channels": torch.from_numpy(trained)})
    np.testing.assert_array_equal(channels_of(full, "paper"), trained)
    found = channel_clusters(full, 4, "gauge-free", centroids=30, seed=1)
    np.testing.assert_array_equal(
        found.labels, cluster_channels(canonical, 4, "gauge-free", centroids=30, seed=1).labels
    )
    for way, said in (("paper", "as trained"), ("gauge-free", "in the canonical gauge")):
        with pytest.raises(DataError, match=said):
            channels_of(bare, way)
    raw = type(held)(held.dataset.assign_attrs(gauge="as trained"))
    with pytest.raises(DataError, match="in the canonical gauge"):
        channels_of(raw, "gauge-free")


def test_channels_that_are_all_zero_have_no_direction():
    """A voxel of which nothing is predicted: scikit-learn's normalisation leaves it as it is, too."""
    rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit(rows), normalize(rows))
    assert np.linalg.norm(unit(rows), axis=1).tolist() == [1, 0]
