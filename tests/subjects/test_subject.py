"""Subjects refuse what cannot be fitted, in one line; files are read without pickles."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from factortopy.cortex import Voxels
from factortopy.errors import DataError, ShapeError
from factortopy.storage import sha256_array
from factortopy.subjects import Subject, load_arrays, load_subject_folder, subject_digest

IMAGES, VOXELS = 6, 4


@pytest.fixture
def subject():
    generator = np.random.default_rng(0)
    coordinates = generator.normal(size=(VOXELS, 3)).astype(np.float32)
    return Subject(
        name="one",
        responses=generator.normal(size=(IMAGES, VOXELS)).astype(np.float32),
        image_ids=tuple("abcdef"),
        voxels=Voxels(
            coordinates,
            bounds=np.stack([coordinates.min(0) - 1, coordinates.max(0) + 1]),
            hemisphere=np.array(["left", "left", "right", "right"]),
            vertex=np.arange(VOXELS),
            rois={"V1": np.array([True, False, True, False])},
        ),
        noise_ceiling=np.full(VOXELS, 0.5, dtype=np.float32),
        repeats=np.full(IMAGES, 3),
    )


def test_responses_of_an_image_lie_side_by_side(subject):
    chosen = subject.select(np.array([2, 0]))
    assert chosen.responses.flags.c_contiguous
    assert np.array_equal(chosen.responses, subject.responses[:, [2, 0]])
    columns = replace(subject, responses=np.asfortranarray(subject.responses))
    assert columns.responses.flags.c_contiguous


def with_nan(subject):
    responses = subject.responses.copy()
    responses[1:3, 2] = np.nan
    return responses


def moved(subject, **changes):
    return {"voxels": replace(subject.voxels, **changes)}


def digest_of(subject):
    return subject_digest(subject, sha256_array(subject.responses))


def test_whatever_a_mapping_holds_of_a_subject_is_in_its_digest(subject):
    v1 = subject.voxels.rois["V1"]
    shifted = replace(subject, voxels=replace(subject.voxels, coordinates=None, bounds=None))
    others = [
        replace(subject, **change)
        for change in (
            {"name": "two"},
            {"responses": subject.responses[::-1]},
            {"image_ids": tuple("abcdfe")},
            {"noise_ceiling": None},
            {"noise_ceiling": subject.noise_ceiling + 0.1},
            {"repeats": None},
            {"repeats": subject.repeats + 1},
            {"single_trials": True},
            {"group_mean": True},
            moved(subject, coordinates=subject.voxels.coordinates[::-1]),
            moved(subject, bounds=subject.voxels.bounds * 2),
            moved(subject, hemisphere=np.array(["left", "right", "right", "right"])),
            moved(subject, vertex=subject.voxels.vertex + 5),
            moved(subject, surface="fsaverage5"),
            moved(subject, rois={}),
            moved(subject, rois={"V2": v1}),
            moved(subject, rois={"V1": ~v1}),
            moved(subject, rois={"V1": v1, "V2": v1}),
        )
    ]
    others += [shifted, *(replace(shifted, **moved(shifted, groups=np.array(list(text)))) for text in ("aabb", "abbb"))]
    digests = [digest_of(one) for one in (subject, *others)]
    assert len(set(digests)) == len(digests)


def test_the_digest_of_flags_of_numpy_is_that_of_python_s(subject):
    numpy_s = replace(subject, single_trials=np.bool_(subject.single_trials), group_mean=np.bool_(subject.group_mean))
    assert digest_of(numpy_s) == digest_of(subject)


def test_a_subject_that_was_saved_and_read_has_the_same_digest(subject, tmp_path):
    wide = replace(subject, **moved(subject, bounds=subject.voxels.bounds.astype(float)))
    for one in (wide, replace(wide, **moved(wide, hemisphere=np.array(["left"] * 4, dtype="<U9")))):
        one.save(tmp_path / "one")
        assert digest_of(load_subject_folder(tmp_path / "one")) == digest_of(one)


@pytest.mark.usefixtures("any_shape")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"responses": with_nan(s)}, "NaN or infinity in 1 voxels and 2 images; leave"),
        (lambda s: {"responses": s.responses[0]}, r"must be \(image, voxel\)"),
        (lambda s: {"responses": s.responses.astype(float)}, "astype"),
        (lambda s: {"image_ids": tuple("abc")}, "6 rows of responses but 3 image ids"),
        (lambda s: {"image_ids": tuple("abcdea")}, "2 times, and 5 images make all 6 rows; say single_trials = true"),
        (lambda s: {"voxels": s.voxels.select(np.arange(3))}, "4 columns of responses but 3 voxels"),
        (
            lambda s: moved(s, coordinates=s.voxels.coordinates[:2]),
            r"'one': coordinates has shape \(2, 3\), expected \(4, 3\)",
        ),
        (lambda s: moved(s, coordinates=s.voxels.coordinates * np.nan), "coordinates hold NaN"),
        (lambda s: moved(s, coordinates=s.voxels.coordinates + 100), "outside their bounds"),
        (lambda s: moved(s, hemisphere=np.array(["lh", "lh", "rh", "rh"])), "'left' or 'right'"),
        (lambda s: moved(s, rois={"V1": np.array([True])}), "ROI 'V1' has shape"),
        (lambda s: moved(s, rois={"V1": np.arange(4)}), "mask of booleans"),
        (lambda s: moved(s, rois={" ": s.voxels.rois["V1"]}), "ROI name ' ' is empty or has line breaks"),
        (lambda s: moved(s, rois={"V1\nV2": s.voxels.rois["V1"]}), "ROI name .* has line breaks"),
        (lambda s: moved(s, rois={"All voxels": s.voxels.rois["V1"]}), "stands for every voxel"),
        (lambda s: {"noise_ceiling": np.full(VOXELS, 50.0)}, "divide percentages by 100"),
        (lambda s: {"repeats": np.zeros(IMAGES, dtype=int)}, "repeats must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_line(subject, change, message):
    with pytest.raises(DataError, match=message) as caught:
        replace(subject, **change(subject))
    assert "\n" not in str(caught.value)


def test_round_trip_of_a_measured_subject(subject, tmp_path):
    loaded = load_subject_folder(replace(subject, provenance={"kind": "measured", "gap": None}).save(tmp_path / "s"))
    assert not loaded.simulated
    assert loaded.voxels.surface is None
    assert loaded.provenance == {"kind": "measured"}
    for name in ("responses", "repeats"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(subject, name))
    for name in ("coordinates", "bounds", "hemisphere", "vertex"):
        np.testing.assert_array_equal(getattr(loaded.voxels, name), getattr(subject.voxels, name))
    np.testing.assert_array_equal(loaded.voxels.rois["V1"], subject.voxels.rois["V1"])


def test_saving_replaces_the_whole_folder_or_nothing(subject, tmp_path):
    subject.save(tmp_path / "s")
    replace(subject, repeats=None, **moved(subject, rois={})).save(tmp_path / "s")
    assert not (tmp_path / "s" / "repeats.npy").exists()
    with pytest.raises(DataError, match="image ids must be single lines"):
        replace(subject, image_ids=("a\nb", *"bcdef")).save(tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("file", ["raw/betas.npy", "images/a.png", "coords.npy", "rois/V1.mgz", ".git/config"])
def test_saving_removes_no_other_files(subject, tmp_path, file):
    folder = subject.save(tmp_path / "s")
    (folder / ".DS_Store").write_bytes(b"x")
    subject.save(folder)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(b"mine")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(DataError, match=rf"{folder}/{file.split('/')[0]}.* would be lost.* choose another") as caught:
        subject.save(folder)
    assert "\n" not in str(caught.value)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_hemispheres_as_objects_are_texts(subject, tmp_path):
    sides = np.array(["left", "left", "right", "right"], dtype=object)
    made = load_arrays(subject.responses, subject.image_ids, subject.voxels.coordinates, hemisphere=sides)
    loaded = load_subject_folder(made.save(tmp_path / "s"))
    assert loaded.voxels.hemisphere.tolist() == ["left", "left", "right", "right"]


def test_folder_made_by_hand(subject, tmp_path):
    np.save(tmp_path / "responses.npy", subject.responses.astype(np.float64))
    np.save(tmp_path / "coordinates.npy", subject.voxels.coordinates)
    (tmp_path / "image_ids.txt").write_text("a\nb\nc\nd\ne\nf\n")
    (tmp_path / "rois").mkdir()
    np.save(tmp_path / "rois" / "mine.npy", np.array([0, 1, 0, 1]))
    loaded = load_subject_folder(tmp_path)
    np.testing.assert_array_equal(loaded.responses, subject.responses)
    assert loaded.image_ids == tuple("abcdef")
    assert loaded.voxels.rois["mine"].tolist() == [False, True, False, True]
    np.testing.assert_array_equal(loaded.voxels.hemisphere == "left", subject.voxels.coordinates[:, 0] < 0)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"no array at all", "cut", "object", "npz"])
def test_bad_files_are_named(subject, tmp_path, content):
    path = tmp_path / "responses.npy"
    if content == "object":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif content == "npz":
        with open(path, "wb") as file:
            np.savez(file, a=subject.responses)
    elif content == "cut":
        np.save(path, subject.responses)
        path.write_bytes(path.read_bytes()[:-7])
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"responses\.npy") as caught:
        load_arrays(path, subject.image_ids, subject.voxels.coordinates)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(subject, tmp_path):
    with pytest.raises(DataError, match="no folder"):
        load_subject_folder(tmp_path / "nowhere")
    subject.save(tmp_path / "s")
    (tmp_path / "s" / "coordinates.npy").unlink()
    with pytest.raises(DataError, match=r"coordinates\.npy is missing"):
        load_subject_folder(tmp_path / "s")
    subject.save(tmp_path / "s")
    (tmp_path / "s" / "subject.toml").write_text("name = ")
    with pytest.raises(DataError, match=r"subject\.toml"):
        load_subject_folder(tmp_path / "s")


def test_wrong_kinds_of_arrays(subject):
    with pytest.raises(DataError, match="real numbers"):
        load_arrays(np.array([["a", "b"]]), ["x"], subject.voxels.coordinates)
    with pytest.raises(DataError, match="coordinates must be"):
        load_arrays(subject.responses, subject.image_ids, subject.voxels.coordinates[:, :2])
    with pytest.raises(ShapeError, match="rows of responses"):
        load_arrays(subject.responses, ["x"], subject.voxels.coordinates)


def test_photographs_must_hold_every_image(tmp_path):
    for name in ("a.png", "b.png", "more.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    arrays = {"responses": np.ones((2, 3), np.float32), "coordinates": np.eye(3)}
    subject = load_arrays(image_ids=["b.png", "a.png"], images=tmp_path, **arrays)
    assert set(subject.image_ids) < set(subject.images.ids)
    with pytest.raises(DataError, match=r"1 images are not among the photographs \(first: 'c.png'\)"):
        load_arrays(image_ids=["a.png", "c.png"], images=tmp_path, **arrays)
