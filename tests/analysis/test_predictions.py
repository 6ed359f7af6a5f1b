"""Predictions that are made again are those of the fit; other tokens, subjects and splits are refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from factortopy.analysis import compare, partition_variance, predict_held_out
from factortopy.errors import DataError
from factortopy.fitting import fit_settings
from factortopy.images import ImageSet, Split
from factortopy.networks import load_network
from factortopy.subjects import load_arrays
from factortopy.tokens import extract
from factortopy.workflow import fit_model

IMAGES, VOXELS = 48, 30
FAST = {"steps": 6, "validate_every": 3, "width": 4, "batch_size": 16}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Tokens of two networks with other random weights, of pictures of noise in scenes of four."""
    random = np.random.default_rng(0)
    pictures = {f"image-{i:02d}": random.integers(0, 255, (32, 32, 3), dtype=np.uint8) for i in range(IMAGES)}
    groups = tuple(f"scene-{number // 4}" for number in range(IMAGES))
    images = ImageSet("noise", tuple(pictures), lambda name: Image.fromarray(pictures[name]), groups)
    folder = tmp_path_factory.mktemp("tokens")
    return [
        extract(
            load_network("timm/test_vit", untrained=True, seed=seed),
            images,
            folder / str(seed),
            grid=(4, 4),
            progress=False,
        )
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def subject(stores):
    random = np.random.default_rng(1)
    return load_arrays(
        responses=(5 + 3 * random.normal(size=(IMAGES, VOXELS))).astype(np.float32),
        image_ids=stores[0].image_ids,
        coordinates=random.uniform(0, 100, size=(VOXELS, 3)),
        name="arrays",
    )


@pytest.fixture(scope="module")
def fits(stores, subject):
    settings = fit_settings("default", **FAST), fit_settings("paper", **FAST)
    return [fit_model(store, subject, chosen, progress=False) for store, chosen in zip(stores, settings, strict=True)]


@pytest.fixture(scope="module")
def comparison(fits):
    return compare([fit.mapping for fit in fits])


def test_predictions_are_those_of_the_fit(comparison, fits, stores, subject):
    held = predict_held_out(comparison, stores, subject, progress=False)
    for found, fit in zip(held.test.predictions, fits, strict=True):
        np.testing.assert_allclose(found, fit.predictions, atol=1e-4)
    split = fits[0].split
    assert held.test.images == split.test
    train, validation = (
        subject.responses[[subject.image_ids.index(image) for image in side]]
        for side in (split.train, split.validation)
    )
    scored = (validation - train.mean(axis=0)) / train.std(axis=0)
    np.testing.assert_allclose(held.validation.responses, scored, atol=1e-4)


def test_variance_is_partitioned_from_them(comparison, stores, subject):
    held = predict_held_out(comparison, stores, subject, progress=False)
    found = partition_variance(held, comparison.labels, comparison.regions, resamples=20, progress=False)
    assert set(found.table["roi"]) == {"all voxels"}
    assert found.parts.shape == (3, VOXELS)


def test_what_was_not_fitted_is_refused(comparison, fits, stores, subject):
    with pytest.raises(DataError, match="order of the mappings"):
        predict_held_out(comparison, stores[::-1], subject, progress=False)
    with pytest.raises(DataError, match="as many token stores"):
        predict_held_out(comparison, stores[:1], subject, progress=False)
    with pytest.raises(DataError, match="other responses"):
        predict_held_out(comparison, stores, replace(subject, responses=subject.responses + 1), progress=False)
    with pytest.raises(DataError, match="voxels"):
        predict_held_out(comparison, stores, subject.select(np.arange(5)), progress=False)
    split = fits[0].split
    other = Split(split.test, split.validation, split.train)
    with pytest.raises(DataError, match="not the one of the fits"):
        predict_held_out(comparison, stores, subject, other, progress=False)
    predict_held_out(comparison, stores, subject, split, progress=False)


def test_a_split_of_its_own_must_be_given(stores, subject):
    ids = subject.image_ids
    split = Split(ids[:30], ids[30:39], ids[39:])
    settings = fit_settings("default", **FAST)
    mappings = [fit_model(store, subject, settings, split=split, progress=False).mapping for store in stores]
    comparison = compare(mappings)
    with pytest.raises(DataError, match="--split"):
        predict_held_out(comparison, stores, subject, progress=False)
    assert predict_held_out(comparison, stores, subject, split, progress=False).test.images == split.test


def test_changed_parameters_are_noticed(comparison, stores, subject):
    first, second = comparison.mappings
    broken = replace(first, parameters=first.parameters | {"bias": first.parameters["bias"] + 1})
    with pytest.raises(DataError, match="predicts otherwise"):
        predict_held_out(compare([broken, second]), stores, subject, progress=False)
