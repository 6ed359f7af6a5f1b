"""BOLD5000: volumes, masks and names against nibabel's own reading, the ceiling against what was planted."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from bold5000_fixture import AFFINE, GRID, write_bold5000
from hypothesis import given, settings
from hypothesis import strategies as st

from factortopy.datasets import load_bold5000
from factortopy.errors import DataError, UnknownNameError

STEM = "CSI1_GLMbetas-TYPED-FITHRF-GLMDENOISE-RR_ses-"


@pytest.fixture
def written(tmp_path):
    return write_bold5000(tmp_path / "bold")


def load(written, **options):
    return load_bold5000(written.root, progress=False, **{"zscore": "none"} | options)


def by_nibabel(written, subject=1):
    """(trial, voxel) of the brain, sessions joined, as nibabel reads the files."""
    files = sorted(written.root.glob(f"CSI{subject}_GLMbetas*"))
    return np.concatenate([nib.load(file).get_fdata()[written.brain].T for file in files])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compressed", [True, False])
def test_single_trials_equal_nibabel(tmp_path, dtype, compressed):
    written = write_bold5000(tmp_path, dtype=dtype, compressed=compressed)
    subject = load(written, trials="single")
    assert subject.single_trials
    assert list(subject.image_ids) == written.names
    np.testing.assert_allclose(subject.responses, by_nibabel(written), rtol=1e-6)


def test_repeats_are_averaged(written):
    subject, trials = load(written), by_nibabel(written)
    assert list(subject.image_ids) == sorted(set(written.names))
    for row, image in enumerate(subject.image_ids):
        shown = [number for number, name in enumerate(written.names) if name == image]
        assert subject.repeats[row] == len(shown)
        np.testing.assert_allclose(subject.responses[row], trials[shown].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert subject.provenance["images_by_repeats"] == [25, 0, 0, 4]


def test_z_scores_by_session(written):
    subject = load(written, trials="single", zscore="session")
    part = by_nibabel(written)[:22]
    np.testing.assert_allclose(
        subject.responses[:22], (part - part.mean(axis=0)) / part.std(axis=0), rtol=1e-3, atol=1e-5
    )


def test_coordinates_are_mm_by_the_mask_not_by_the_wrong_affine_of_the_betas(written):
    subject = load(written)
    expected = nib.affines.apply_affine(AFFINE, np.argwhere(written.brain))
    np.testing.assert_allclose(subject.voxels.coordinates, expected)
    np.testing.assert_array_equal(subject.voxels.vertex, np.flatnonzero(written.brain))
    assert subject.provenance["coordinates"] == "mm, affine of CSI1_brainmask.nii.gz"
    assert subject.voxels.surface is None


def test_without_a_brain_mask_voxels_with_values_and_the_affine_of_regions(tmp_path):
    written = write_bold5000(tmp_path, brain_mask=False)
    subject = load(written)
    np.testing.assert_allclose(subject.voxels.coordinates, nib.affines.apply_affine(AFFINE, np.argwhere(written.brain)))
    assert "there is no brain mask" in subject.provenance["coordinates"]


def test_regions_and_their_hemispheres(written):
    subject = load(written)
    for name, mask in written.regions.items():
        np.testing.assert_array_equal(subject.voxels.rois[name], mask[written.brain])
        assert set(subject.voxels.hemisphere[subject.voxels.rois[name]]) == {"left" if name[0] == "L" else "right"}
    both = written.regions["LHPPA"] | written.regions["RHPPA"]
    np.testing.assert_array_equal(subject.voxels.rois["PPA"], both[written.brain])


def test_regions_spelled_otherwise(tmp_path):
    written = write_bold5000(tmp_path, subject=2)
    subject = load(written, subject=2)
    np.testing.assert_array_equal(subject.voxels.rois["LHLOC"], written.regions["LHLOC"][written.brain])
    assert "LHLO" not in subject.voxels.rois


def test_voxels_of_a_region(written):
    whole, part = load(written), load(written, voxels="PPA")
    np.testing.assert_array_equal(part.responses, whole.responses[:, whole.voxels.rois["PPA"]])
    np.testing.assert_array_equal(part.voxels.bounds, whole.voxels.bounds)
    some = np.any(list(whole.voxels.rois.values()), axis=0)
    assert len(load(written, voxels="rois").voxels) == some.sum()
    with pytest.raises(UnknownNameError, match="PPA"):
        load(written, voxels="PPB")


def test_photographs_of_three_sources(written, tmp_path):
    subject = load(written)
    assert subject.images.ids == subject.image_ids
    assert subject.images.image(3).size == (8, 8)
    next((written.root / "BOLD5000_Stimuli").rglob("*.JPEG")).unlink()
    with pytest.raises(DataError, match="1 of 29 photographs are not beneath"):
        load(written)
    assert load(write_bold5000(tmp_path / "bare", stimuli=False)).images is None


def test_names_marked_as_repeated_are_the_same_image(written):
    file = written.root / "CSI1_imgnames.txt"
    expected = load(written)
    lines = file.read_text().splitlines()
    first = next(name for name in lines if lines.count(name) > 1)
    lines[lines.index(first)] = f"rep_{first}"
    file.write_text("\n".join(lines))
    assert load(written).image_ids == expected.image_ids


def test_names_may_have_spaces(written):
    file = written.root / "CSI1_imgnames.txt"
    expected = load(written, trials="single")
    spaced = {name: f"living room {number}.jpg" for number, name in enumerate(sorted(set(written.names)))}
    file.write_bytes("".join(f"{spaced[name]} \r\n" for name in written.names).encode())
    (written.root / "BOLD5000_Stimuli").rename(written.root / "elsewhere")
    subject = load(written, trials="single")
    assert subject.image_ids == tuple(spaced[name] for name in written.names)
    np.testing.assert_array_equal(subject.responses, expected.responses)


def test_ceiling_is_the_planted_one(tmp_path):
    written = write_bold5000(tmp_path, trials=(170, 150), repeated=60, repeats=4, stimuli=False)
    subject = load(written)
    planted = written.signal[written.brain]
    # 80 images once, 60 four times; signal and noise of variance 1.
    inverse = (80 + 60 / 4) / 140
    assert subject.noise_ceiling[planted].mean() == pytest.approx(1 / (1 + inverse), abs=0.02)
    assert subject.noise_ceiling[~planted].mean() < 0.05
    assert load(written, trials="single").noise_ceiling[planted].mean() == pytest.approx(0.5, abs=0.02)
    assert subject.provenance["ceiling_from"] == {"repeated_images": 60, "trials": 240}


def test_without_repeats_there_is_no_ceiling(tmp_path):
    subject = load(write_bold5000(tmp_path, repeated=0))
    assert subject.noise_ceiling is None
    assert subject.provenance["noise_ceiling"].startswith("none")


def test_later_sessions_may_be_missing_earlier_ones_not(tmp_path):
    written = write_bold5000(tmp_path, trials=(12, 11, 10), repeated=2)
    (tmp_path / f"{STEM}03.nii.gz").unlink()
    subject = load(written, trials="single")
    assert list(subject.image_ids) == written.names[:23]
    (tmp_path / f"{STEM}01.nii.gz").unlink()
    with pytest.raises(DataError, match=r"lacks the sessions \[1\]"):
        load(written)


@settings(max_examples=10, deadline=None)
@given(
    trials=st.lists(st.integers(5, 9), min_size=1, max_size=3),
    repeats=st.integers(2, 4),
    grid=st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(2, 5)),
    seed=st.integers(0, 99),
)
def test_any_size(tmp_path_factory, **sizes):
    written = write_bold5000(tmp_path_factory.mktemp("bold"), repeated=1, stimuli=False, **sizes)
    np.testing.assert_allclose(load(written, trials="single").responses, by_nibabel(written), rtol=1e-6)


def truncate(path, keep=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def other_shape(path):
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), AFFINE), path)


def empty_mask(path):
    nib.save(nib.Nifti1Image(np.zeros(GRID, np.uint8), AFFINE), path)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (f"{STEM}02.nii.gz", truncate, "cannot read|truncated"),
        (f"{STEM}02.nii.gz", lambda path: truncate(path, 0), "cannot read"),
        (f"{STEM}02.nii.gz", other_shape, "expected"),
        (f"{STEM}01.nii.gz", lambda path: path.write_bytes(gzip.compress(b"no image" * 99)), "cannot read"),
        ("CSI1_imgnames.txt", lambda path: path.unlink(), "is missing"),
        ("CSI1_imgnames.txt", truncate, "names .* images, but sessions 1 to 2 have 41 trials"),
        ("CSI1_imgnames.txt", lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot read"),
        ("CSI1_brainmask.nii.gz", other_shape, r"has shape \(3, 3, 3\), the betas"),
        ("CSI1_brainmask.nii.gz", empty_mask, "is empty"),
        ("derivatives/spm/sub-CSI1/sub-CSI1_mask-LHPPA.nii.gz", truncate, "cannot read|truncated"),
    ],
)
def test_damage_is_one_line_that_names_the_file(written, file, damage, message):
    damage(written.root / file)
    with pytest.raises(DataError, match=message) as caught:
        load(written)
    assert "\n" not in str(caught.value)
    assert file.rsplit("/", 1)[-1] in str(caught.value)


def test_a_giant_announced_volume_is_refused_before_memory_is_taken(tmp_path):
    written = write_bold5000(tmp_path, compressed=False)
    file = tmp_path / f"{STEM}02.nii"
    content = bytearray(file.read_bytes())
    content[40:56] = np.array([4, 30_000, 30_000, 30_000, 30_000, 1, 1, 1], "<i2").tobytes()
    file.write_bytes(content)
    with pytest.raises(DataError, match="announces shape"):
        load(written)


def test_unknown_preparation_and_empty_folder(written, tmp_path):
    with pytest.raises(UnknownNameError, match="TYPED"):
        load(written, preparation="TYPED")
    with pytest.raises(DataError, match="has no CSI1_GLMbetas"):
        load_bold5000(tmp_path / "other")
