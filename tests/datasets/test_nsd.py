"""NSD as written in bytes, read back: against nibabel, h5py and SciPy on the same files."""

import json
from dataclasses import dataclass

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nsd_fixture import BODIES, VISUAL, affine, picture, write_nsd
from scipy.io import loadmat
from scipy.stats import zscore

from factortopy.cortex import sphere_coordinates
from factortopy.datasets import convert_nsd, load_betas, load_nsd
from factortopy.errors import DataError
from factortopy.images import split_images
from factortopy.subjects import load_subject_folder

SPACES = ("fsaverage", "nativesurface", "func1pt8mm", "func1mm")


@dataclass
class Independent:
    """What other libraries make of the same files: all voxels, left first, or x, y, z."""

    betas: np.ndarray
    images: np.ndarray


def read_independently(root, subject, space, sessions, trials, preparation="betas_fithrf_GLMdenoise_RR"):
    folder = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}" / space / preparation
    blocks = []
    for session in sessions:
        if space == "fsaverage":
            files = [folder / f"{side}.betas_session{session:02d}.mgh" for side in ("lh", "rh")]
            parts = [np.asarray(nib.load(file).dataobj).reshape(-1, trials).T for file in files]
        elif space == "nativesurface":
            parts = []
            for side in ("lh", "rh"):
                with h5py.File(folder / f"{side}.betas_session{session:02d}.hdf5") as file:
                    parts.append(file["betas"][:] / 300)
        else:
            with h5py.File(folder / f"betas_session{session:02d}.hdf5") as file:
                parts = [(file["betas"][:] / 300).transpose(0, 3, 2, 1).reshape(trials, -1)]
        blocks.append(np.concatenate(parts, axis=1))
    design = loadmat(root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat")
    images = []
    for session in sessions:
        for trial in range((session - 1) * trials, session * trials):
            position = int(design["masterordering"][0, trial])
            images.append(int(design["subjectim"][subject - 1, position - 1]) - 1)
    return Independent(np.stack(blocks), np.array(images))


def column_of(subject, written):
    """Columns of ``Independent.betas`` that a subject's voxels are."""
    if "volume" in written.betas:
        return subject.voxels.vertex
    left = written.betas["left"].shape[1]
    return subject.voxels.vertex + np.where(subject.voxels.hemisphere == "right", left, 0)


@pytest.fixture(scope="module", params=SPACES)
def folder(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    return request.param, write_nsd(root, 3, space=request.param)


@pytest.mark.parametrize("trials", ["averaged", "single"])
@pytest.mark.parametrize("scaling", ["session", "none"])
def test_responses_are_those_of_other_libraries(folder, trials, scaling):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, voxels="all", trials=trials, zscore=scaling, progress=False)
    actual = read_independently(written.root, 3, space, written.sessions, written.trials)
    betas = actual.betas[:, :, column_of(subject, written)]
    if scaling == "session":
        betas = zscore(betas, axis=1)
    betas = betas.reshape(-1, betas.shape[2])
    if trials == "averaged":
        images = sorted(set(actual.images.tolist()))
        rows = [np.flatnonzero(actual.images == image) for image in images]
        betas = np.stack([betas[row].mean(axis=0) for row in rows])
        assert subject.repeats.tolist() == [len(row) for row in rows]
    else:
        images = actual.images.tolist()
        assert subject.repeats.tolist() == [1] * len(images)
    assert subject.image_ids == tuple(f"nsd-{image:05d}" for image in images)
    np.testing.assert_allclose(subject.responses, betas, rtol=1e-5, atol=1e-5)


def test_vertices_without_values_are_left_out_and_remembered(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, voxels="all", progress=False)
    for part, ncsnr in written.ncsnr.items():
        dead = np.flatnonzero(np.isnan(ncsnr.reshape(-1)))
        here = np.ones(len(subject.voxels), bool) if part == "volume" else subject.voxels.hemisphere == part
        assert len(dead) == 2
        assert set(range(ncsnr.size)) - set(subject.voxels.vertex[here].tolist()) == set(dead.tolist())
        remembered = subject.provenance["left_out"][part]
        assert {n for first, last in remembered for n in range(first, last + 1)} == set(dead.tolist())


def test_rois_have_the_names_of_their_tables(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, voxels="all", progress=False)
    kinds = {"prf-visualrois": VISUAL, "floc-bodies": BODIES, "nsdgeneral": ("", "nsdgeneral")}
    for kind, names in kinds.items():
        for number, name in enumerate(names):
            if number == 0:
                assert name not in subject.voxels.rois
                continue
            for part, labels in written.labels.items():
                here = np.ones(len(subject.voxels), bool) if part == "volume" else subject.voxels.hemisphere == part
                expected = labels[kind].reshape(-1)[subject.voxels.vertex[here]] == number
                assert np.array_equal(subject.voxels.rois[name][here], expected)
    assert np.array_equal(subject.voxels.rois["V1"], subject.voxels.rois["V1v"] | subject.voxels.rois["V1d"])
    parts = [subject.voxels.rois[name] for name in ("V2v", "V2d", "V3v", "V3d")]
    assert np.array_equal(subject.voxels.rois["V2V3"], np.any(parts, axis=0))


@pytest.mark.parametrize("choice", ["nsdgeneral", "floc-bodies", "V1v"])
def test_chosen_voxels(folder, choice):
    space, written = folder
    everything = load_nsd(written.root, 3, space=space, voxels="all", progress=False)
    subject = load_nsd(written.root, 3, space=space, voxels=choice, progress=False)
    inside = everything.voxels.rois["nsdgeneral"] if choice == "nsdgeneral" else everything.voxels.rois.get(choice)
    if choice == "floc-bodies":
        inside = np.any([everything.voxels.rois[name] for name in BODIES[1:]], axis=0)
    assert 0 < inside.sum() < len(everything.voxels)
    np.testing.assert_array_equal(subject.responses, everything.responses[:, inside])
    np.testing.assert_array_equal(subject.voxels.vertex, everything.voxels.vertex[inside])
    np.testing.assert_array_equal(subject.voxels.bounds, everything.voxels.bounds)


@pytest.mark.parametrize("trials", ["averaged", "single"])
def test_ceiling_counts_the_repeats(folder, trials):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, voxels="all", trials=trials, progress=False)
    counts = np.unique(written.images, return_counts=True)[1]
    noise = np.mean(1 / counts) if trials == "averaged" else 1
    ncsnr = np.concatenate([values.reshape(-1) for values in written.ncsnr.values()])
    ncsnr = ncsnr[column_of(subject, written)].astype(float)
    assert len(set(counts.tolist())) > 1  # repeats differ, as where sessions are held out
    np.testing.assert_allclose(subject.noise_ceiling, ncsnr**2 / (ncsnr**2 + noise), rtol=1e-5)


def test_coordinates(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, voxels="all", progress=False)
    if space.startswith("func"):
        grid = written.betas["volume"].shape[1:]
        index = np.stack(np.unravel_index(subject.voxels.vertex, grid), axis=1)
        expected = nib.affines.apply_affine(affine(), index)
        assert subject.voxels.surface is None
        assert np.array_equal(subject.voxels.hemisphere == "left", expected[:, 0] < 0)
    else:
        name = "fsaverage" if space == "fsaverage" else "subj03"
        folder = written.root / "nsddata" / "freesurfer" / name / "surf"
        left, _ = nib.freesurfer.read_geometry(folder / "lh.sphere.reg")
        right, _ = nib.freesurfer.read_geometry(folder / "rh.sphere.reg")
        right[:, 0] += left[:, 0].min() + 1.5 * np.ptp(left[:, 0]) - right[:, 0].min()
        expected = np.concatenate([left, right])[column_of(subject, written)]
        assert (np.diff(subject.voxels.hemisphere == "right").sum(), subject.voxels.hemisphere[0]) == (1, "left")
    np.testing.assert_allclose(subject.voxels.coordinates, expected, rtol=1e-5, atol=1e-4)


def test_photographs_by_id(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, progress=False)
    assert subject.images.ids == subject.image_ids
    for index in (0, len(subject.image_ids) - 1):
        shown = int(subject.image_ids[index].removeprefix("nsd-"))
        np.testing.assert_array_equal(np.asarray(subject.images.image(index)), picture(shown, 12))


def test_trials_of_an_image_never_part(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, trials="single", progress=False)
    assert len(subject.image_ids) == len(written.images) > len(subject.distinct_image_ids)
    split = split_images(subject.distinct_image_ids, seed=1)
    sides = {name: [image in ids for image in subject.image_ids] for name, ids in split.to_dict().items()}
    assert np.array_equal(np.sum(list(sides.values()), axis=0), np.ones(len(subject.image_ids)))


def test_single_trials_are_saved_and_read_again(folder, tmp_path):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, trials="single", progress=False)
    actual = load_subject_folder(subject.save(tmp_path / "subject"))
    assert actual.single_trials
    assert actual.image_ids == subject.image_ids
    np.testing.assert_array_equal(actual.responses, subject.responses)
    assert actual.provenance == subject.provenance


def test_provenance_says_what_was_used(folder):
    space, written = folder
    facts = load_nsd(written.root, 3, space=space, sessions=[1, 3], progress=False).provenance
    assert (facts["sessions"], facts["sessions_published"]) == ([1, 3], 32)
    assert "session" in facts["z_score"]
    spread = np.median([np.nanmedian(values[-6:].std(axis=0)) for values in written.betas.values()])
    assert facts["median_sd_percent"] == pytest.approx(spread, rel=0.3)
    assert "300" in facts["scaling"] if space != "fsaverage" else "none" in facts["scaling"]


def test_numbers_may_be_numpy_s(folder, tmp_path):
    space, written = folder
    given, options = np.array([3, 1]), {"space": space, "progress": False}
    subject = load_nsd(written.root, np.int64(3), sessions=given, **options)
    expected = load_nsd(written.root, 3, sessions=[1, 3], **options)
    assert load_subject_folder(subject.save(tmp_path / "s")).provenance == expected.provenance
    store = convert_nsd(written.root, np.int64(3), tmp_path / "b", sessions=given, **options)
    chosen = load_betas(store, sessions=np.array([3]), progress=False)
    assert chosen.provenance["sessions"] == [3]
    assert json.dumps(chosen.provenance)
    with pytest.raises(DataError, match=r"sessions \(1, 3\), not none"):
        load_betas(store, sessions=np.array([], dtype=int), progress=False)


def test_sessions_chosen(folder):
    space, written = folder
    subject = load_nsd(written.root, 3, space=space, trials="single", zscore="none", sessions=(2,), progress=False)
    whole = load_nsd(written.root, 3, space=space, trials="single", zscore="none", progress=False)
    rows = slice(written.trials, 2 * written.trials)
    np.testing.assert_array_equal(subject.responses, whole.responses[rows])
    assert subject.image_ids == whole.image_ids[rows]


def test_all_preparations_and_subjects(tmp_path):
    names = ("betas_fithrf_GLMdenoise_RR", "betas_fithrf", "betas_assumehrf")
    for subject, preparation in zip((1, 4, 8), names, strict=True):
        written = write_nsd(tmp_path, subject, preparation=preparation)
        actual = load_nsd(tmp_path, subject, preparation=preparation, voxels="all", progress=False)
        others = read_independently(tmp_path, subject, "fsaverage", (1, 2, 3), 6, preparation)
        assert set(actual.image_ids) == {f"nsd-{image:05d}" for image in others.images}
        assert np.array_equal(np.sort(written.images), np.sort(others.images))


def test_real_fsaverage_needs_no_sphere(tmp_path):
    write_nsd(tmp_path, sessions=(1,), trials=3, vertices=(163_842, 0), stimuli=False, stimulus_info=None)
    for file in (tmp_path / "nsddata" / "freesurfer" / "fsaverage" / "surf").iterdir():
        file.unlink()
    subject = load_nsd(tmp_path, 1, progress=False)
    assert subject.voxels.surface == "fsaverage"
    position = subject.voxels.vertex + np.where(subject.voxels.hemisphere == "right", 163_842, 0)
    np.testing.assert_array_equal(subject.voxels.coordinates, sphere_coordinates("fsaverage")[position])


def test_native_file_with_its_axes_the_other_way_round(tmp_path):
    written = write_nsd(tmp_path, space="nativesurface", sessions=(1,))
    before = load_nsd(tmp_path, 1, space="nativesurface", progress=False)
    folder = tmp_path / "nsddata_betas/ppdata/subj01/nativesurface/betas_fithrf_GLMdenoise_RR"
    for file in folder.glob("*.hdf5"):
        with h5py.File(file, "a") as opened:
            raw = opened["betas"][:].T
            del opened["betas"]
            opened["betas"] = raw
    after = load_nsd(tmp_path, 1, space="nativesurface", progress=False)
    assert written.trials != before.voxels
    np.testing.assert_array_equal(before.responses, after.responses)


def test_a_second_atlas_keeps_its_own_names(tmp_path):
    written = write_nsd(tmp_path, space="nativesurface")
    folder = tmp_path / "nsddata" / "freesurfer" / "subj01" / "label"
    for side, part in (("lh", "left"), ("rh", "right")):
        values = (written.labels[part]["prf-visualrois"] == 3).astype(np.int32)
        nib.MGHImage(values.reshape(-1, 1, 1), np.eye(4)).to_filename(folder / f"{side}.HCP_MMP1.mgz")
    (folder / "lh.HCP_MMP1.mgz.ctab").write_text("0 ???\n1 V1\n")
    subject = load_nsd(tmp_path, 1, space="nativesurface", voxels="all", rois=["HCP_MMP1"], progress=False)
    assert np.array_equal(subject.voxels.rois["HCP_MMP1.V1"], subject.voxels.rois["V2v"])
    assert np.array_equal(subject.voxels.rois["V1"], subject.voxels.rois["V1v"] | subject.voxels.rois["V1d"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    space=st.sampled_from(SPACES),
    trials=st.integers(3, 9),
    sessions=st.sets(st.integers(1, 4), min_size=1),
    vertices=st.tuples(st.integers(12, 90), st.integers(12, 90)),
    grid=st.tuples(*[st.integers(3, 9)] * 3),
    not_measured=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_any_size(tmp_path_factory, space, trials, sessions, vertices, grid, not_measured, seed):
    root = tmp_path_factory.mktemp("any")
    sessions = tuple(sorted(sessions))
    written = write_nsd(
        root,
        space=space,
        trials=trials,
        sessions=sessions,
        vertices=vertices,
        grid=grid,
        not_measured=not_measured,
        stimuli=False,
        seed=seed,
    )
    subject = load_nsd(root, 1, space=space, voxels="all", trials="single", zscore="none", progress=False)
    planted = np.concatenate([values.reshape(len(values), -1) for values in written.betas.values()], axis=1)
    actual = read_independently(root, 1, space, sessions, trials)
    columns = column_of(subject, written)
    np.testing.assert_allclose(subject.responses, planted[:, columns], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        subject.responses, actual.betas.reshape(-1, planted.shape[1])[:, columns], rtol=1e-6, atol=1e-6
    )
    assert len(subject.voxels) >= planted.shape[1] - len(written.betas) * not_measured
    assert subject.image_ids == tuple(f"nsd-{image:05d}" for image in written.images)
