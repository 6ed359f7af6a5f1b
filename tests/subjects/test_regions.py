"""Regions in a folder: what can be read in two ways is refused, and nothing that lies there is left out."""

import json

import numpy as np
import pytest

from factortopy.errors import DataError
from factortopy.subjects import LabelledRegion, load_arrays, load_subject_folder

IMAGES, VOXELS = 3, 6
MASK = np.array([1, 0, 0, 0, 1, 0])
LABELS = np.array([2, 2, 1, 1, 0, 0])


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "responses.npy", np.random.default_rng(0).normal(size=(IMAGES, VOXELS)))
    (tmp_path / "image_ids.txt").write_text("a\nb\nc\n")
    (tmp_path / "rois").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("values", "inside"),
    [
        ([1, 0, 0, 0, 1, 0], [0, 4]),
        ([True, False, False, False, True, False], [0, 4]),
        ([1.0, 0, 0, 0, 1, 0], [0, 4]),
        ([0, 1], [0, 1]),
        ([4, 0], [0, 4]),
        ([1], [1]),
        ([], []),
        ([0] * VOXELS, []),
        ([1] * VOXELS, range(VOXELS)),
    ],
)
def test_a_list_is_a_mask_or_indices(folder, values, inside):
    (folder / "rois.json").write_text(json.dumps({"R": values}))
    assert np.flatnonzero(load_subject_folder(folder).voxels.rois["R"]).tolist() == list(inside)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (LABELS.tolist(), "must be a mask of 0 and 1 for each of 6 voxels, or indices from 0 to 5, each once"),
        ([5, 4, 3, 2, 1, 0], "has a number for every voxel: labels or indices"),
        ([1, 1, 2], "each once"),
        ([6], "each once"),
        ([-1], "each once"),
        ([0.5], "each once"),
        (["V1"] * VOXELS, "must be a mask"),
        ([[1, 0, 0, 0, 1, 0]], "must be a mask"),
        ([[1], [0, 1]], "give an object of lists"),
        (3, "must be a mask"),
    ],
)
def test_lists_that_are_neither_or_both_are_refused(folder, values, message):
    (folder / "rois.json").write_text(json.dumps({"R": values}))
    with pytest.raises(DataError, match=message) as caught:
        load_subject_folder(folder)
    assert "rois.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_of_two_voxels_a_list_can_be_both(folder):
    np.save(folder / "responses.npy", np.ones((IMAGES, 2)))
    (folder / "rois.json").write_text('{"R": [1, 0]}')
    with pytest.raises(DataError, match="both a mask and indices; write true and false"):
        load_subject_folder(folder)
    (folder / "rois.json").write_text('{"R": [true, false]}')
    assert load_subject_folder(folder).voxels.rois["R"].tolist() == [True, False]


def test_every_file_of_a_region_is_read(folder):
    np.save(folder / "rois" / "A.npy", MASK)
    np.savez(folder / "rois" / "B.v2.npz", MASK > 0)
    np.save(folder / "named.npy", MASK * 7)
    np.save(folder / "areas.npy", LABELS)
    (folder / "rois" / ".hidden").write_text("no mask")
    (folder / "rois.json").write_text('\ufeff{"C": [0, 4]}', encoding="utf-8")
    (folder / "subject.toml").write_text('[rois]\nD = "named.npy"\nE = { labels = "areas.npy", values = [2] }\n')
    rois = load_subject_folder(folder).voxels.rois
    assert list(rois) == ["D", "E", "A", "B.v2", "C"]
    np.testing.assert_array_equal(rois.pop("E"), LABELS == 2)
    for mask in rois.values():
        np.testing.assert_array_equal(mask, MASK > 0)


@pytest.mark.parametrize("second", ["rois/A.npz", "rois.json", "subject.toml"])
def test_a_region_that_stands_twice_is_refused(folder, second):
    np.save(folder / "rois" / "A.npy", MASK)
    if second == "rois/A.npz":
        np.savez(folder / second, MASK)
    elif second == "rois.json":
        (folder / second).write_text('{"A": [0]}')
    else:
        np.save(folder / "other.npy", MASK)
        (folder / second).write_text('[rois]\nA = "other.npy"\n')
    with pytest.raises(DataError, match="remove one"):
        load_subject_folder(folder)


def test_what_is_no_mask_is_named(folder):
    (folder / "rois" / "V1.label").write_text("x")
    with pytest.raises(DataError, match=r"V1\.label is no mask; give one of \.npy"):
        load_subject_folder(folder)
    np.savez(folder / "responses.npz", np.ones((IMAGES, VOXELS)))
    with pytest.raises(DataError, match=r"responses\.npz are both there; name one as responses in subject\.toml"):
        load_subject_folder(folder)


@pytest.mark.parametrize("values", [LABELS, -MASK, MASK * 0.5 + (LABELS == 1) * 0.25, MASK * np.nan])
def test_labels_and_shares_are_no_masks(values):
    with pytest.raises(DataError, match=r"ROI 'R' hold"):
        load_arrays(np.ones((IMAGES, VOXELS)), list("abc"), rois={"R": values})


def test_labels_with_their_values_are_a_region():
    region = LabelledRegion(LABELS, (1, 2))
    subject = load_arrays(np.ones((IMAGES, VOXELS)), list("abc"), rois={"R": region, "S": MASK * 255})
    assert subject.voxels.rois["R"].tolist() == [True] * 4 + [False] * 2
    np.testing.assert_array_equal(subject.voxels.rois["S"], MASK > 0)
