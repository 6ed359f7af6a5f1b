"""NSD's volumes as ``.nii.gz``: the numbers that nibabel reads, in the order and on the scale of the HDF5 files."""

import shutil

import nibabel as nib
import numpy as np
import pytest
from nsd_fixture import affine, write_nsd

from factortopy.datasets import check_path, convert_nsd, load_betas, load_nsd
from factortopy.errors import DataError

GRID = (7, 5, 4)
PLAIN = {"trials": "single", "zscore": "none", "voxels": "all", "progress": False}
BETAS = "nsddata_betas/ppdata/subj01/{}/betas_fithrf_GLMdenoise_RR"


@pytest.fixture(scope="module", params=["func1pt8mm", "func1mm"])
def both(request, tmp_path_factory):
    """The same subject in either form, and what was planted."""
    space = request.param
    roots = {form: tmp_path_factory.mktemp(form.replace(".", "")) for form in ("hdf5", "nii.gz")}
    written = {form: write_nsd(root, space=space, grid=GRID, form=form) for form, root in roots.items()}
    assert not list(roots["nii.gz"].rglob("betas_session*.hdf5"))
    return space, roots, written["nii.gz"]


@pytest.fixture
def folder(both, tmp_path):
    """A copy, to be changed, of the one with NIfTI files, and the folder of its betas."""
    space, roots, _ = both
    root = shutil.copytree(roots["nii.gz"], tmp_path / "nsd")
    return space, root, root / BETAS.format(space)


def test_values_and_places_against_nibabel(both):
    space, roots, written = both
    subject = load_nsd(roots["nii.gz"], 1, space=space, **PLAIN)
    files = sorted((roots["nii.gz"] / BETAS.format(space)).glob("betas_session*.nii.gz"))
    raw = np.concatenate([np.asanyarray(nib.load(file).dataobj) for file in files], axis=3)
    x, y, z = np.unravel_index(subject.voxels.vertex, GRID)
    np.testing.assert_allclose(subject.responses, raw[x, y, z].T / 300, rtol=1e-6)
    np.testing.assert_allclose(subject.responses, written.betas["volume"][:, x, y, z], rtol=1e-6, atol=1e-6)
    expected = nib.affines.apply_affine(affine(), np.stack([x, y, z], axis=1))
    np.testing.assert_allclose(subject.voxels.coordinates, expected, atol=1e-4)


@pytest.mark.parametrize("voxels", ["all", "nsdgeneral", "V1v"])
def test_same_subject_in_either_form(both, voxels):
    space, roots, _ = both
    one, other = (load_nsd(root, 1, space=space, voxels=voxels, progress=False) for root in roots.values())
    assert one.image_ids == other.image_ids
    np.testing.assert_array_equal(one.responses, other.responses)
    np.testing.assert_array_equal(one.noise_ceiling, other.noise_ceiling)
    np.testing.assert_array_equal(one.voxels.vertex, other.voxels.vertex)
    for name, mask in one.voxels.rois.items():
        np.testing.assert_array_equal(mask, other.voxels.rois[name])


def test_sessions_in_both_forms_together(both, folder):
    space, roots, _ = both
    _, root, betas = folder
    (betas / "betas_session02.nii.gz").unlink()
    shutil.copy(roots["hdf5"] / BETAS.format(space) / "betas_session02.hdf5", betas)
    mixed, whole = (load_nsd(path, 1, space=space, **PLAIN) for path in (root, roots["nii.gz"]))
    np.testing.assert_array_equal(mixed.responses, whole.responses)


def test_conversion_and_check(both, tmp_path):
    space, roots, _ = both
    store = convert_nsd(roots["nii.gz"], 1, tmp_path / "store", space=space, progress=False)
    converted, read = load_betas(store, **PLAIN), load_nsd(roots["nii.gz"], 1, space=space, **PLAIN)
    np.testing.assert_array_equal(converted.responses, read.responses)
    report = check_path(roots["nii.gz"])
    assert report.problems == 0
    assert {count.found for count in report.counts if count.what == "sessions"} == {3}
    assert any("after division by 300" in finding.message for finding in report.findings)


def resave(file, change):
    """Save a file again after a change of its image."""
    image = nib.load(file)
    changed = change(np.asanyarray(image.dataobj), image.affine)
    file.unlink()
    nib.save(changed, file)


def scaled(data, place):
    image = nib.Nifti1Image(data, place)
    image.header.set_slope_inter(1 / 300, 0)
    return image


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data, place: nib.Nifti1Image(data.astype(np.float32) / 300, place), "float32, expected int16"),
        (scaled, "scales by 0.00333"),
        (lambda data, place: nib.Nifti1Image(data.transpose(2, 1, 0, 3), place), "expected (7, 5, 4, trials)"),
        (lambda data, place: nib.Nifti1Image(data[::-1], place @ np.diag([-1, 1, 1, 1])), "axes that run otherwise"),
    ],
    ids=["float", "scaled", "turned", "flipped"],
)
def test_files_saved_otherwise_are_refused(folder, change, text):
    space, root, betas = folder
    file = betas / "betas_session02.nii.gz"
    resave(file, change)
    with pytest.raises(DataError) as error:
        load_nsd(root, 1, space=space, progress=False)
    assert text in str(error.value)
    assert str(file) in str(error.value)


def test_a_header_that_knows_no_place_is_read(folder, both):
    space, root, betas = folder
    for file in betas.glob("betas_session*.nii.gz"):
        resave(file, lambda data, _: nib.Nifti1Image(data, np.eye(4)))
    after, before = (load_nsd(path, 1, space=space, **PLAIN) for path in (root, both[1]["nii.gz"]))
    np.testing.assert_array_equal(after.responses, before.responses)


@pytest.mark.parametrize("kept", [0, 0.5, 0.95])
def test_cut_files_are_named(folder, kept):
    space, root, betas = folder
    file = betas / "betas_session03.nii.gz"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=r"betas_session03\.nii\.gz"):
        load_nsd(root, 1, space=space, progress=False)


def test_a_folder_without_sessions_names_both_forms(folder):
    space, root, betas = folder
    for file in betas.glob("betas_session*"):
        file.unlink()
    with pytest.raises(DataError, match=r"betas_session01\.hdf5 or \.nii\.gz"):
        load_nsd(root, 1, space=space, progress=False)
