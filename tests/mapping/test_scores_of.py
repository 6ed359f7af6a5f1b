"""Every line of facts says what scores are of, and a score above its noise ceiling is named and not clipped."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from factortopy.errors import DataError
from factortopy.mapping import facts, facts_line
from factortopy.subjects import load_arrays, load_subject_folder


def subject_of(**options):
    random = np.random.default_rng(0)
    ids = [f"image-{number}" for number in range(6)]
    return load_arrays(random.normal(size=(6, 3)), ids, random.normal(size=(3, 3)), **options)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"scores_of": "single trials", "trials_test": 1234}, "1,234 single trials of the test images"),
        ({"scores_of": "own mean", "repeats_test": [8]}, "single trials, one a test image"),
        ({"scores_of": "own mean", "repeats_test": [0, 0, 5]}, "own means of 3 repeats a test image"),
        ({"repeats_test": [1, 0, 3]}, "own means of 1 to 3 repeats a test image, 2.5 on average"),
        ({"scores_of": "group mean", "repeats_test": [0, 0, 0, 9]}, "group means of 4 repeats a test image"),
        ({"scores_of": "group mean"}, "group means, repeats not listed"),
        ({"scores_of": "own mean"}, "own means, repeats not listed"),
        ({}, "responses as given, repeats unknown"),
    ],
)
def test_what_scores_are_of(attributes, text):
    dataset = xr.Dataset(attrs=attributes)
    assert facts(dataset)["scores_of"] == text
    assert f"scores of {text}" in facts_line(dataset)


def test_kinds_of_responses_are_told_apart_and_kept(tmp_path):
    expected = {"single trials": {"single_trials": True}, "group mean": {"group_mean": True}}
    expected |= {"own mean": {"repeats": np.full(6, 2)}, None: {}}
    for kind, options in expected.items():
        subject = subject_of(**options)
        assert subject.scores_of == kind
        assert load_subject_folder(subject.save(tmp_path / "subject")).scores_of == kind
    with pytest.raises(DataError, match="single trials and means over persons"):
        replace(subject_of(single_trials=True), group_mean=True)


def mapping_scores(r2, ceiling):
    return xr.Dataset({"r2": ("voxel", np.array(r2)), "ceiling": ("voxel", np.array(ceiling))})


def test_a_score_above_its_ceiling_is_named_and_stays_as_it_is():
    assert facts(mapping_scores([0.5, 0.3], [0.2, 0.4]))["score"] == (
        "mean R² 0.400 raw, ABOVE its noise ceiling of 0.300"
    )
    assert facts(mapping_scores([0.1, 0.3], [0.2, 0.4]))["score"] == "mean R² 0.200 raw"
    # Voxels that lack one of the two tell nothing of the other.
    assert "ABOVE" not in facts(mapping_scores([0.1, 0.9], [0.2, np.nan]))["score"]
