"""NSD-synthetic as written in bytes, read back: trials, ids, repeats, ceilings and images against what was planted."""

import json
import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from nsd_synthetic_fixture import CLASSES, HEIGHT, OWN, REPEATS, SHARED, WIDTH, write_nsd_synthetic
from scipy.io import loadmat, savemat
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.datasets import (
    check_path,
    load_nsd_synthetic,
    load_subject,
    nsd_synthetic_images,
    open_images,
    recognise,
)
from factortopy.errors import DataError

FORMS = [("fsaverage", "mgh"), ("nativesurface", "hdf5"), ("func1pt8mm", "hdf5"), ("func1mm", "nii.gz")]
ALL = {"voxels": "all", "progress": False}
BETAS = "nsddata_betas/ppdata/subj02/{}/nsdsyntheticbetas_fithrf_GLMdenoise_RR"
EXPERIMENT = "nsddata/experiments/nsdsynthetic"
STIMULI = "nsddata_stimuli/stimuli/nsdsynthetic"


@pytest.fixture(scope="module", params=FORMS, ids=["-".join(form) for form in FORMS])
def written(request, tmp_path_factory):
    space, form = request.param
    return space, write_nsd_synthetic(tmp_path_factory.mktemp("nsd"), 2, space=space, form=form)


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return write_nsd_synthetic(tmp_path_factory.mktemp("volume"), 2, space="func1pt8mm")


@pytest.fixture
def copy(volume, tmp_path):
    return shutil.copytree(volume.root, tmp_path / "nsd")


def columns(subject, betas):
    """The planted columns of a subject's voxels."""
    whole = np.concatenate(list(betas.values()), axis=-1)
    left = betas["left"].shape[-1] if "left" in betas else 0
    return whole[..., subject.voxels.vertex + np.where(subject.voxels.hemisphere == "right", left, 0)]


def read_independently(root, space):
    """All betas (trial, voxel) by nibabel or h5py, and the number of each trial's image, from 1."""
    folder, blocks = root / BETAS.format(space), []
    for file in sorted(folder.iterdir()):
        if file.suffix == ".hdf5":
            with h5py.File(file) as opened:
                raw = opened["betas"][:] / 300
            blocks.append(raw.transpose(0, 3, 2, 1).reshape(len(raw), -1) if raw.ndim == 4 else raw)
        else:
            data = np.asanyarray(nib.load(file).dataobj)
            divisor = 300 if file.suffix == ".gz" else 1
            blocks.append(data.reshape(-1, data.shape[3]).T / divisor)
    order = loadmat(root / EXPERIMENT / "nsdsynthetic_expdesign.mat")["masterordering"].reshape(-1)
    return np.concatenate(blocks, axis=1), order


def test_trials_against_other_libraries(written):
    space, planted = written
    subject = load_nsd_synthetic(
        planted.root, 2, space=space, voxels="all", trials="single", zscore="none", progress=False
    )
    betas, order = read_independently(planted.root, space)
    np.testing.assert_array_equal(order, planted.order)
    left = planted.betas["left"].shape[1] if "left" in planted.betas else 0
    column = subject.voxels.vertex + np.where(subject.voxels.hemisphere == "right", left, 0)
    np.testing.assert_allclose(subject.responses, betas[:, column], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(subject.responses, columns(subject, planted.betas), rtol=1e-5, atol=1e-6)
    assert [int(name[-3:]) for name in subject.image_ids] == order.tolist()
    assert all(("subj02" in name) == (int(name[-3:]) > SHARED) for name in subject.image_ids)


def test_repeats_are_averaged_and_counted(written):
    space, planted = written
    subject = load_nsd_synthetic(planted.root, 2, space=space, **ALL)
    betas = columns(subject, planted.betas)
    betas = (betas - betas.mean(axis=0)) / betas.std(axis=0)
    numbers = [int(name[-3:]) for name in subject.image_ids]
    assert numbers == list(range(1, 285))
    for row, number in enumerate(numbers):
        shown = planted.order == number
        assert subject.repeats[row] == shown.sum()
        np.testing.assert_allclose(subject.responses[row], betas[shown].mean(axis=0), atol=1e-5)
    assert {times: int((subject.repeats == times).sum()) for times in REPEATS} == REPEATS


def test_ceiling_against_variances_counted_by_hand(written):
    """The pooled variance of repeats is the noise, what the variance of image means has beyond it the signal."""
    space, planted = written
    single = load_nsd_synthetic(planted.root, 2, space=space, trials="single", **ALL)
    averaged = load_nsd_synthetic(planted.root, 2, space=space, **ALL)
    groups = [single.responses[planted.order == number].astype(float) for number in range(1, 285)]
    within = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups) / (744 - 284)
    grand = single.responses.astype(float).mean(axis=0)
    between = sum(len(group) * (group.mean(axis=0) - grand) ** 2 for group in groups)
    trials = (744 - sum(len(group) ** 2 for group in groups) / 744) / 283
    signal = np.maximum((between / 283 - within) / trials, 0)
    mean_inverse = (236 / 2 + 32 / 4 + 8 / 8 + 8 / 10) / 284
    assert mean_inverse == pytest.approx(0.450, abs=5e-4)
    np.testing.assert_allclose(averaged.noise_ceiling, signal / (signal + within * mean_inverse), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(single.noise_ceiling, signal / (signal + within), rtol=1e-3, atol=1e-5)


def test_ceiling_is_what_the_planted_signal_reaches(written):
    space, planted = written
    subject = load_nsd_synthetic(planted.root, 2, space=space, **ALL)
    signal, noise = columns(subject, planted.signal), columns(subject, planted.noise)
    expected = signal / (signal + 0.450 * noise)
    np.testing.assert_allclose(subject.noise_ceiling.mean(), expected.mean(), atol=0.03)
    assert np.sqrt(np.mean((subject.noise_ceiling - expected) ** 2)) < 0.08


def expected_picture(stored, square_root=True):
    left = (WIDTH - HEIGHT) // 2
    cut = stored[:, left : left + HEIGHT]
    return np.floor(255 * np.sqrt(cut / 255) + 1e-9).astype(np.uint8) if square_root else cut


def test_images_by_number(volume):
    subject = load_nsd_synthetic(volume.root, 2, space="func1pt8mm", progress=False)
    assert set(subject.image_ids) == set(subject.images.ids)
    for name in ("nsdsynthetic-001", "nsdsynthetic-220", "nsdsynthetic-subj02-221", "nsdsynthetic-subj02-284"):
        number = int(name[-3:])
        stored = volume.shared[number - 1] if number <= SHARED else volume.own[number - 1 - SHARED]
        picture = np.asarray(subject.images.subset([name]).image(0))
        assert picture.shape == (HEIGHT, HEIGHT, 3)
        np.testing.assert_array_equal(picture, expected_picture(stored))


def test_images_as_stored(volume):
    images = nsd_synthetic_images(volume.root, [2], square_root=False)
    np.testing.assert_array_equal(np.asarray(images.image(6)), expected_picture(volume.shared[6], square_root=False))


def test_images_of_real_size_are_the_middle_714_columns(tmp_path):
    folder = tmp_path / STIMULI
    folder.mkdir(parents=True)
    stored = np.zeros((714, 1360, 3), np.uint8)
    stored[:, 323:1037] = 64
    stored[0, 323], stored[713, 1036] = 255, 4
    with h5py.File(folder / "nsdsynthetic_stimuli.hdf5", "w") as file:
        brick = file.create_dataset("imgBrick", (SHARED, 714, 1360, 3), "uint8", chunks=(1, 714, 1360, 3))
        brick[219] = stored
    picture = np.asarray(nsd_synthetic_images(tmp_path, []).image(219))
    assert picture.shape == (714, 714, 3)
    assert picture[1:-1].min() == picture[1:-1].max() == int(255 * (64 / 255) ** 0.5)
    assert (picture[0, 0, 0], picture[713, 713, 0]) == (255, int(255 * (4 / 255) ** 0.5))


def test_each_subject_has_its_own_colours(volume, tmp_path):
    root = shutil.copytree(volume.root, tmp_path / "nsd")
    other = write_nsd_synthetic(root, 5, space="func1pt8mm", seed=3)
    images = nsd_synthetic_images(root)
    assert len(images) == SHARED + 2 * OWN
    for number, planted in ((2, volume), (5, other)):
        picture = np.asarray(images.subset([f"nsdsynthetic-subj0{number}-230"]).image(0))
        np.testing.assert_array_equal(picture, expected_picture(planted.own[9]))
    assert not np.array_equal(volume.own[9], other.own[9])


def test_it_is_told_from_nsd_by_the_folder_given(volume):
    assert recognise(volume.root).name == "nsd"
    for name in (EXPERIMENT, STIMULI):
        folder = volume.root / name
        assert recognise(folder).name == "nsd-synthetic"
        assert load_subject(folder, subject=2, progress=False).name == "nsd-synthetic-subj02"
        assert load_subject(folder, progress=False).image_ids[0] == "nsdsynthetic-001"
        assert len(open_images(folder)) == 284
    assert load_subject(volume.root, subject=2, progress=False).name == "nsd-subj02"


def test_a_folder_without_other_betas_is_its_own(copy):
    shutil.rmtree(copy / BETAS.format("func1pt8mm").replace("nsdsyntheticbetas", "betas"))
    assert recognise(copy).name == "nsd-synthetic"
    assert load_subject(copy, progress=False).name == "nsd-synthetic-subj02"


def test_check(volume, copy):
    report = check_path(volume.root / EXPERIMENT)
    assert report.problems == 0
    counted = {count.what: (count.found, count.published) for count in report.counts}
    assert counted["trials"] == (744, 744)
    assert counted["images"] == (284, 284)
    assert any("236 shown 2 times, 32 shown 4 times, 8 shown 8 times" in found.message for found in report.findings)
    assert sum(CLASSES.values()) == 284
    table = copy / EXPERIMENT / "nsdsyntheticimageinformation.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    result = CliRunner().invoke(app, ["check", str(copy / EXPERIMENT), "--json"])
    assert result.exit_code == 2
    assert "lists 283 images, expected 284" in json.dumps(json.loads(result.stdout))


def save_design(root, change):
    file = root / EXPERIMENT / "nsdsynthetic_expdesign.mat"
    savemat(file, {"masterordering": change(loadmat(file)["masterordering"].astype(int))})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda order: order - 1, "goes from 0 to 283"),
        (lambda order: order + 1, "expected 1 to 284"),
        (lambda order: order[:, :743], "has 744 trials, the design of NSD-synthetic 743"),
    ],
)
def test_a_design_that_does_not_fit_is_refused(copy, change, text):
    save_design(copy, change)
    with pytest.raises(DataError, match=text):
        load_nsd_synthetic(copy, 2, space="func1pt8mm", progress=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (f"{EXPERIMENT}/nsdsynthetic_expdesign.mat", "is missing"),
        (f"{BETAS.format('func1pt8mm')}/betas_nsdsynthetic.hdf5", "is missing"),
        (f"{STIMULI}/nsdsynthetic_stimuli.hdf5", ""),
    ],
)
def test_missing_files(copy, name, text):
    (copy / name).unlink()
    if not text:
        assert load_nsd_synthetic(copy, 2, space="func1pt8mm", progress=False).images is None
        return
    with pytest.raises(DataError, match=text) as error:
        load_nsd_synthetic(copy, 2, space="func1pt8mm", progress=False)
    assert name.rsplit("/", 1)[-1] in str(error.value)


def test_a_file_of_other_images_is_refused(copy):
    file = copy / STIMULI / "nsdsynthetic_colorstimuli_subj02.hdf5"
    with h5py.File(file, "w") as opened:
        opened["imgBrick"] = np.zeros((63, HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(DataError, match="holds 63 images, expected 64"):
        load_nsd_synthetic(copy, 2, space="func1pt8mm", progress=False)
