"""Responses to photographs are those that the fit itself predicted, however they are asked for and written."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import zarr
from PIL import Image

from factortopy.cortex import Voxels
from factortopy.errors import DataError
from factortopy.fitting import fit_settings
from factortopy.images import ImageSet, Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping, Predictor, load_mapped_network, predict
from factortopy.networks import load_network
from factortopy.subjects import Subject
from factortopy.tokens import extract
from factortopy.workflow import fit_model

IMAGES, VOXELS = 80, 12
SPREAD = np.geomspace(0.1, 30, VOXELS).astype(np.float32)
LEVEL = SPREAD * np.linspace(-4, 4, VOXELS, dtype=np.float32)
"""Mean response of each voxel, in arbitrary units."""


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    pixels = {f"image-{i:02d}": rng.integers(0, 255, (24, 24, 3), dtype=np.uint8) for i in range(IMAGES)}
    return ImageSet("noise", tuple(pixels), lambda name: Image.fromarray(pixels[name]))


@pytest.fixture(scope="module")
def subject(images):
    rng, hemisphere = np.random.default_rng(1), np.repeat(["left", "right"], VOXELS // 2)
    voxels = Voxels.on_sphere("fsaverage5", hemisphere, np.arange(100, 100 + VOXELS))
    rois = {"V1": np.arange(VOXELS) < 4, "empty": np.zeros(VOXELS, bool)}
    responses = LEVEL + SPREAD * rng.normal(size=(IMAGES, VOXELS)).astype(np.float32)
    return Subject("noise", responses, images.ids, replace(voxels, rois=rois))


@pytest.fixture(scope="module")
def fitted(images, subject, tmp_path_factory):
    network = load_network("timm/test_vit", ["blocks.1", "blocks.3"], untrained=True, seed=3)
    folder = tmp_path_factory.mktemp("fit")
    tokens = extract(network, images, folder / "tokens", (3, 3), precision="fp32", mask_outliers=True, progress=False)
    machine = Machine.choose("cpu", "fp32")
    split = Split(images.ids[:50], images.ids[50:60], images.ids[60:])
    settings = fit_settings(steps=4, components=8, width=4)
    done = fit_model(tokens, subject, settings, split=split, machine=machine, bootstrap=0, progress=False)
    return done, done.mapping.save(folder / "mapping")


@pytest.fixture
def mapping(fitted):
    return Mapping.load(fitted[1])


def test_the_fits_own_predictions_in_the_units_of_its_responses(fitted, mapping, images, subject):
    test = images.subset(fitted[0].split.test)
    own = fitted[0].predictions
    z = predict(mapping, test, z_scored=True, device="cpu", progress=False)
    assert z.units == "z-scored"
    np.testing.assert_allclose(z.read(), own, atol=1e-5)
    training = subject.responses[:50].astype(float)
    responses = mapping.predict(test, device="cpu", batch_size=7, progress=False)
    assert responses.units == "training responses"
    assert np.abs((responses.read() - training.mean(axis=0)) / training.std(axis=0) - own).max() < 1e-5


def test_what_a_reduced_store_left_out_is_said(mapping):
    assert Predictor.of(mapping, device="cpu", progress=False).assumption is None
    tokens = mapping.provenance["tokens"] | {"components": {"count": 5}}
    reduced = replace(mapping, provenance={**mapping.provenance, "tokens": tokens})
    assert "5 principal components" in Predictor.of(reduced, device="cpu", progress=False).assumption


def test_an_imported_mapping_that_knows_no_units_says_so(mapping, images):
    without = replace(mapping, dataset=mapping.dataset.drop_vars(["response_mean", "response_spread"]))
    assert predict(without, images.subset(images.ids[:2]), device="cpu", progress=False).units == "z-scored"


class StopError(Exception):
    """Stands for whatever stops a run."""


def test_a_stopped_run_goes_on_where_it_was(mapping, images, tmp_path):
    whole = predict(mapping, images, device="cpu", progress=False).read()
    seen = []

    def load(name, last):
        seen.append(name)
        if name == last:
            raise StopError
        return images.image(images.ids.index(name))

    stopping = ImageSet("noise", images.ids, lambda name: load(name, images.ids[75]))
    with pytest.raises(StopError):
        predict(mapping, stopping, tmp_path / "out.zarr", device="cpu", progress=False)
    seen.clear()
    going_on = ImageSet("noise", images.ids, lambda name: load(name, None))
    responses = predict(mapping, going_on, tmp_path / "out.zarr", device="cpu", progress=False)
    # 64 images were whole; of these, some are decoded again and compared.
    assert seen.count(images.ids[1]) == 0
    assert set(images.ids[64:]) <= set(seen)
    np.testing.assert_allclose(responses.read(), whole, rtol=1e-5, atol=1e-4)
    stored = zarr.open_group(tmp_path / "out.zarr", mode="r")
    np.testing.assert_array_equal(stored["responses"][:], responses.read())
    mask = np.arange(len(whole)) % 3 == 1
    np.testing.assert_array_equal(responses.read(mask), stored["responses"][:][mask])
    with pytest.raises(DataError, match="image indices"):
        responses.read([1.9])
    assert stored.attrs["units"] == "training responses"
    assert stored.attrs["image_ids"] == list(images.ids)


def test_a_group_of_other_images_or_another_mapping_is_not_gone_on_with(mapping, images, tmp_path):
    few = images.subset(images.ids[:3])
    predict(mapping, few, tmp_path / "out.zarr", device="cpu", progress=False)
    black = ImageSet("noise", few.ids, lambda name: Image.new("RGB", (24, 24)))
    with pytest.raises(DataError, match="another image 'image-00'"):
        predict(mapping, black, tmp_path / "out.zarr", device="cpu", progress=False)
    other = replace(mapping, parameters={name: value + 1 for name, value in mapping.parameters.items()})
    with pytest.raises(DataError):
        predict(other, few, tmp_path / "out.zarr", device="cpu", progress=False)


def test_other_weights_layers_or_preprocessing_are_refused(mapping, images):
    network = load_mapped_network(mapping, device="cpu")
    network.weights_hash = "0" * 64
    with pytest.raises(DataError, match="00000000") as refused:
        predict(mapping, images, network=network, progress=False)
    assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match="1 layers"):
        predict(mapping, images, network=load_network("timm/test_vit", ["blocks.1"], untrained=True, seed=3))
    authors = load_network("timm/test_vit", ["blocks.1", "blocks.3"], untrained=True, seed=3, preprocessing="authors")
    with pytest.raises(DataError, match="otherwise"):
        predict(mapping, images, network=authors, progress=False)
    facts = {name: value for name, value in mapping.provenance["tokens"].items() if name != "grid"}
    with pytest.raises(DataError, match="fit it again"):
        predict(replace(mapping, provenance={**mapping.provenance, "tokens": facts}), images, progress=False)
    with pytest.raises(DataError, match="not a str; give what `open_images` makes"):
        mapping.predict("photographs")


def test_files_are_read_by_their_own_libraries(mapping, images, tmp_path):
    responses = predict(mapping, images.subset(images.ids[:5]), device="cpu", progress=False)
    values = responses.read()
    responses.save(tmp_path / "r.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy", allow_pickle=False), values)
    assert json.loads((tmp_path / "r.npy.json").read_text())["image_ids"] == list(images.ids[:5])
    vertex = np.arange(100, 100 + VOXELS)
    for ending in (".gii", ".gii.gz", ".mgh", ".mgz"):
        responses.save(tmp_path / f"r{ending}")
        for short, here in (("lh", slice(0, 6)), ("rh", slice(6, 12))):
            image = nibabel.load(tmp_path / f"{short}.r{ending}")
            if "gii" in ending:
                maps = np.stack([array.data for array in image.darrays])
                assert [array.metadata["Name"] for array in image.darrays] == list(images.ids[:5])
                side = {"lh": "CortexLeft", "rh": "CortexRight"}[short]
                assert image.meta["AnatomicalStructurePrimary"] == side
            else:
                maps = image.get_fdata(dtype=np.float32)[:, 0, 0].T
            assert maps.shape == (5, 10_242)
            np.testing.assert_array_equal(maps[:, vertex[here]], values[:, here])
            assert np.isfinite(maps).sum() == values[:, here].size
    with pytest.raises(DataError, match=r"\.zarr, \.npy"):
        responses.save(tmp_path / "r.csv")


def test_roi_means(mapping, images):
    responses = predict(mapping, images.subset(images.ids[:5]), device="cpu", progress=False)
    table, values = responses.roi_means(), responses.read()
    assert list(table.columns) == ["image", "V1", "empty", "all voxels"]
    np.testing.assert_allclose(table["V1"], values[:, :4].mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(table["all voxels"], values.mean(axis=1), rtol=1e-5)
    assert table["empty"].isna().all()
