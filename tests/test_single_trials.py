"""Single trials: split by image, all of an image's trials scored, the ceiling that of the test rows."""

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from factortopy.fitting import fit_settings
from factortopy.images import Split
from factortopy.subjects import load_arrays
from factortopy.workflow import fit_model

IMAGES, VOXELS = 30, 8
FAST = {"steps": 4, "validate_every": 2, "width": 4, "batch_size": 8}


@pytest.fixture(scope="module")
def tokens(tokens_of_noise):
    return tokens_of_noise(IMAGES, (4, 4))


def subject_of(ids, single_trials, repeats=None):
    random = np.random.default_rng(1)
    return load_arrays(
        responses=random.normal(size=(len(ids), VOXELS)).astype(np.float32),
        image_ids=ids,
        coordinates=random.uniform(0, 100, size=(VOXELS, 3)),
        noise_ceiling=np.full(VOXELS, 0.4, np.float32),
        repeats=repeats,
        single_trials=single_trials,
    )


@pytest.fixture(scope="module")
def shown(tokens):
    """Each image one to three times, in random order."""
    random = np.random.default_rng(2)
    return tuple(random.permutation(np.repeat(tokens.image_ids, random.integers(1, 4, IMAGES))).tolist())


def test_images_are_split_and_all_trials_of_the_test_images_scored(tokens, shown):
    subject = subject_of(shown, True, np.ones(len(shown), int))
    result = fit_model(tokens, subject, fit_settings("default", **FAST), progress=False)
    sides = [set(side) for side in result.split.to_dict().values()]
    assert set.union(*sides) == set(shown)
    assert sum(map(len, sides)) == IMAGES
    trials = np.array(shown)
    test = np.flatnonzero(np.isin(trials, result.split.test))
    assert len(test) > len(result.split.test)
    train = subject.responses[np.isin(trials, result.split.train)]
    place = [tokens.image_ids.index(trials[row]) for row in test]
    with torch.no_grad():
        predicted = result.model(tokens.read(place)).numpy()
    measured = (subject.responses[test] - train.mean(axis=0)) / train.std(axis=0)
    expected = r2_score(measured, predicted, multioutput="raw_values")
    np.testing.assert_allclose(result.mapping.dataset["r2"], expected, atol=1e-3)
    assert result.mapping.dataset.attrs["repeats_test"] == [len(test)]
    np.testing.assert_allclose(result.mapping.dataset["ceiling"], 0.4, rtol=1e-5)


def test_the_ceiling_is_that_of_the_repeats_of_the_test_rows(tokens):
    ids = tokens.image_ids
    repeats = np.array([1] * 20 + [4] * 10)
    subject = subject_of(ids, False, repeats)
    split = Split(ids[:18], ids[18:20], ids[20:])
    result = fit_model(tokens, subject, fit_settings("default", **FAST), split=split, progress=False)
    # 0.4 holds for 20 images once and 10 four times; S / N follows, then the ceiling of four repeats.
    signal = 0.4 / 0.6 * (20 + 10 / 4) / 30
    np.testing.assert_allclose(result.mapping.dataset["ceiling"], signal / (signal + 1 / 4), rtol=1e-5)
    assert result.mapping.dataset.attrs["repeats_test"] == [0, 0, 0, 10]
