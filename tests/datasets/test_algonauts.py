"""Algonauts 2023 against NumPy reading the same files, over sizes, label sets and damage."""

import shutil

import numpy as np
import pytest
from algonauts_fixture import CLASSES, write_algonauts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from factortopy.cortex import load_surface, sphere_coordinates
from factortopy.datasets import load_algonauts
from factortopy.errors import DataError, UnknownNameError

FMRI = "training_split/training_fmri/{}_training_fmri.npy"


@pytest.fixture(scope="module")
def surface():
    return load_surface("fsaverage5")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_algonauts(tmp_path_factory.mktemp("algonauts") / "subj05")


@pytest.fixture(scope="module")
def subject(written):
    return load_algonauts(written.root)


def read(written, name, **options):
    return np.load(written.root / name, **options)


def test_responses_and_images_are_those_of_the_files(subject, written):
    both = np.concatenate([read(written, FMRI.format(side)) for side in ("lh", "rh")], axis=1)
    np.testing.assert_array_equal(subject.responses, both)
    assert subject.responses.dtype == np.float32
    assert list(subject.image_ids) == sorted(written.names)
    assert subject.images.ids == subject.image_ids
    file = written.root / "training_split" / "training_images" / written.names[3]
    np.testing.assert_array_equal(np.asarray(subject.images.image(3)), np.asarray(Image.open(file)))
    assert subject.name == "subj05"
    assert subject.repeats is None
    assert subject.provenance["kind"] == "algonauts"


def test_vertices_lie_where_the_masks_mark_them(subject, written, surface):
    everywhere = sphere_coordinates(surface)
    for number, (side, name) in enumerate((("lh", "left"), ("rh", "right"))):
        here = subject.voxels.hemisphere == name
        mask = read(written, f"roi_masks/{side}.all-vertices_fsaverage_space.npy")
        np.testing.assert_array_equal(subject.voxels.vertex[here], mask.nonzero()[0])
        half = everywhere[number * 10_242 : (number + 1) * 10_242]
        np.testing.assert_array_equal(subject.voxels.coordinates[here], half[mask == 1])
    np.testing.assert_array_equal(subject.voxels.bounds, [everywhere.min(0), everywhere.max(0)])
    assert subject.voxels.surface == "fsaverage5"


def test_rois_have_the_names_of_the_mappings(subject, written):
    for name in CLASSES:
        labels = [read(written, f"roi_masks/{side}.{name}_challenge_space.npy") for side in ("lh", "rh")]
        mapping = read(written, f"roi_masks/mapping_{name}.npy", allow_pickle=True).item()
        for number, roi in mapping.items():
            if roi != "Unknown":
                np.testing.assert_array_equal(subject.voxels.rois[roi], np.concatenate(labels) == number)
    assert "Unknown" not in subject.voxels.rois


def test_merged_rois_are_unions(subject):
    for name, parts in {"V1": "V1v V1d", "V2": "V2v V2d", "V3": "V3v V3d", "FFA": "FFA-1 FFA-2"}.items():
        union = np.logical_or(*(subject.voxels.rois[part] for part in parts.split()))
        np.testing.assert_array_equal(subject.voxels.rois[name], union)
    np.testing.assert_array_equal(subject.voxels.rois["V2V3"], subject.voxels.rois["V2"] | subject.voxels.rois["V3"])
    np.testing.assert_array_equal(subject.voxels.rois["V4"], subject.voxels.rois["hV4"])


def test_noise_ceiling_is_a_share(subject, written):
    files = [f"test_split/noise_ceiling/{side}_noise_ceiling.npy" for side in ("lh", "rh")]
    percent = np.concatenate([read(written, file) for file in files])
    np.testing.assert_allclose(subject.noise_ceiling * 100, percent, rtol=1e-6)
    assert percent.max() > 50


def test_noise_ceilings_as_the_organisers_write_them(written, surface, tmp_path):
    root = shutil.copytree(written.root, tmp_path / "subj05")
    shares = {}
    for side in ("lh", "rh"):
        file = root / f"test_split/noise_ceiling/{side}_noise_ceiling.npy"
        shares[side] = np.load(file).astype(np.float64) / 100
        np.save(file, shares[side])
    subject = load_algonauts(root, surface=surface)
    np.testing.assert_allclose(subject.noise_ceiling, np.concatenate(list(shares.values())), rtol=1e-6)


def test_noise_ceilings_in_per_cent_on_one_side_only_are_refused(written, surface, tmp_path):
    root = tmp_path / "subj01"
    shutil.copytree(written.root, root)
    file = root / "test_split/noise_ceiling/rh_noise_ceiling.npy"
    np.save(file, np.load(file) / np.load(file).max())
    with pytest.raises(DataError, match=r"lh_noise_ceiling\.npy goes to .* per cent, and rh_noise_ceiling\.npy to 1"):
        load_algonauts(root, surface=surface)


def test_nsdgeneral_is_what_streams_label(subject, written, surface):
    streams = np.concatenate([written.labels[side, "streams"] for side in ("lh", "rh")])
    part = load_algonauts(written.root, vertices="nsdgeneral", surface=surface)
    np.testing.assert_array_equal(part.responses, subject.responses[:, streams > 0])
    np.testing.assert_array_equal(part.noise_ceiling, subject.noise_ceiling[streams > 0])
    for name in ("coordinates", "vertex", "hemisphere"):
        np.testing.assert_array_equal(getattr(part.voxels, name), getattr(subject.voxels, name)[streams > 0])
    np.testing.assert_array_equal(part.voxels.bounds, subject.voxels.bounds)
    np.testing.assert_array_equal(part.voxels.rois["V1"], subject.voxels.rois["V1"][streams > 0])
    with pytest.raises(UnknownNameError, match="nsdgeneral"):
        load_algonauts(written.root, vertices="nsd-general")


def test_full_fsaverage_needs_no_download(tmp_path):
    written = write_algonauts(tmp_path / "subj06", left=40, right=33, images=5, surface_vertices=163_842)
    subject = load_algonauts(written.root)
    assert subject.voxels.surface == "fsaverage"
    np.testing.assert_array_equal(subject.voxels.vertex, np.concatenate(list(written.vertices.values())))
    assert subject.voxels.vertex.max() > 40_962
    left = subject.voxels.coordinates[subject.voxels.hemisphere == "left"]
    np.testing.assert_allclose(np.linalg.norm(left, axis=1), 100, atol=0.1)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.integers(1, 300),
    left=st.integers(1, 90),
    right=st.integers(1, 90),
    seed=st.integers(0, 1000),
    classes=st.sets(st.sampled_from(sorted(CLASSES))),
    ceiling=st.booleans(),
)
def test_any_size_and_any_label_sets(tmp_path, surface, images, left, right, seed, classes, ceiling):
    root = tmp_path / "subj01"
    shutil.rmtree(root, ignore_errors=True)
    written = write_algonauts(root, images=images, left=left, right=right, ceiling=ceiling, seed=seed, side_pixels=1)
    for name in set(CLASSES) - classes:
        for file in (root / "roi_masks").glob(f"*{name}*"):
            file.unlink()
    subject = load_algonauts(root, surface=surface)
    np.testing.assert_array_equal(subject.responses, np.concatenate(list(written.responses.values()), axis=1))
    assert (subject.noise_ceiling is not None) == ceiling
    assert all(mask.any() for mask in subject.voxels.rois.values())
    expected = {
        label
        for name in classes
        for number, label in enumerate(CLASSES[name])
        if number and any((written.labels[side, name] == number).any() for side in ("lh", "rh"))
    }
    merged = {"V1", "V2", "V3", "V2V3", "V4", "FFA", "FBA", "VWFA"}
    assert set(subject.voxels.rois) - merged == expected


def save(path, change):
    np.save(path, change(np.load(path)))


def poison(values):
    values[2, 3] = np.nan
    return values


FAULTS = {
    "an image too few": (lambda r: next((r / "training_split/training_images").glob("*-0007_*")).unlink(), "0007"),
    "the last image": (lambda r: next((r / "training_split/training_images").glob("*-0024_*")).unlink(), "23 im"),
    "no images": (lambda r: shutil.rmtree(r / "training_split/training_images"), "training_images"),
    "an image from elsewhere": (
        lambda r: Image.new("RGB", (2, 2)).save(r / "training_split/training_images/cat.png"),
        "cat.png",
    ),
    "NaN": (lambda r: save(r / FMRI.format("rh"), poison), "rh_training_fmri.npy holds NaN or infinity in 1 v"),
    "transposed": (lambda r: save(r / FMRI.format("lh"), lambda a: a.T), "lh_training_fmri.npy"),
    "integers": (lambda r: save(r / FMRI.format("lh"), lambda a: a.astype(int)), "expected float32"),
    "a row too few": (lambda r: save(r / FMRI.format("rh"), lambda a: a[1:]), "rh_training_fmri.npy"),
    "swapped hemispheres": (
        lambda r: (
            (r / FMRI.format("lh")).rename(r / "x.npy"),
            (r / FMRI.format("rh")).rename(r / FMRI.format("lh")),
            (r / "x.npy").rename(r / FMRI.format("rh")),
        ),
        "marks 150 vertices",
    ),
    "no mask": (lambda r: (r / "roi_masks/lh.all-vertices_fsaverage_space.npy").unlink(), "is missing"),
    "a mask of 2": (
        lambda r: save(r / "roi_masks/lh.all-vertices_fsaverage_space.npy", lambda a: a * 2),
        "than 0 and 1",
    ),
    "an odd surface": (
        lambda r: [
            save(r / f"roi_masks/{side}.all-vertices_fsaverage_space.npy", lambda a: np.append(a, 0))
            for side in ("lh", "rh")
        ],
        "no standard surface",
    ),
    "labels of another subject": (
        lambda r: save(r / "roi_masks/rh.streams_challenge_space.npy", lambda a: a[1:]),
        "rh.streams_challenge_space.npy labels 140 vertices",
    ),
    "an unnamed label": (
        lambda r: save(r / "roi_masks/rh.streams_challenge_space.npy", lambda a: a + 7),
        "does not name",
    ),
    "half a class": (lambda r: (r / "roi_masks/rh.floc-words_challenge_space.npy").unlink(), "floc-words"),
    "no names": (lambda r: (r / "roi_masks/mapping_floc-words.npy").unlink(), "mapping_floc-words.npy is miss"),
    "a ceiling of one side": (
        lambda r: (r / "test_split/noise_ceiling/lh_noise_ceiling.npy").unlink(),
        "lh_noise_ceiling.npy is missing",
    ),
    "a ceiling above 100": (
        lambda r: save(r / "test_split/noise_ceiling/lh_noise_ceiling.npy", lambda a: a * 3),
        "lh_noise_ceiling.npy goes from .* 0..100",
    ),
    "truncated": (
        lambda r: (r / FMRI.format("lh")).write_bytes((r / FMRI.format("lh")).read_bytes()[:-9]),
        "lh_training_fmri.npy is truncated",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_one_line_that_names_the_file(written, surface, tmp_path, fault):
    root = tmp_path / "subj05"
    shutil.copytree(written.root, root)
    damage, message = FAULTS[fault]
    damage(root)
    with pytest.raises(DataError, match=message) as caught:
        load_algonauts(root, surface=None if fault == "an odd surface" else surface)
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
