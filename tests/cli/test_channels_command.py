"""``channels cluster`` and ``channels images``: what they write, and what they refuse."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from factortopy.analysis import channel_clusters, channel_images
from factortopy.mapping import Mapping, load_model
from factortopy.tokens import TokenStore

COUNT = 5


@pytest.fixture(scope="module")
def clustered(run, mapping, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "clusters"
    result = run("channels", "cluster", mapping, folder, "--count", COUNT, "--json", "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder, json.loads(result.stdout.splitlines()[-1])


def test_clusters_writes_voxels_table_and_figure(clustered, mapping):
    folder, facts = clustered
    names = {"clusters.json", "clusters.png", "clusters.svg", "table.csv", "voxels.csv"}
    assert {path.name for path in folder.iterdir()} == names
    loaded = Mapping.load(mapping)
    expected = channel_clusters(loaded, COUNT)
    with (folder / "voxels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["cluster"]) for row in rows] == expected.labels.tolist()
    assert [int(row["vertex"]) for row in rows] == loaded.dataset["vertex"].values.tolist()
    assert facts["count"] == COUNT
    assert facts["way"] == "paper"
    assert not facts["simulated"]
    assert -1 <= facts["agreement_of_starts"] <= 1
    with (folder / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(row["voxels"]) for row in table] == np.bincount(expected.labels)[1:].tolist()
    assert json.loads((folder / "clusters.json").read_text()) == facts


def test_clusters_takes_a_common_set_of_images(run, mapping, tokens, tmp_path):
    words = ("channels", "cluster", mapping, tmp_path / "free", "--count", COUNT, "--way", "gauge-free")
    result = run(*words, "--tokens", tokens)
    assert result.exit_code == 0, result.stderr
    assert "gauge-free" in result.stdout
    facts = json.loads((tmp_path / "free" / "clusters.json").read_text())
    assert sum(row["voxels"] for row in facts["clusters"]) == facts["voxels"]


def test_clusters_refuses_tokens_of_another_network_and_too_many_clusters(run, mapping, tokens, photographs, tmp_path):
    other = tmp_path / "other"
    made = run("extract", "timm/test_vit", photographs, other, "--untrained", "--seed", 3, "--grid", 2, "-q")
    assert made.exit_code == 0, made.stderr
    free = ("--way", "gauge-free", "--tokens", other)
    result = run("channels", "cluster", mapping, tmp_path / "a", *free)
    assert result.exit_code == 2
    assert "give that network" in result.stderr
    result = run("channels", "cluster", mapping, tmp_path / "a", "--tokens", tokens)
    assert result.exit_code == 2
    assert "gauge-free" in result.stderr
    result = run("channels", "cluster", mapping, tmp_path / "a", "--count", 500)
    assert result.exit_code == 2
    assert "500 clusters of 150 voxels" in result.stderr
    assert not (tmp_path / "a").exists()


def test_channel_images_writes_the_maps_of_the_network_that_was_mapped(run, mapping, photographs, tokens, tmp_path):
    shutil.copytree(tokens, tmp_path / "maps" / "tokens")  # a store of one's own, such as of a whole run in a folder
    words = ("channels", "images", mapping, photographs, tmp_path / "maps", "--grid", 4, "--quiet", "--json")
    result = run(*words, "--rois", "V1,EBA")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout.splitlines()[-1])
    files = {path.name for path in (tmp_path / "maps").iterdir()}
    assert files == {*facts["files"], "tokens"}
    assert {"components.png", "response.png", "channel_images.npz"} <= files
    assert facts["regions"] == ["V1", "EBA"]
    assert facts["gauge"] == "as trained"
    store, loaded = TokenStore.open(tokens), Mapping.load(mapping)
    rois = {name: loaded.rois[name] for name in ("V1", "EBA")}
    expected = channel_images(load_model(loaded), [store.read()], store.image_ids, rois)
    with np.load(tmp_path / "maps" / "channel_images.npz") as arrays:
        assert tuple(arrays["images"]) == store.image_ids
        np.testing.assert_allclose(arrays["response"], expected.response, atol=1e-3)
        np.testing.assert_allclose(arrays["components"], expected.components, atol=2e-2)


def test_channel_images_of_clusters_in_the_canonical_gauge(run, mapping, photographs, tokens, clustered, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("\n".join(str(path) for path in sorted(photographs.iterdir())[:2]))
    words = ("channels", "images", mapping, few, tmp_path / "maps", "--clusters", clustered[0], "--tokens", tokens)
    result = run(*words, "--rois", "cluster 2", "--grid", 3)
    assert result.exit_code == 0, result.stderr
    assert "2 images, 1 regions" in result.stdout
    with np.load(tmp_path / "maps" / "channel_images.npz") as arrays:
        assert arrays["regions"].tolist() == ["cluster 2"]
        assert arrays["response"].shape == (2, 1, 3, 3)


def test_channel_images_dry_run_writes_nothing_and_bad_names_are_refused(run, mapping, photographs, tmp_path):
    result = run("channels", "images", mapping, photographs, tmp_path / "maps", "--dry-run", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "40" in result.stdout
    result = run("channels", "images", mapping, photographs, tmp_path / "maps", "--rois", "V1,FF")
    assert result.exit_code == 2
    assert "FF" in result.stderr
    result = run("channels", "images", mapping, photographs, tmp_path / "maps", "--clusters", tmp_path)
    assert result.exit_code == 2
    assert "holds no clusters" in result.stderr
    assert not list(tmp_path.iterdir())


def test_regions_too_small_for_components_are_left_out_or_refused_before_the_network_runs(
    run, mapping, photographs, tmp_path
):
    loaded, voxel = Mapping.load(mapping), np.arange(150)
    few = {f"roi_{name}": ("voxel", voxel < count) for name, count in (("none", 0), ("three", 3), ("four", 4))}
    data = loaded.dataset.drop_vars([f"roi_{name}" for name in loaded.rois]).assign_coords(few)
    replace(loaded, dataset=data.assign_attrs(rois=["none", "three", "four"])).save(tmp_path / "small")
    words = ("channels", "images", tmp_path / "small", photographs, tmp_path / "maps", "--grid", 2, "--quiet")
    result = run(*words, "--rois", "four,three")
    assert result.exit_code == 2
    assert "channel images need regions of 4 voxels or more; leave out three" in result.stderr
    assert not (tmp_path / "maps").exists()
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["regions"] == ["four"]
    assert "left out, of fewer than 4 voxels: none, three" in result.stderr
