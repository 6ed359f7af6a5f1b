"""LAION-fMRI as written in bytes, read back: betas, trials, ROIs, ceilings, splits and photographs against the plan."""

import csv
import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from laion_fixture import AFFINE, GRID, SUFFIXES, image_names, write_laion, write_stimuli
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.datasets import check_path, laion_images, load_laion, load_subject, open_images, recognise
from factortopy.errors import DataError, UnknownNameError

FORMS = {"float32": {}, "float64": {"dtype": "float64"}, "int16": {"dtype": "int16", "slope": 0.01}}
SINGLE = {"trials": "single", "zscore": "none", "progress": False}


@pytest.fixture(scope="module", params=FORMS)
def written(request, tmp_path_factory):
    return write_laion(tmp_path_factory.mktemp(request.param), 3, **FORMS[request.param])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write_laion(tmp_path_factory.mktemp("laion"), 1)


@pytest.fixture
def copy(plain, tmp_path):
    return shutil.copytree(plain.root, tmp_path / "laion")


def session_file(root, session=2, ending="space-T1w_stat-effect_desc-SingletrialBetas_statmap.nii.gz"):
    name = f"ses-{session:02d}"
    return root / f"derivatives/glmsingle-tedana/sub-01/{name}/func/sub-01_{name}_task-images_{ending}"


TRIALS = "desc-SingletrialBetas_trials.tsv"


def test_every_trial_and_voxel(written):
    subject = load_laion(written.root, 3, **SINGLE)
    expected = np.concatenate([written.betas[session] for session in written.betas], axis=3)
    assert len({betas.shape[3] for betas in written.betas.values()}) > 1
    assert list(subject.image_ids) == written.shown
    np.testing.assert_array_equal(subject.voxels.vertex, np.flatnonzero(written.brain.reshape(-1)))
    np.testing.assert_allclose(subject.responses, expected[written.brain].T, rtol=1e-6, atol=1e-6)
    files = sorted((written.root / "derivatives/glmsingle-tedana/sub-03").glob("ses-*/func/*Betas_statmap.nii.gz"))
    others = np.concatenate([nib.load(file).get_fdata() for file in files], axis=3)
    np.testing.assert_allclose(subject.responses, others[written.brain].T, rtol=1e-5, atol=1e-5)
    places = nib.affines.apply_affine(AFFINE, np.argwhere(written.brain))
    np.testing.assert_allclose(subject.voxels.coordinates, places, atol=1e-4)
    assert np.array_equal(subject.voxels.hemisphere == "left", places[:, 0] < 0)


def test_repeats_are_averaged_after_z_scoring_by_session(written):
    subject = load_laion(written.root, 3, progress=False)
    parts = [written.betas[session][written.brain].T for session in written.betas]
    betas = np.concatenate([(part - part.mean(axis=0)) / part.std(axis=0) for part in parts])
    labels = np.array(written.shown)
    assert list(subject.image_ids) == sorted(set(labels.tolist()))
    for row, image in enumerate(subject.image_ids):
        assert subject.repeats[row] == (labels == image).sum()
        np.testing.assert_allclose(subject.responses[row], betas[labels == image].mean(axis=0), atol=1e-5)
    assert set(subject.repeats.tolist()) == {3, 4, 12}  # one image lacks a repeat


@pytest.mark.parametrize("published", [12, 4])
@pytest.mark.parametrize("trials", ["averaged", "single"])
def test_ceiling_for_the_repeats_that_are_really_there(tmp_path, published, trials):
    """Signal and noise are planted: whatever the map's own repeats, those of the rows count."""
    planted = write_laion(tmp_path, ceiling=published, lost=3, stimuli=False)
    subject = load_laion(planted.root, trials=trials, progress=False)
    labels, counts = np.unique(planted.shown, return_counts=True)
    mean_inverse = np.mean(1 / counts) if trials == "averaged" else 1
    expected = planted.signal / (planted.signal + planted.noise * mean_inverse)
    np.testing.assert_allclose(subject.noise_ceiling, expected[planted.brain], rtol=1e-4)
    assert len(labels) == 30
    assert f"published map of {published} repeats" in subject.provenance["noise_ceiling"]


def test_without_a_map_there_is_no_ceiling(tmp_path):
    planted = write_laion(tmp_path, ceiling=None, stimuli=False)
    subject = load_laion(planted.root, progress=False)
    assert subject.noise_ceiling is None
    assert "Noiseceiling12rep" in subject.provenance["noise_ceiling"]


def test_masks(tmp_path, plain):
    rsquare = load_laion(plain.root, mask="rsquare", progress=False)
    file = next((plain.root / "derivatives/glmsingle-tedana/sub-01").glob("*R2mean*"))
    inside = np.flatnonzero(nib.load(file).get_fdata().reshape(-1) > 0)
    np.testing.assert_array_equal(rsquare.voxels.vertex, inside)
    assert load_laion(plain.root, progress=False).provenance["mask"] == "anatomical"
    without = write_laion(tmp_path, anatomical=False, stimuli=False)
    assert load_laion(without.root, progress=False).provenance["mask"] == "rsquare"
    with pytest.raises(DataError, match="desc-brain_mask"):
        load_laion(without.root, mask="anatomical", progress=False)
    with pytest.raises(UnknownNameError, match="anatomical"):
        load_laion(plain.root, mask="brain", progress=False)


def test_rois_and_areas_by_published_definition(plain):
    subject = load_laion(plain.root, progress=False)
    rois, inside = subject.voxels.rois, {name: mask[plain.brain] for name, mask in plain.regions.items()}
    for name, mask in inside.items():
        np.testing.assert_array_equal(rois[name], mask)
    assert "FFA1" in inside  # its file spells it FFA-1
    union = {"V1": ("V1v", "V1d"), "V2": ("V2v", "V2d"), "V3": ("V3v", "V3d"), "V4": ("hV4",), "FFA": ("FFA1", "FFA2")}
    for area, parts in union.items():
        np.testing.assert_array_equal(rois[area], np.any([inside[part] for part in parts], axis=0))
    early = np.any([inside[name] for name in ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4")], axis=0)
    np.testing.assert_array_equal(rois["IT"], inside["laionventral"] & ~early)
    assert (rois["IT"] & inside["VO1"]).any()  # VO1 is retinotopic and stays
    assert not np.array_equal(rois["IT"], inside["laionventral"])


@pytest.mark.parametrize("voxels", ["V1v", "IT", "retinotopic"])
def test_chosen_voxels(plain, voxels):
    everything = load_laion(plain.root, progress=False)
    chosen = load_laion(plain.root, voxels=voxels, progress=False)
    inside = everything.voxels.rois.get(voxels)
    if voxels == "retinotopic":
        names = ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1")
        inside = np.any([everything.voxels.rois[name] for name in names], axis=0)
    np.testing.assert_array_equal(chosen.responses, everything.responses[:, inside])
    np.testing.assert_array_equal(chosen.noise_ceiling, everything.noise_ceiling[inside])


def test_it_needs_all_parts_of_its_definition(copy):
    next((copy / "derivatives/rois/sub-01/retinotopic").glob("*1pt8*V3d*")).unlink()
    rois = load_laion(copy, progress=False).voxels.rois
    assert "V1" in rois
    assert not {"V3", "V2V3", "IT"} & set(rois)


def test_photographs_are_decoded(plain):
    subject = load_laion(plain.root, progress=False)
    assert set(subject.images.ids) == set(subject.image_ids)
    modes = set()
    for index, name in enumerate(subject.images.ids):
        picture, pixels = np.asarray(subject.images.image(index)).astype(float), plain.pictures[name].astype(float)
        assert picture.shape == (10, 10, 3)
        if name.endswith(".png"):
            alpha = pixels[..., 3:] / 255
            np.testing.assert_allclose(picture, pixels[..., :3] * alpha + 127.5 * (1 - alpha), atol=1.01)
        else:
            np.testing.assert_allclose(picture, pixels, atol=4)
        modes.add(name[-4:])
    assert modes == {".png", ".jpg"}


def test_images_of_the_folder_are_those_that_were_shown(plain, tmp_path):
    shown = set(plain.shown)
    assert set(open_images(plain.root).ids) == shown
    assert len(laion_images(plain.root)) == len(shown) + 2
    shutil.copytree(plain.root / "stimuli", tmp_path / "stimuli")
    assert len(open_images(tmp_path)) == len(shown) + 2


def test_sessions_that_are_not_there(copy, plain):
    shutil.rmtree(session_file(copy).parents[1])
    subject = load_laion(copy, progress=False)
    labels, counts = np.unique(plain.labels[1] + plain.labels[3], return_counts=True)
    assert subject.image_ids == tuple(labels.tolist())
    assert subject.repeats.tolist() == counts.tolist()
    assert subject.provenance["sessions"] == [1, 3]
    mean_inverse = np.mean(1 / counts)
    expected = plain.signal / (plain.signal + plain.noise * mean_inverse)
    np.testing.assert_allclose(subject.noise_ceiling, expected[plain.brain], rtol=1e-4)


def test_nan_at_the_edge_is_left_out(copy, plain):
    file = session_file(copy)
    image = nib.load(file)
    data = np.asanyarray(image.dataobj).copy()
    x, y, z = np.argwhere(plain.brain)[5]
    data[x, y, z, 4] = np.nan
    file.unlink()
    nib.save(nib.Nifti1Image(data, AFFINE), file)
    subject = load_laion(copy, progress=False)
    expected = np.setdiff1d(np.flatnonzero(plain.brain.reshape(-1)), np.ravel_multi_index((x, y, z), GRID))
    np.testing.assert_array_equal(subject.voxels.vertex, expected)


def test_recognised_checked_and_loaded_by_the_common_names(plain, copy):
    assert recognise(plain.root).name == "laion-fmri"
    write_laion(copy, 6, stimuli=False)
    both = {label for number in (1, 6) for labels in image_names(number).values() for label in labels}
    write_stimuli(copy / "stimuli", sorted(both))
    assert recognise(copy).subject_numbers(copy) == (1, 6)
    assert load_subject(copy, subject=6, progress=False).name == "laion-sub-06"
    report = check_path(copy)
    assert report.problems == 0, report.findings
    counted = {(count.subject, count.what): (count.found, count.published) for count in report.counts}
    trials = sum(map(len, plain.labels.values()))
    assert counted["sub-01", "trials"] == (trials, 31_856)
    assert counted["sub-01", "images"] == (30, 6_204)
    assert counted["sub-01", "voxels"] == (plain.brain.sum(), 272_080)
    assert counted["sub-06", "ROIs"] == (16, 41)
    assert any("1 shown 3 times, 21 shown 4 times, 8 shown 12 times" in found.message for found in report.findings)


def change_table(root, change):
    file = session_file(root, 2, TRIALS)
    with open(file, encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened, delimiter="\t"))
    rows = change(rows)
    with open(file, "w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)


def test_beta_index_decides_and_not_the_order_of_the_rows(copy, plain):
    change_table(copy, lambda rows: rows[::-1])
    assert load_laion(copy, **SINGLE).image_ids == load_laion(plain.root, **SINGLE).image_ids


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda rows: [row | {"beta_index": int(row["beta_index"]) + 1} for row in rows], "beta_index from 1 to"),
        (lambda rows: rows[:-1], "trials, the betas have"),
        (lambda rows: [row | {"session": "ses-03"} for row in rows], "lists trials of ses-03"),
        (lambda rows: [{k: v for k, v in row.items() if k != "label"} for row in rows], "no column label"),
        (lambda rows: [row | {"label": ""} for row in rows], "without a label"),
        (lambda rows: [row | {"label": row["label"].replace("_p01", "_p04")} for row in rows], "only sub-03 \\(p04\\)"),
    ],
)
def test_tables_of_trials_that_do_not_fit_are_refused(copy, change, text):
    change_table(copy, change)
    with pytest.raises(DataError, match=text) as error:
        load_laion(copy, progress=False)
    assert TRIALS in str(error.value)
    result = CliRunner().invoke(app, ["check", str(copy), "--json"])
    assert result.exit_code == 2


@pytest.mark.parametrize("subject", SUFFIXES)
def test_each_subject_has_its_own_letters(tmp_path, subject):
    written = write_laion(tmp_path, subject, stimuli=False)
    assert load_laion(written.root, subject, progress=False).name == f"laion-sub-0{subject}"


@pytest.mark.parametrize(
    ("place", "pattern"),
    [
        ("derivatives/glmsingle-tedana/sub-01", "*Noiseceiling12rep*"),
        ("derivatives/rois/sub-01/body", "*1pt8*EBA*"),
        ("derivatives/anatomical/sub-01/ses-PrismaAnat/anat", "*"),
    ],
)
def test_maps_of_another_grid_are_refused(copy, place, pattern):
    file = next((copy / place).glob(pattern))
    data = np.asanyarray(nib.load(file).dataobj)
    file.unlink()
    nib.save(nib.Nifti1Image(data[::-1], AFFINE @ np.diag([-1, 1, 1, 1])), file)
    with pytest.raises(DataError, match="lies elsewhere") as error:
        load_laion(copy, progress=False)
    assert file.name in str(error.value)
    file.unlink()
    nib.save(nib.Nifti1Image(data[1:], AFFINE), file)
    with pytest.raises(DataError, match="has shape"):
        load_laion(copy, progress=False)


def test_a_ceiling_that_is_no_percentage_is_refused(copy):
    file = next((copy / "derivatives/glmsingle-tedana/sub-01").glob("*Noiseceiling12rep*"))
    nib.save(nib.Nifti1Image(np.full(GRID, 300, np.float32), AFFINE), file)
    with pytest.raises(DataError, match="per cent") as error:
        load_laion(copy, progress=False)
    assert file.name in str(error.value)


@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
def test_cut_betas(copy, kept):
    file = session_file(copy)
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="SingletrialBetas"):
        load_laion(copy, progress=False)
    assert check_path(copy).problems


def test_subjects_that_do_not_exist(copy):
    with pytest.raises(DataError, match="1, 3, 5, 6, 7; got 2"):
        load_laion(copy, 2, progress=False)
    with pytest.raises(DataError, match="is missing"):
        load_laion(copy, 5, progress=False)


def test_damaged_photographs_are_named(copy):
    with h5py.File(copy / "stimuli/task-images_stimuli.h5", "a") as file:
        file["images"][5] = np.frombuffer(b"no picture at all", np.uint8)
    images = laion_images(copy)
    with pytest.raises(DataError) as error:
        images.image(5)
    assert images.ids[5] in str(error.value)
    with h5py.File(copy / "stimuli/task-images_stimuli.h5", "a") as file:
        del file["images"]
        file["images"] = np.zeros((32, 4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="one encoded file"):
        laion_images(copy)


def test_photographs_and_names_of_different_numbers(copy):
    table = copy / "stimuli/task-images_metadata.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="holds 32 images"):
        load_laion(copy, progress=False)
