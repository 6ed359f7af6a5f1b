"""Reduced stores: the components are those of an independent formula, tokens come back, nothing is mixed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import zarr
from pixel_network import noise_images, stored_files
from sklearn.decomposition import PCA
from torch.nn import functional

from factortopy.datasets import check_path
from factortopy.errors import DataError
from factortopy.networks import Preprocessing, network_from_function
from factortopy.tokens import TokenStore, estimate_extraction, extract, images_done, planned_bytes

CHANNELS, RANK = 20, 5
SEEN = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic", 1.0)


def low_rank(seed=0, name="low rank"):
    """Twenty channels of five planted dimensions, some a hundred times larger than others, and of large means."""
    random = torch.Generator().manual_seed(seed)
    filters = torch.randn(RANK, 3, 2, 2, generator=random)
    mixing = torch.randn(CHANNELS, RANK, generator=random) * torch.logspace(-1, 1, CHANNELS)[:, None]

    def tokens(images):
        latent = functional.conv2d(images, filters, stride=2)
        mixed = torch.einsum("ck,bkhw->bchw", mixing, latent) + 30
        return {"mixed": mixed, "pooled/of": functional.avg_pool2d(mixed, 2) * 2}

    return network_from_function(tokens, SEEN, name)


def run(path, network=None, images=None, **options):
    options = {"precision": "fp32", "progress": False, "batch_size": 16} | options
    return extract(network or low_rank(), images or noise_images(), path, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "tokens")


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    return run(tmp_path_factory.mktemp("reduced") / "tokens", components=RANK)


def close(found, expected):
    """To float16 of the tokens, and of the largest components, which hold the smallest channels too."""
    for one, other in zip((*found.local, *found.global_), (*expected.local, *expected.global_), strict=True):
        spread = other.float().transpose(0, 1).flatten(1).std(dim=1).view(1, -1, *[1] * (other.ndim - 2))
        assert bool(((one.float() - other.float()).abs() < 0.02 * spread + other.float().abs() / 512).all())
        assert (one.dtype, one.shape) == (torch.float16, other.shape)


def test_tokens_of_few_dimensions_come_back(whole, reduced):
    close(reduced.read(), whole.read())
    close(reduced.read([69, 3, 3, 0]), whole.read([69, 3, 3, 0]))
    assert (reduced.channels, reduced.layers, reduced.digests) == (whole.channels, whole.layers, whole.digests)
    assert whole.basis is None
    assert min(map(min, reduced.basis.explained.values())) > 0.998


def test_components_are_those_of_an_independent_formula(whole, tmp_path):
    basis = run(tmp_path / "tokens", components=3).basis
    for kind, parts in (("local", whole.read().local), ("global_", whole.read().global_)):
        for axes, part in zip(getattr(basis, kind), parts, strict=True):
            tokens = part.double().movedim(1, -1).reshape(-1, CHANNELS).numpy()
            standardised = (tokens - tokens.mean(0)) / tokens.std(0)
            pca = PCA(3).fit(standardised)
            np.testing.assert_allclose(axes.variance, pca.explained_variance_ * (1 - 1 / len(tokens)), rtol=2e-3)
            cosines = np.abs((pca.components_ * axes.axes.numpy()).sum(1))
            np.testing.assert_allclose(cosines, 1, atol=1e-2)
            assert axes.explained == pytest.approx(pca.explained_variance_ratio_.sum(), abs=2e-3)


def test_any_zarr_reader_makes_the_tokens_again(reduced):
    group = zarr.open_group(reduced.path, mode="r")
    for kind, tokens in (("local", reduced.read().local), ("global", reduced.read().global_)):
        for layer, found in zip(("mixed", "pooled%2Fof"), tokens, strict=True):
            components = np.moveaxis(group[f"{kind}/{layer}"][:].astype(float), 1, -1)
            axes, spread, mean = (group[f"basis/{kind}/{layer}/{name}"][:] for name in ("axes", "spread", "mean"))
            made = np.moveaxis(mean + spread * (components @ axes), -1, 1)
            np.testing.assert_allclose(found.numpy(), made, rtol=1e-3, atol=1e-3)


def test_stopped_and_run_again_it_ends_with_the_same_bytes(reduced, tmp_path, monkeypatch):
    network, path, batches = low_rank(), tmp_path / "tokens", []
    tokens = network.tokens

    def stops(images):
        batches.append(len(images))
        if sum(batches) > 70 + 64:  # after the images that components are measured on, in the second shard
            raise KeyboardInterrupt
        return tokens(images)

    monkeypatch.setattr(network, "tokens", stops)
    with pytest.raises(KeyboardInterrupt):
        run(path, network, components=RANK)
    assert images_done(path) == 64
    batches.clear()
    monkeypatch.setattr(network, "tokens", lambda images: batches.append(len(images)) or tokens(images))
    run(path, network, components=RANK)
    assert sum(batches) == 70 - 64
    assert stored_files(path) == stored_files(reduced.path)


def test_the_components_of_another_store_are_taken(whole, reduced, tmp_path):
    for name, options in (
        ("whole", {"basis": whole, "components": RANK}),
        ("reduced", {"basis": reduced}),
        ("fewer", {"basis": reduced, "components": 2}),
    ):
        store = run(tmp_path / name, images=noise_images(9, seed=1), **options)
        for axes, known in zip(store.basis.local, reduced.basis.local, strict=True):
            count = options.get("components", RANK)
            np.testing.assert_allclose(axes.axes, known.axes[:count], atol=5e-3 if name == "whole" else 0)
    with pytest.raises(DataError, match="other weights"):
        run(tmp_path / "other", low_rank(1, "other"), basis=reduced)
    with pytest.raises(DataError, match="how many components"):
        run(tmp_path / "other", basis=whole)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("options", [{}, {"components": 4}, {"components": 0}])
def test_stores_are_never_mixed(reduced, options):
    before = stored_files(reduced.path)
    with pytest.raises(DataError, match="components"):
        run(reduced.path, **options)
    assert stored_files(reduced.path) == before


def test_a_whole_store_is_never_reduced(whole):
    with pytest.raises(DataError, match="other components"):
        run(whole.path, components=4)


def test_bytes_are_planned_and_few(reduced):
    shards = [data for name, data in stored_files(reduced.path).items() if "c" in name.split("/")]
    kept = planned_bytes(70, (CHANNELS,) * 2, (8, 8), RANK)
    assert sum(map(len, shards)) == pytest.approx(kept, rel=0.01)  # the axes' own checksums are not counted
    size = sum(file.stat().st_size for file in reduced.path.rglob("*") if file.is_file())
    estimate = estimate_extraction(low_rank(), noise_images(), precision="fp32", components=RANK)
    assert estimate.disk == pytest.approx(size, rel=0.35)  # of a store so small, heads are a third
    vit_b = planned_bytes(73_000, (768,) * 12, (8, 8), 128)
    assert vit_b / 73_000 < 0.25e6
    assert vit_b < 18e9


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_damaged_basis_is_named(reduced, tmp_path, damage):
    path = shutil.copytree(reduced.path, tmp_path / "tokens")
    file = next(file for file in (path / "basis/local/mixed/axes/c").rglob("*") if file.is_file())
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.unlink() if damage == "remove" else file.write_bytes(data)
    with pytest.raises(DataError, match=r"is damaged \(.*basis.*run the extraction again"):
        TokenStore.open(path)


def test_check_says_what_is_kept(reduced):
    levels, texts = zip(*((one.level, one.message) for one in check_path(reduced.path).findings), strict=True)
    assert levels == ("ok", "note")
    assert f"{RANK} principal components, which hold 100% to 100%" in texts[1]


def test_a_broken_image_is_named_before_a_folder_is_made(tmp_path):
    images = noise_images()

    def load(image_id):
        if image_id == "image-42":
            raise DataError("it is no picture")
        return images.loader(image_id)

    with pytest.raises(DataError, match=r"1 of 70 images .* image-42 \(first: it is no picture"):
        run(tmp_path / "tokens", images=replace(images, loader=load), components=RANK)
    assert not (tmp_path / "tokens").exists()
