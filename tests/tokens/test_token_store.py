"""Tokens on disk: the right values in any order, as Zarr reads them, never mixed, never silently damaged."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from pixel_network import PixelNetwork, noise_images, run, stored_files
from torch.nn import functional
from zarr.codecs import Crc32cCodec

from factortopy.datasets import check_path
from factortopy.errors import DataError
from factortopy.images import sample_views
from factortopy.networks import Preprocessing, load_network, network_from_function
from factortopy.storage import RowArray, read_rows
from factortopy.tokens import TokenStore, extract, planned_bytes


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(PixelNetwork(), tmp_path_factory.mktemp("whole") / "tokens")


def test_values_are_the_downsampled_pixels(whole):
    images, rules = noise_images(), PixelNetwork().preprocessing
    tokens = whole.read([69, 3, 3, 0])
    for row, index in enumerate([69, 3, 3, 0]):
        pixels = rules(images.image(index)).numpy()
        halved = pixels.reshape(3, 8, 2, 8, 2).mean((2, 4))
        np.testing.assert_allclose(tokens.local[0][row], halved, atol=2e-3)
        np.testing.assert_allclose(tokens.global_[0][row], pixels.mean((1, 2)), atol=2e-3)
    assert tokens.local[1].dtype == torch.float16
    assert (len(whole), whole.layers, whole.channels, whole.grid) == (70, ("fine", "coarse"), (3, 3), (8, 8))
    assert whole.image_ids == noise_images().ids
    assert whole.image_groups == noise_images().groups
    assert (whole.network, whole.global_token, whole.outliers) == ("pixels", "pooled", "kept")
    assert "versions" in whole.provenance


def test_all_slices_and_single_images_agree(whole):
    everything = whole.read()
    for indices in ([5], list(range(10, 30)), list(range(70))[::-1], [69, 0, 64, 63]):
        part = whole.read(indices)
        assert all(torch.equal(a, b[indices]) for a, b in zip(part.local, everything.local, strict=True))
        assert all(torch.equal(a, b[indices]) for a, b in zip(part.global_, everything.global_, strict=True))


def test_zarr_reads_the_same_values(whole):
    group, tokens = zarr.open_group(whole.path, mode="r"), whole.read()
    for index, layer in enumerate(whole.layers):
        np.testing.assert_array_equal(group[f"local/{layer}"][:], tokens.local[index].numpy())
        np.testing.assert_array_equal(group[f"global/{layer}"][:], tokens.global_[index].numpy())
    assert group["image_sha256"].shape == (70, 32)
    assert len(np.unique(group["image_sha256"][:], axis=0)) == 70


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_read_in_any_order_however_the_chunks_lie(tmp_path, threads):
    """Shards that Zarr wrote, whose chunks lie in an order of its own; one of zeros too."""
    values = {"a": np.random.default_rng(0).normal(size=(200, 3, 2)).astype("<f2"), "b": np.arange(200.0, dtype="<f2")}
    values["a"][70] = 0
    for name, array in values.items():
        made = zarr.create_array(
            tmp_path / name,
            shape=array.shape,
            dtype="<f2",
            chunks=(1, *array.shape[1:]),
            shards=(64, *array.shape[1:]),
            compressors=[Crc32cCodec()],
            config={"write_empty_chunks": True},
        )
        made[:] = array
    arrays = [RowArray(tmp_path / name, array.shape[1:], "<f2") for name, array in values.items()]
    random = np.random.default_rng(1)
    for rows in (range(200), [199, 0, 70, 70, 3, 128, 3], random.integers(0, 200, 300), [64], random.permutation(200)):
        for found, array in zip(read_rows(arrays, rows, threads), values.values(), strict=True):
            np.testing.assert_array_equal(found, array[np.asarray(rows)])


@pytest.mark.parametrize("indices", [[], [70], [-1], [1.9], ["1"], 3, [[0, 1]], [True, False], np.zeros(70, bool)])
def test_index_out_of_range(whole, indices):
    with pytest.raises(DataError, match="0 to 69"):
        whole.read(indices)


def test_a_mask_chooses_the_images_where_it_is_true(whole):
    mask = np.isin(np.arange(70), [5, 9, 69])
    np.testing.assert_array_equal(whole.read(mask).local[0], whole.read().local[0][[5, 9, 69]])
    assert len(whole.read(mask.tolist())) == 3


def test_complete_store_is_not_computed_again(tmp_path):
    network = PixelNetwork()
    run(network, tmp_path / "tokens")
    network.seen = 0
    run(network, tmp_path / "tokens")
    assert network.seen == 0


def other_preprocessing():
    network = PixelNetwork()
    network.preprocessing = replace(network.preprocessing, mean=(0.4, 0.5, 0.5))
    return network


def other_weights():
    network = PixelNetwork()
    network.weights_hash = "1" * 64
    return network


@pytest.mark.parametrize(
    ("network", "images", "options", "text"),
    [
        (PixelNetwork(name="other"), None, {}, "other network"),
        (other_weights(), None, {}, "weights hash"),
        (other_preprocessing(), None, {}, "preprocessing"),
        (PixelNetwork(), None, {"grid": (4, 4)}, "grid"),
        (PixelNetwork(), None, {"precision": "bf16"}, "precision"),
        (PixelNetwork(), None, {"mask_outliers": True}, "outliers"),
        (PixelNetwork(), noise_images(69), {}, "image ids"),
        (PixelNetwork(), noise_images(seed=1), {}, "another image 'image-0'"),
    ],
)
def test_stores_are_never_mixed(whole, network, images, options, text):
    before = stored_files(whole.path)
    with pytest.raises(DataError, match=text):
        run(network, whole.path, images, **options)
    assert stored_files(whole.path) == before


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e6])
def test_values_float16_cannot_hold(tmp_path, factor):
    with pytest.raises(DataError, match=r"layer 'coarse'.*image-0"):
        run(PixelNetwork(factor), tmp_path / "tokens")


@pytest.mark.parametrize("damage", ["truncate", "remove", "flip", "table", "attributes", "marker", "other"])
def test_damaged_store_is_named(whole, tmp_path, damage):
    path = shutil.copytree(whole.path, tmp_path / "tokens")
    shard = path / "local" / "fine" / "c" / "0" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    if damage == "truncate":
        shard.write_bytes(data[:-50])
    elif damage == "remove":
        shard.unlink()
    elif damage in ("flip", "table"):
        data[100 if damage == "flip" else -40] ^= 1
        shard.write_bytes(data)
    elif damage == "attributes":
        (path / "zarr.json").write_text('{"zarr_format": 3')
    elif damage == "marker":
        (path / "completed.json").unlink()
    else:
        path = tmp_path
    with pytest.raises(DataError, match=r"tokens|no token store"):
        TokenStore.open(path).read()


def test_check_finds_every_damaged_shard(whole, tmp_path):
    assert [finding.level for finding in check_path(whole.path).findings] == ["ok"]
    path = shutil.copytree(whole.path, tmp_path / "tokens")
    for file in ("local/fine/c/0/0/0/0", "global/coarse/c/1/0"):
        data = bytearray((path / file).read_bytes())
        data[5] ^= 128
        (path / file).write_bytes(data)
    findings = check_path(path).findings
    assert [finding.level for finding in findings] == ["problem", "problem"]
    assert "local/fine/c/0/0/0/0" in findings[0].message
    assert "global/coarse/c/1/0" in findings[1].message


def test_missing_store_and_foreign_folder(tmp_path):
    with pytest.raises(DataError, match="run the extraction first"):
        TokenStore.open(tmp_path / "absent")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="no token store"):
        run(PixelNetwork(), tmp_path / "mine")
    with pytest.raises(DataError, match="is a file"):
        run(PixelNetwork(), tmp_path / "mine" / "notes.txt")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "notes.txt"]


def test_a_link_to_another_disk_stays(whole, tmp_path):
    (tmp_path / "disk" / "tokens").mkdir(parents=True)
    left = tmp_path / "disk" / ".tokens.0123.partial"
    left.mkdir()
    link = tmp_path / "tokens"
    link.symlink_to(tmp_path / "disk" / "tokens")
    linked = run(PixelNetwork(), link)
    assert link.is_symlink()
    assert not left.exists(), "what a killed run left there must go"
    assert stored_files(tmp_path / "disk" / "tokens").keys() == stored_files(whole.path).keys()
    assert torch.equal(linked.read([5]).local[0], whole.read([5]).local[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "tokens"]


def test_planned_bytes_are_those_of_the_shards(whole):
    shards = [data for name, data in stored_files(whole.path).items() if "c" in name.split("/")]
    assert planned_bytes(70, (3, 3), (8, 8)) == sum(map(len, shards))


def test_real_network_end_to_end(tmp_path):
    network = load_network("test_vit", layers=["blocks.1", "blocks.5"], untrained=True, device="cpu")
    images = noise_images(3)
    store = extract(network, images, tmp_path / "tokens", precision="fp32", progress=False)
    batch = torch.stack([network.preprocessing(images.image(index)) for index in range(3)])
    with torch.no_grad():
        expected = network.tokens(batch)
    close = {"rtol": 2e-3, "atol": 2e-3}
    for index in range(2):
        maps = functional.interpolate(expected.local[index], size=(8, 8), mode="bilinear", align_corners=False)
        torch.testing.assert_close(store.read().local[index].float(), maps, **close)
        torch.testing.assert_close(store.read().global_[index].float(), expected.global_[index], **close)
    assert store.global_token == "class"
    assert store.weights_hash == network.weights_hash


@pytest.mark.parametrize(
    "names", [("a", "a/b"), ("../x", "b"), ("zarr.json", ""), ("__a", ".b"), ("b c", "ä%2F"), ("a%2Fb", "a/b")], ids=str
)
def test_layers_of_any_name(tmp_path, names):
    seen = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
    network = network_from_function(lambda x: {names[0]: x[:, :, ::4, ::4], names[1]: -x[:, :, ::4, ::4]}, seen, "f")
    store = extract(network, sample_views(3), tmp_path / "inside" / "t", precision="fp32", progress=False)
    first, second = TokenStore.open(store.path).read().local
    assert store.layers == names
    assert torch.equal(first, -second)
    assert float(first.abs().max()) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    group = zarr.open_group(store.path, mode="r")
    assert sorted(array.shape for array in group["local"].array_values()) == [(3, 3, 8, 8)] * 2
