"""Tokens on disk: the right values, resumed to the same bytes, never mixed, never silently damaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from factortopy.errors import DataError
from factortopy.images import ImageSet
from factortopy.networks import Network, Preprocessing, Tokens, load_network
from factortopy.tokens import TokenStore, estimate_extraction, extract
from factortopy.tokens.writer import TokenWriter


def noise_images(count=70, seed=0):
    ids = tuple(f"image-{index}" for index in range(count))

    def load(image_id):
        random = np.random.default_rng([seed, int(image_id.split("-")[1])])
        return Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8))

    return ImageSet("noise", ids, load, groups=tuple(f"scene-{index // 2}" for index in range(count)))


class PixelNetwork(Network):
    """Two layers whose tokens are known: the pixels, and their mean in 4 x 4 blocks times a factor."""

    def __init__(self, factor=1.0, name="pixels"):
        self.name, self.description, self.pretrained = name, "pixels", True
        self.layers, self.channels, self.grids = ("fine", "coarse"), (3, 3), ((16, 16), (4, 4))
        self.prefix_tokens, self.register_tokens, self.global_token = 0, 0, "pooled"
        self.preprocessing = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic", 1.0)
        self.weights_hash, self.device, self.factor = "0" * 64, torch.device("cpu"), factor
        self.seen = 0

    def tokens(self, images):
        self.seen += len(images)
        coarse = functional.avg_pool2d(images, 4) * self.factor
        return Tokens((images, coarse), (images.mean((2, 3)), coarse.mean((2, 3))))

    def to(self, device):
        return self


def run(network, path, images=None, **options):
    options = {"grid": (8, 8), "precision": "fp32", "progress": False} | options
    return extract(network, images or noise_images(), path, **options)


def array_bytes(path):
    files = sorted(file for file in path.rglob("*") if file.is_file() and "c" in file.relative_to(path).parts)
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


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
    assert (whole.network, whole.global_token) == ("pixels", "pooled")
    assert "versions" in whole.provenance


def test_all_slices_and_single_images_agree(whole):
    everything = whole.read()
    for indices in ([5], list(range(10, 30)), list(range(70))[::-1]):
        part = whole.read(indices)
        assert all(torch.equal(a, b[indices]) for a, b in zip(part.local, everything.local, strict=True))
        assert all(torch.equal(a, b[indices]) for a, b in zip(part.global_, everything.global_, strict=True))


@pytest.mark.parametrize("indices", [[], [70], [-1]])
def test_index_out_of_range(whole, indices):
    with pytest.raises(DataError, match="0 to 69"):
        whole.read(indices)


@pytest.mark.parametrize(
    "kill_at", ["second shard", "inside the first shard", "before the mark", "in creation"]
)
def test_resumed_run_has_the_same_bytes(tmp_path, monkeypatch, whole, kill_at):
    path, network, real_write = tmp_path / "tokens", PixelNetwork(), TokenWriter.write

    def kill(*_arguments, **_options):
        raise KeyboardInterrupt

    def write(writer, first, tokens):
        if kill_at == "inside the first shard" or (kill_at == "second shard" and first > 0):
            half = Tokens(tuple(t + 1 for t in tokens.local), tokens.global_)  # what a dying run may leave
            with monkeypatch.context() as patch:
                patch.setattr(TokenWriter, "_mark", kill)
                real_write(writer, first, half)
        if kill_at == "before the mark":
            monkeypatch.setattr(TokenWriter, "_mark", kill)
        real_write(writer, first, tokens)

    with monkeypatch.context() as patch:
        patch.setattr(TokenWriter, "write", write)
        if kill_at == "in creation":
            patch.setattr(TokenWriter, "_create_array", kill)
        with pytest.raises(KeyboardInterrupt):
            run(network, path)
    monkeypatch.undo()
    if kill_at == "in creation":
        assert list(tmp_path.iterdir()) == []
    else:
        with pytest.raises(DataError, match="of 70 images; run the extraction again"):
            TokenStore.open(path)
    network.seen = 0
    run(network, path)
    assert network.seen == (6 if kill_at == "second shard" else 70)
    assert array_bytes(path) == array_bytes(whole.path)


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
        (PixelNetwork(), noise_images(69), {}, "image ids"),
        (PixelNetwork(), noise_images(seed=1), {}, "first image"),
    ],
)
def test_stores_are_never_mixed(whole, network, images, options, text):
    before = array_bytes(whole.path)
    with pytest.raises(DataError, match=text):
        run(network, whole.path, images, **options)
    assert array_bytes(whole.path) == before


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e6])
def test_values_float16_cannot_hold(tmp_path, factor):
    with pytest.raises(DataError, match=r"layer 'coarse'.*image-0"):
        run(PixelNetwork(factor), tmp_path / "tokens")


@pytest.mark.parametrize("damage", ["truncate", "remove", "flip", "attributes", "marker", "other"])
def test_damaged_store_is_named(tmp_path, damage):
    path = run(PixelNetwork(), tmp_path / "tokens").path
    shard = path / "local" / "fine" / "c" / "0" / "0" / "0" / "0"
    if damage == "truncate":
        shard.write_bytes(shard.read_bytes()[:-50])
    elif damage == "remove":
        shard.unlink()
    elif damage == "flip":
        data = bytearray(shard.read_bytes())
        data[100] ^= 1
        shard.write_bytes(data)
    elif damage == "attributes":
        (path / "zarr.json").write_text('{"zarr_format": 3')
    elif damage == "marker":
        (path / "completed.json").unlink()
    else:
        path = tmp_path
    with pytest.raises(DataError, match=r"tokens|no token store"):
        TokenStore.open(path).read()


def test_missing_store_and_foreign_folder(tmp_path):
    with pytest.raises(DataError, match="extract tokens first"):
        TokenStore.open(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="no token store"):
        run(PixelNetwork(), tmp_path)
    with pytest.raises(DataError, match="is a file"):
        run(PixelNetwork(), tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_unwritable_folder():
    with pytest.raises(DataError, match="cannot write"):
        run(PixelNetwork(), "/proc/factortopy/tokens")


def test_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match="free"):
        run(PixelNetwork(), tmp_path / "tokens")
    assert not (tmp_path / "tokens").exists()


@pytest.mark.parametrize("options", [{"grid": (0, 8)}, {"batch_size": 0}, {"batch_size": 65}])
def test_bad_options(tmp_path, options):
    with pytest.raises(DataError, match="expected"):
        run(PixelNetwork(), tmp_path / "tokens", **options)


def test_estimate_matches_what_is_written(whole):
    estimate = estimate_extraction(PixelNetwork(), noise_images(), precision="fp32")
    written = sum(len(data) for name, data in array_bytes(whole.path).items())
    assert estimate.images == 70
    assert estimate.bytes == 2 * 70 * (3 * 65 + 3 * 65)
    assert estimate.bytes < written
    assert estimate.seconds > 0


def test_real_network_end_to_end(tmp_path):
    network = load_network("test_vit", layers=["blocks.1", "blocks.5"], untrained=True, device="cpu")
    images = noise_images(3)
    store = run(network, tmp_path / "tokens", images)
    batch = torch.stack([network.preprocessing(images.image(index)) for index in range(3)])
    with torch.no_grad():
        expected = network.tokens(batch)
    for index in range(2):
        maps = functional.interpolate(
            expected.local[index], size=(8, 8), mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(store.read().local[index].float(), maps, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(
            store.read().global_[index].float(), expected.global_[index], rtol=2e-3, atol=2e-3
        )
    assert store.global_token == "class"
    assert store.weights_hash == network.weights_hash
