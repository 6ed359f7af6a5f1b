"""Figures of channel clusters and channel images: every cluster and region is there, in its own colour."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from skimage.color import deltaE_ciede2000, rgb2lab

from factortopy.analysis import ChannelImages, cluster_channels, cluster_facts, cluster_table
from factortopy.errors import DataError, UnknownNameError
from factortopy.plot import alt_text, channel_images, clusters, to_png
from factortopy.plot.colours import CLUSTER_COLOURS, class_colours

COUNT = 6


@pytest.fixture(scope="module")
def found(mapping):
    """Clusters planted by place: what a voxel reads decides its channels."""
    space = mapping.dataset["space"].values
    random = np.random.default_rng(0)
    group = (space[:, 0] > 0).astype(int) + 2 * np.digitize(space[:, 1], [-0.3, 0.3])
    channels = 4 * random.normal(size=(COUNT, 8))[group] + random.normal(size=(len(space), 8))
    return cluster_channels(channels, COUNT, "gauge-free", centroids=100)


def test_twenty_cluster_colours_are_apart_from_each_other_and_from_the_cortex():
    for palette in ("default", "colour-blind"):
        colours = np.vstack([class_colours(20, palette, CLUSTER_COLOURS)[:, :3], np.full((1, 3), 0.8), np.ones((1, 3))])
        lab = rgb2lab(colours)
        apart = deltaE_ciede2000(lab[:, None], lab[None])[np.triu_indices(len(lab), 1)]
        assert apart.min() > 9, palette


def test_more_clusters_than_colours_still_differ():
    colours = class_colours(45, named=CLUSTER_COLOURS)
    assert len(np.unique(colours.round(4), axis=0)) == 45


def test_the_map_shows_every_cluster_in_its_colour_and_number(mapping, found):
    figure = clusters(mapping, found)
    axes = {item.get_gid(): item for item in figure.axes if item.get_gid()}
    assert {"tree", "similarity", "numbers", "rois"} <= set(axes)
    picture = next(item for item in figure.axes if item.images and item.images[0].get_gid() == "cortex")
    pixels = picture.images[0].get_array()[..., :3].reshape(-1, 3)
    for colour in class_colours(COUNT, named=CLUSTER_COLOURS)[:, :3]:
        assert (np.abs(pixels - colour).max(axis=1) < 0.02).sum() > 50
    numbers = {text.get_text() for text in picture.texts if text.get_gid() == "label"}
    assert numbers == {str(number) for number in range(1, COUNT + 1)}
    shown = np.asarray(axes["similarity"].images[0].get_array())
    np.testing.assert_allclose(shown, found.similarity)
    assert len(axes["tree"].lines) == COUNT - 1
    assert "SIMULATED" in " ".join(text.get_text() for text in figure.texts)
    assert f"{COUNT} colours" in alt_text(figure)
    assert to_png(figure, 60)[:4] == b"\x89PNG"


def test_numbers_do_not_cover_names(mapping):
    space = mapping.dataset["space"].values
    channels = np.where(space[:, :1] > 0, 1.0, -1.0) + np.random.default_rng(0).normal(size=(len(space), 8)) / 9
    figure = clusters(mapping, cluster_channels(channels, 2))
    picture = next(item for item in figure.axes if item.images and item.images[0].get_gid() == "cortex")
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = {
        gid: [item.get_window_extent(renderer) for item in picture.texts if item.get_gid() == gid]
        for gid in ("label", "roi-name")
    }
    assert not any(number.overlaps(name) for number in boxes["label"] for name in boxes["roi-name"])


def test_rows_count_voxels_and_regions(mapping, found):
    rows = cluster_table(mapping, found)
    assert rows["voxels"].sum() == mapping.dataset.sizes["voxel"]
    for row in rows.itertuples():
        inside = found.labels == row.cluster
        assert row.left == (mapping.dataset["hemisphere"].values[inside] == "left").sum()
        assert row.r2 == pytest.approx(mapping.dataset["r2"].values[inside].mean())
        assert row.in_V1 == pytest.approx(mapping.rois["V1"][inside].mean())
        assert row.depth == pytest.approx(mapping.dataset["depth"].values[inside].mean())
    without = replace(mapping, dataset=mapping.dataset.drop_vars("depth"))
    assert cluster_table(without, found)["depth"].isna().all()
    assert cluster_facts(mapping, found)["simulated"] is True


def test_clusters_of_other_voxels_are_refused(mapping):
    with pytest.raises(DataError, match="of 50 voxels"):
        clusters(mapping, cluster_channels(np.random.default_rng(0).normal(size=(50, 4)), 3))


def make_images(images=2, regions=3):
    random = np.random.default_rng(1)
    return ChannelImages(
        tuple(f"image-{number}" for number in range(images)),
        tuple(f"R{number}" for number in range(regions)),
        random.normal(size=(images, regions, 5, 5)),
        random.normal(size=(images, regions, 5, 5, 3)),
        np.full((regions, 3), 0.2),
    )


@pytest.mark.parametrize("kind", ["components", "response"])
def test_each_photograph_has_a_map_of_every_region(mapping, kind):
    shown, photographs = make_images(), [np.zeros((8, 8, 3)), np.ones((8, 8, 3))]
    figure = channel_images(mapping, shown, photographs, kind, canonical=True)
    by_kind = {gid: [axes for axes in figure.axes if axes.get_gid() == gid] for gid in ("photograph", "map", "key")}
    assert [len(held) for held in by_kind.values()] == [2, 6, 3 if kind == "response" else 0]
    if kind == "components":
        np.testing.assert_allclose(by_kind["map"][3].images[0].get_array(), shown.colours[1, 1])
        assert by_kind["map"][0].get_title() == "R0\n60%"
    else:
        low, high = np.percentile(shown.response[:, 2], [5, 95])
        labels = [float(text.get_text().replace("−", "-")) for text in by_kind["key"][2].get_xticklabels()]
        assert labels == pytest.approx([low, high], abs=0.006)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "SIMULATED" in words
    assert "canonical" in words.replace("\xa0", " ")


def test_too_many_or_unequal_are_refused(mapping):
    with pytest.raises(DataError, match="1 photographs, maps of 2 images"):
        channel_images(mapping, make_images(), [np.zeros((8, 8, 3))])
    with pytest.raises(DataError, match="at most"):
        channel_images(mapping, make_images(regions=9), [np.zeros((8, 8, 3))] * 2)
    with pytest.raises(UnknownNameError, match="kind"):
        channel_images(mapping, make_images(), [np.zeros((8, 8, 3))] * 2, "both")
