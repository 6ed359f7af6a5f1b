"""Own arrays in every format, against the library that wrote them."""

import json
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from factortopy.cortex import load_surface, sphere_coordinates
from factortopy.datasets import check_path
from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import read_array
from factortopy.subjects import load_arrays, load_subject_folder

IMAGES, VOXELS = 5, 7


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(IMAGES, VOXELS)).astype(np.float32)


def gifti(path, *rows, intent="NIFTI_INTENT_NONE"):
    arrays = [nib.gifti.GiftiDataArray(row, intent=intent) for row in rows]
    nib.save(nib.GiftiImage(darrays=arrays), path)
    return path


def mgh(path, values):
    """(image, vertex) as FreeSurfer stores it: (vertex, 1, 1, image)."""
    nib.save(nib.MGHImage(values.T.reshape(values.shape[-1], 1, 1, *values.shape[:-1]), np.eye(4)), path)
    return path


def cifti(path, values):
    model = nib.cifti2.BrainModelAxis.from_mask(np.ones(values.shape[1]), name="cortex_left")
    rows = nib.cifti2.ScalarAxis([f"image {number}" for number in range(len(values))])
    nib.save(nib.Cifti2Image(values, (rows, model)), path)
    return path


def hdf5(path, values, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("betas/run", data=values, **options)
        file["other"] = np.zeros(3)
    return f"{path}:betas/run"


def grouped_zarr(path, values, version):
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("betas", data=values, chunks=(2, 3))
    group.create_array("other", data=np.zeros(3))
    return f"{path}:betas"


def npz(path, values, save):
    save(path, betas=values, other=np.zeros(3))
    return f"{path}:betas"


def one_zarr(path, values):
    zarr.save_array(path, values)
    return path


WRITERS = {
    "npy": lambda folder, values: np.save(folder / "a.npy", values) or folder / "a.npy",
    "fortran": lambda folder, values: np.save(folder / "a.npy", np.asfortranarray(values)) or folder / "a.npy",
    "big-endian": lambda folder, values: np.save(folder / "a.npy", values.astype(">f4")) or folder / "a.npy",
    "npz": lambda folder, values: npz(folder / "a.npz", values, np.savez),
    "npz compressed": lambda folder, values: npz(folder / "a.npz", values, np.savez_compressed),
    "hdf5": lambda folder, values: hdf5(folder / "a.h5", values),
    "hdf5 compressed": lambda folder, values: hdf5(folder / "a.hdf5", values, chunks=(2, 3), compression="gzip"),
    "zarr": lambda folder, values: one_zarr(folder / "a.zarr", values),
    "zarr group 3": lambda folder, values: grouped_zarr(folder / "a.zarr", values, 3),
    "zarr group 2": lambda folder, values: grouped_zarr(folder / "a.zarr", values, 2),
    "gifti": lambda folder, values: gifti(folder / "a.func.gii", *values),
    "mgh": lambda folder, values: mgh(folder / "a.mgh", values),
    "mgz": lambda folder, values: mgh(folder / "a.mgz", values),
    "cifti": lambda folder, values: cifti(folder / "a.dscalar.nii", values),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_responses_of_every_format(tmp_path, values, kind):
    source = WRITERS[kind](tmp_path, values)
    np.testing.assert_array_equal(read_array(source), values)
    subject = load_arrays(source, list("abcde"), np.eye(VOXELS, 3))
    np.testing.assert_array_equal(subject.responses, values)
    assert subject.responses.dtype == np.float32


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([name for name in WRITERS if "zarr" not in name]),
    images=st.integers(2, 9),
    voxels=st.integers(3, 12),
)
def test_any_size_survives_any_format(tmp_path, kind, images, voxels):
    values = np.random.default_rng(images * 100 + voxels).normal(size=(images, voxels)).astype(np.float32)
    np.testing.assert_array_equal(read_array(WRITERS[kind](tmp_path, values)), values)


def test_one_value_a_voxel_of_every_surface_format(tmp_path, values):
    ceiling = np.linspace(0, 1, VOXELS, dtype=np.float32)
    sources = [
        gifti(tmp_path / "c.shape.gii", ceiling),
        mgh(tmp_path / "c.mgz", ceiling),
        cifti(tmp_path / "c.dscalar.nii", ceiling[None]),
        hdf5(tmp_path / "c.h5", ceiling),
    ]
    mask = gifti(tmp_path / "m.label.gii", (np.arange(VOXELS) % 3 > 0).astype(np.int32), intent="NIFTI_INTENT_LABEL")
    for source in sources:
        subject = load_arrays(values, list("abcde"), np.eye(VOXELS, 3), noise_ceiling=source, rois={"R": mask})
        np.testing.assert_array_equal(subject.noise_ceiling, ceiling)
        np.testing.assert_array_equal(subject.voxels.rois["R"], np.arange(VOXELS) % 3 > 0)


def test_two_files_are_the_hemispheres(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 2 * 10_242)).astype(np.float32)
    files = [mgh(tmp_path / "lh.mgz", values[:, :10_242]), mgh(tmp_path / "rh.mgz", values[:, 10_242:])]
    subject = load_arrays(files, ["a", "b"], None, surface="fsaverage5")
    np.testing.assert_array_equal(subject.responses, values)
    np.testing.assert_array_equal(subject.voxels.hemisphere, np.repeat(["left", "right"], 10_242))
    np.testing.assert_array_equal(subject.voxels.vertex, np.tile(np.arange(10_242), 2))
    everywhere = sphere_coordinates(load_surface("fsaverage5"))
    np.testing.assert_array_equal(subject.voxels.coordinates, everywhere)
    np.testing.assert_array_equal(subject.voxels.bounds, [everywhere.min(0), everywhere.max(0)])


@pytest.mark.parametrize("widths", [(3, 4), (10_242, 4), (32_492, 32_492)])
def test_two_files_of_part_of_a_surface_need_vertices(tmp_path, widths):
    """Which columns of a part, or of another surface, are which vertices nobody knows."""
    files = [npy(tmp_path / f"{side}.npy", width) for side, width in zip(("lh", "rh"), widths, strict=True)]
    with pytest.raises(DataError, match="voxels on fsaverage5, which has 2 x 10242: give vertex of each"):
        load_arrays(files, ["a", "b"], surface="fsaverage5")


def npy(path, width):
    np.save(path, np.zeros((2, width), np.float32))
    return path


def test_a_whole_surface_needs_no_vertices(values):
    whole = np.zeros((2, 2 * 10_242), np.float32)
    subject = load_arrays(whole, ["a", "b"], None, surface="fsaverage5")
    assert (subject.voxels.hemisphere == "right").sum() == 10_242
    assert subject.voxels.vertex.max() == 10_241
    with pytest.raises(DataError, match="give hemisphere and vertex of each"):
        load_arrays(values, list("abcde"), None, surface="fsaverage5")
    assert load_arrays(values, list("abcde"), None).voxels.coordinates is None  # neurons, whose place is not known
    with pytest.raises(DataError, match="0 to 10241"):
        load_arrays(
            values,
            list("abcde"),
            None,
            surface="fsaverage5",
            hemisphere=np.full(VOXELS, "left"),
            vertex=np.arange(VOXELS) + 10_240,
        )


def test_meshes_give_their_points(tmp_path, values):
    points = np.random.default_rng(1).normal(size=(VOXELS, 3)).astype(np.float32)
    mesh = nib.GiftiImage(
        darrays=[
            nib.gifti.GiftiDataArray(np.array([[0, 1, 2]], np.int32), intent="NIFTI_INTENT_TRIANGLE"),
            nib.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        ]
    )
    nib.save(mesh, tmp_path / "sphere.surf.gii")
    subject = load_arrays(values, list("abcde"), tmp_path / "sphere.surf.gii")
    np.testing.assert_array_equal(subject.voxels.coordinates, points)


def write_described(folder, values):
    """A folder in which nothing has the usual name."""
    (folder / "photographs").mkdir(parents=True)
    for number in range(IMAGES):
        Image.new("RGB", (3, 3)).save(folder / "photographs" / f"{number}.png")
    hdf5(folder / "scan.h5", values)
    np.savez(folder / "more.npz", where=np.eye(VOXELS, 3), seen=np.full(IMAGES, 3))
    mgh(folder / "atlas.mgz", np.arange(VOXELS).astype(np.float32))
    np.save(folder / "v4.npy", np.arange(VOXELS) == 6)
    (folder / "subject.toml").write_text(
        """
name = "one"
responses = "scan.h5:betas/run"
coordinates = "more.npz:where"
repeats = "more.npz:seen"
images = "photographs"

[rois]
V1 = { labels = "atlas.mgz", values = [1, 2] }
V4 = "v4.npy"
"""
    )
    return folder


def test_subject_toml_names_the_files(tmp_path, values):
    folder = write_described(tmp_path / "s", values)
    for path in (folder, folder / "subject.toml"):
        subject = load_subject_folder(path)
        np.testing.assert_array_equal(subject.responses, values)
        np.testing.assert_array_equal(subject.voxels.coordinates, np.eye(VOXELS, 3))
        assert subject.repeats.tolist() == [3] * IMAGES
        assert subject.image_ids == subject.images.ids == tuple(f"{number}.png" for number in range(IMAGES))
        assert subject.voxels.rois["V1"].tolist() == [False, True, True, False, False, False, False]
        assert subject.voxels.rois["V4"].nonzero()[0].tolist() == [6]
        assert subject.name == "one"


def test_other_usual_names(tmp_path, values):
    np.save(tmp_path / "responses.npy", values)
    np.save(tmp_path / "coords.npy", np.eye(VOXELS, 3))
    np.save(tmp_path / "ceiling.npy", np.full(VOXELS, 0.25))
    np.save(tmp_path / "repeats.npy", np.full(IMAGES, 2.0))
    (tmp_path / "image_ids.txt").write_text("a\nb\nc\nd\ne\n")
    mask = [1, 0, 0, 0, 0, 0, 1]
    (tmp_path / "rois.json").write_text(json.dumps({"V1": [2, 3], "V2": mask, "V3": [m == 1 for m in mask]}))
    subject = load_subject_folder(tmp_path)
    assert subject.noise_ceiling.tolist() == [0.25] * VOXELS
    assert subject.repeats.dtype == np.int64
    assert subject.voxels.rois["V1"].nonzero()[0].tolist() == [2, 3]
    assert subject.voxels.rois["V2"].nonzero()[0].tolist() == subject.voxels.rois["V3"].nonzero()[0].tolist() == [0, 6]


def test_sphere_stands_for_coordinates(tmp_path, values):
    np.save(tmp_path / "lh.npy", values[:, :3])
    np.save(tmp_path / "rh.npy", values[:, 3:])
    (tmp_path / "image_ids.txt").write_text("a\nb\nc\nd\ne\n")
    facts = 'responses = ["lh.npy", "rh.npy"]\nsurface = "fsaverage5"\n'
    np.save(tmp_path / "vertex.npy", [5, 0, 2, 9, 0, 1, 3])
    (tmp_path / "subject.toml").write_text(facts + 'coordinates = "sphere"\n')
    everywhere = sphere_coordinates("fsaverage5")
    rows = np.array([5, 0, 2, 10_242 + 9, 10_242, 10_242 + 1, 10_242 + 3])
    np.testing.assert_array_equal(load_subject_folder(tmp_path).voxels.coordinates, everywhere[rows])
    (tmp_path / "subject.toml").write_text(facts)
    with pytest.raises(DataError, match=r"coordinates\.npy is missing.*'sphere'"):
        load_subject_folder(tmp_path)
    sphere = 'responses = ["lh.npy", "rh.npy"]\ncoordinates = "sphere"\n'
    for surface, message in (("", "'sphere' needs the surface"), ('surface = "native-me"', "own surface.* give coord")):
        (tmp_path / "subject.toml").write_text(sphere + surface)
        with pytest.raises(DataError, match=message) as caught:
            load_subject_folder(tmp_path)
        assert str(tmp_path) in str(caught.value)


def test_the_example_of_the_documentation_works(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "data.md"
    if not page.is_file():
        pytest.skip("the documentation is not in this copy")
    (tmp_path / "subject.toml").write_text(page.read_text("utf-8").split("```toml\n")[1].split("```")[0])
    random = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for number in range(IMAGES):
        Image.new("RGB", (3, 3)).save(tmp_path / "photographs" / f"{number}.png")
    half = 10_242
    for side in ("lh", "rh"):
        gifti(tmp_path / f"{side}.betas.func.gii", *random.normal(size=(IMAGES, half)).astype(np.float32))
        gifti(tmp_path / f"{side}.areas.label.gii", np.arange(half, dtype=np.int32))
        mgh(tmp_path / f"{side}.ceiling.mgz", np.full(half, 0.5, np.float32))
    np.savez(tmp_path / "more.npz", repeats=np.full(IMAGES, 3))
    np.save(tmp_path / "eba.npy", np.arange(2 * half) == 2)
    subject = load_subject_folder(tmp_path)
    assert subject.voxels.rois["V1"].nonzero()[0].tolist() == [1, 2, half + 1, half + 2]
    assert subject.voxels.rois["EBA"].nonzero()[0].tolist() == [2]
    assert subject.voxels.surface == "fsaverage5"


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ('respones = "a.npy"', UnknownNameError, "'responses'"),
        ("responses = 3", DataError, "a path or a list of paths"),
        ("responses = []", DataError, "a path or a list of paths"),
        ("name = 3", DataError, "name must be a text"),
        ("rois = 3", DataError, "rois must be"),
        ("rois = { V1 = 3 }", DataError, "ROI 'V1' must be a file"),
        ('rois = { V1 = { labels = "atlas.mgz", values = "x" } }', DataError, "whole numbers as values"),
        ('rois = { V1 = { labels = "atlas.mgz" } }', DataError, "labels with values"),
        ('responses = "nowhere.npy"', DataError, r"nowhere\.npy is missing"),
        ('responses = "scan.h5"', DataError, "betas/run, other: name one as scan.h5:NAME"),
        ('responses = "scan.h5:beta"', DataError, "has no 'beta'"),
        ('responses = "subject.toml"', DataError, "unknown kind"),
        ("name = ", DataError, "mend it"),
        ('images = "nowhere"', DataError, "nowhere is not a folder"),
    ],
)
def test_bad_descriptions(tmp_path, values, line, error, message):
    folder = write_described(tmp_path / "s", values)
    kept = (folder / "subject.toml").read_text().splitlines()
    key = line.split(" ")[0]
    start = kept.index("[rois]") if key == "rois" else len(kept)
    lines = [text for text in kept[:start] if not text.startswith(key)]
    (folder / "subject.toml").write_text("\n".join([line, *lines, *kept[start:][: 0 if key == "rois" else None]]))
    with pytest.raises(error, match=message) as caught:
        load_subject_folder(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def messages(folder):
    return [(finding.level, finding.file.name, finding.message) for finding in check_path(folder).findings]


def small(folder, **arrays):
    arrays = {"responses": np.random.default_rng(0).normal(size=(IMAGES, 4)), "coordinates": np.eye(4, 3)} | arrays
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "image_ids.txt").write_text("a\nb\nc\nd\ne\n")
    return folder


@pytest.mark.parametrize(
    ("arrays", "file", "message"),
    [
        ({"noise_ceiling": np.array([0.1, 0.2, 3, 40])}, "noise_ceiling.npy", "noise_ceiling goes to 40; divide"),
        ({"noise_ceiling": np.array([0.1, -0.2, 0.3, 0.4])}, "noise_ceiling.npy", "lies below 0 in 1 voxels"),
    ],
)
def test_check_names_the_file_of_a_fault(tmp_path, arrays, file, message):
    level, name, text = messages(small(tmp_path, **arrays))[-1]
    assert (level, name) == ("problem", file)
    assert message in text


def test_check_names_what_is_odd(tmp_path):
    sides = np.repeat(["left", "right"], 2)
    places = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0.0]])
    folder = small(tmp_path, coordinates=places, hemisphere=sides, noise_ceiling=np.array([0.5, 0.6, 0.004, 0.005]))
    np.save(folder / "hemispheres.npy", sides)
    found = messages(folder)
    notes = " ".join(message for level, _, message in found if level == "note")
    assert "2 of 4 voxels share their coordinates with another" in notes
    assert "noise ceilings reach 0.6 on the left and 0.005 on the right: is one side divided by 100 twice?" in notes
    assert "5 distinct images, of which 8:1:1 tests 1: too few for limits (10); fit folds" in notes
    assert ("note", "hemispheres.npy", "is not read: no part has this name") in found
    assert found[-1][0] == "ok"
    many = small(tmp_path, responses=np.random.default_rng(0).normal(size=(120, 4)), noise_ceiling=np.full(4, 0.5))
    (many / "image_ids.txt").write_text("\n".join(f"image {number}" for number in range(120)) + "\n")
    assert "limits" not in " ".join(message for _, _, message in messages(many))


def test_check_names_coordinates_that_are_all_equal(tmp_path):
    notes = [message for level, _, message in messages(small(tmp_path, coordinates=np.ones((4, 3)))) if level == "note"]
    assert any("all 4 voxels have the same coordinates" in note and "docs/data.md" in note for note in notes)


def test_ids_that_repeat_are_trials(tmp_path):
    folder = small(tmp_path)
    (folder / "image_ids.txt").write_text("a\nb\nc\na\nb\n")
    level, name, text = messages(folder)[-1]
    assert (level, name) == ("problem", "image_ids.txt")
    assert "say single_trials = true" in text
    (folder / "subject.toml").write_text("single_trials = true\n")
    assert messages(folder)[-1][0] == "ok"


def test_an_unknown_surface_is_named_with_its_file(tmp_path):
    folder = small(tmp_path)
    (folder / "subject.toml").write_text('surface = "fsaverage55"\n')
    level, name, text = messages(folder)[-1]
    assert (level, name) == ("problem", "subject.toml")
    assert "did you mean 'fsaverage5'" in text


def test_photographs_in_a_folder_named_images_need_no_description(tmp_path, values):
    np.save(tmp_path / "responses.npy", values)
    names = [f"{number}.png" for number in (3, 1, 0, 2, 4)]
    (tmp_path / "images").mkdir()
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / name)
    with pytest.raises(DataError, match=r"image_ids.txt.* is missing"):  # the order of rows is not guessed
        load_subject_folder(tmp_path)
    (tmp_path / "image_ids.txt").write_text("\n".join(names))
    subject = load_subject_folder(tmp_path)
    assert subject.image_ids == tuple(names)
    assert subject.images is not None
    assert subject.images.ids == tuple(sorted(names))
    (tmp_path / "others").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "others" / "7.png")
    (tmp_path / "subject.toml").write_text('images = "others"')  # goes before images/
    with pytest.raises(DataError, match=r"5 images are not among the photographs \(first: '0.png'\); image ids must"):
        load_subject_folder(tmp_path)
