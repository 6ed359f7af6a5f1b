"""THINGS-fMRI: read without pandas' unpickling, against pandas itself, for both of its layouts."""

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from things_fixture import AFFINE, write_things

from factortopy.datasets import load_things, things_test_images
from factortopy.datasets.things.files import open_responses
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import split_with_test


@pytest.fixture
def written(tmp_path):
    return write_things(tmp_path / "things")


def load(written, **options):
    return load_things(written.root, progress=False, **{"voxels": "all", "zscore": "none"} | options)


def averaged(written):
    """Mean of the trials of each image by pandas, from the file as pandas reads it."""
    frame = pd.read_hdf(written.root / "betas_csv" / "sub-01_ResponseData.h5")
    frame = frame.drop(columns="voxel_id", errors="ignore")
    frame.columns = written.trials["stimulus"].to_numpy()
    return frame.T.groupby(level=0).mean()


@pytest.mark.parametrize("layout", ["fixed", "table"])
@pytest.mark.parametrize(("dtype", "text_names"), [("float32", False), ("float64", False), ("float32", True)])
def test_equals_pandas_in_every_layout(tmp_path, layout, dtype, text_names):
    written = write_things(tmp_path, layout=layout, dtype=dtype, text_names=text_names)
    subject = load(written)
    expected = averaged(written)
    assert subject.image_ids == tuple(expected.index)
    np.testing.assert_allclose(subject.responses, expected.to_numpy(), rtol=1e-5, atol=1e-6)


def test_without_voxel_ids(tmp_path):
    written = write_things(tmp_path, with_ids=False)
    np.testing.assert_allclose(load(written).responses, averaged(written), rtol=1e-5, atol=1e-6)


def test_rows_in_another_order_are_matched_by_voxel_id(written):
    file = written.root / "betas_csv" / "sub-01_ResponseData.h5"
    expected = load(written)
    frame = pd.read_hdf(file).sample(frac=1, random_state=1)
    frame.columns = [str(name) for name in frame.columns]
    frame.to_hdf(file, key="ResponseData", mode="w")
    np.testing.assert_array_equal(load(written).responses, expected.responses)


def test_names_that_are_texts_tell_the_order_of_trials(written):
    file = written.root / "betas_csv" / "sub-01_ResponseData.h5"
    expected = load(written)
    frame = pd.read_hdf(file)
    frame.columns = [str(name) for name in frame.columns]
    trials = frame.columns[1:]
    frame[["voxel_id", *trials[::-1]]].to_hdf(file, key="ResponseData", mode="w")
    np.testing.assert_array_equal(load(written).responses, expected.responses)


def test_trials_in_another_order_are_matched_by_trial_id(written):
    expected = load(written, trials="single")
    file = written.root / "betas_csv" / "sub-01_StimulusMetadata.csv"
    written.trials.sample(frac=1, random_state=1).to_csv(file, index=False)
    subject = load(written, trials="single")
    assert subject.image_ids == expected.image_ids
    np.testing.assert_allclose(subject.responses, written.responses.T, rtol=1e-6)
    written.trials.drop(columns="trial_id").to_csv(file, index=False)
    assert load(written, trials="single").image_ids == expected.image_ids, "without ids rows stand in their own order"


def test_single_trials_and_repeats(written):
    single, mean = load(written, trials="single"), load(written)
    assert single.single_trials
    assert single.image_ids == tuple(written.trials["stimulus"])
    np.testing.assert_allclose(single.responses, written.responses.T, rtol=1e-6)
    counts = written.trials["stimulus"].value_counts()
    assert mean.repeats.tolist() == [counts[name] for name in mean.image_ids]
    assert mean.provenance["images_by_repeats"] == [12, 3]


def test_z_scores_by_session(written):
    subject = load(written, trials="single", zscore="session")
    for session in (1, 2):
        here = (written.trials["session"] == session).to_numpy()
        part = written.responses[:, here].T.astype(float)
        expected = (part - part.mean(axis=0)) / part.std(axis=0)
        np.testing.assert_allclose(subject.responses[here], expected, rtol=1e-3, atol=1e-4)


def test_coordinates_are_mm_by_the_brain_mask(written):
    subject = load(written)
    indices = written.voxels[["voxel_x", "voxel_y", "voxel_z"]].to_numpy()
    np.testing.assert_allclose(subject.voxels.coordinates, indices * 2.0 + AFFINE[:3, 3])
    assert subject.provenance["coordinates"].startswith("mm")
    assert ((subject.voxels.hemisphere == "left") == (subject.voxels.coordinates[:, 0] < 0)).all()
    np.testing.assert_array_equal(subject.voxels.vertex, written.voxels["voxel_id"])


@pytest.mark.parametrize("flipped", [False, True])
def test_without_a_mask_coordinates_are_indices_and_regions_tell_the_sides(tmp_path, flipped):
    written = write_things(tmp_path, brain_mask=False)
    if flipped:
        table = written.voxels.assign(voxel_x=18 - written.voxels["voxel_x"])
        table.to_csv(tmp_path / "betas_csv" / "sub-01_VoxelMetadata.csv", index=False)
    subject = load(written)
    assert "voxel indices" in subject.provenance["coordinates"]
    assert (subject.voxels.hemisphere[subject.voxels.rois["lEBA"]] == "left").all()
    assert (subject.voxels.hemisphere[subject.voxels.rois["rEBA"]] == "right").all()


def test_regions_are_the_columns_and_their_unions(written):
    table, subject = written.voxels, load(written, atlas=True)
    for name in ("V1", "LO1 (prf)", "lFFA", "glasser-FFC"):
        np.testing.assert_array_equal(subject.voxels.rois[name], table[name] == 1)
    np.testing.assert_array_equal(subject.voxels.rois["V2V3"], table["V2"] + table["V3"] > 0)
    np.testing.assert_array_equal(subject.voxels.rois["OPA"], table["lTOS"] + table["rTOS"] > 0)
    assert not set(subject.voxels.rois) & {"voxel_x", "nc_singletrial", "prf-rsquared", "subject_id"}
    assert not any(name.startswith("glasser-") for name in load(written).voxels.rois)


def test_voxels_are_chosen_by_region(written):
    subject = load(written, voxels="glasser-FFC")
    chosen = written.voxels["IT"].to_numpy() == 1
    np.testing.assert_allclose(subject.responses, load(written).responses[:, chosen])
    assert len(load(written, voxels="rois").voxels) == (
        written.voxels.filter(regex="^(?!glasser|voxel|subj|nc_|split|prf)").any(axis=1).sum()
    )
    with pytest.raises(UnknownNameError, match="V1"):
        load(written, voxels="v1")


def test_ceiling_is_that_of_single_trials_and_of_the_test_set(written):
    table = written.voxels
    single = load(written, trials="single").noise_ceiling
    np.testing.assert_allclose(single, table["nc_singletrial"] / 100, rtol=1e-5)
    # 12 images once and 3 twice.
    ratio = table["nc_singletrial"] / (100 - table["nc_singletrial"])
    np.testing.assert_allclose(load(written).noise_ceiling, ratio / (ratio + 13.5 / 15), rtol=1e-5)


def test_split_by_the_published_test_images(written):
    subject = load(written)
    split = split_with_test(subject.image_ids, things_test_images(written.root))
    assert set(split.test) == set(written.trials.query("trial_type == 'test'")["stimulus"])


def test_photographs_are_found_in_folders_of_concepts(written, tmp_path):
    for concept, name in written.trials[["concept", "stimulus"]].drop_duplicates().to_numpy():
        (tmp_path / "objects" / concept).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(tmp_path / "objects" / concept / name)
    subject = load(written, images=tmp_path / "objects")
    assert subject.images.ids == subject.image_ids
    assert subject.images.image(0).size == (8, 8)
    with pytest.raises(DataError, match=r"15 of 15 photographs .* \(first: concept0_00s.jpg\)"):
        load(written, images=written.root)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    voxels=st.integers(2, 40),
    concepts=st.integers(1, 4),
    images=st.integers(1, 3),
    test_images=st.integers(1, 3),
    sessions=st.integers(2, 4),
    layout=st.sampled_from(["fixed", "table"]),
)
def test_any_size(tmp_path_factory, **sizes):
    written = write_things(tmp_path_factory.mktemp("things"), **sizes)
    np.testing.assert_allclose(load(written).responses, averaged(written), rtol=1e-4, atol=1e-6)


def test_reads_blocks_of_voxels_and_never_all(written, monkeypatch):
    from factortopy.datasets.things import reader as things

    whole = load(written)
    monkeypatch.setattr(things, "BLOCK", 4 * len(written.trials) * 7)
    np.testing.assert_array_equal(load(written).responses, whole.responses)
    file = written.root / "betas_csv" / "sub-01_ResponseData.h5"
    with open_responses(file, np.arange(60), len(written.trials)) as table:
        np.testing.assert_allclose(table.read(np.array([59, 3, 3])), written.responses[[59, 3, 3]].T)


def test_a_nan_voxel_is_left_out_and_counted(tmp_path):
    written = write_things(tmp_path)
    file = tmp_path / "betas_csv" / "sub-01_ResponseData.h5"
    with h5py.File(file, "r+") as store:
        store["ResponseData/block0_values"][5, 3] = np.nan
        store["ResponseData/block0_values"][9] = 0.25
    subject = load(written, zscore="session")
    assert len(subject.voxels) == 58
    assert set(range(60)) - set(subject.voxels.vertex.tolist()) == {5, 9}
    assert subject.provenance["left_out"].startswith("2 voxels")


def truncate(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def other_trials(path):
    table = pd.read_csv(path)
    table.iloc[:-3].to_csv(path, index=False)


def drop(column):
    return lambda path: pd.read_csv(path).drop(columns=column).to_csv(path, index=False)


def setting(column, value):
    return lambda path: pd.read_csv(path).assign(**{column: value}).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("ResponseData.h5", lambda path: path.unlink(), "is missing"),
        ("ResponseData.h5", lambda path: truncate(path, 0), "cannot read"),
        ("ResponseData.h5", lambda path: truncate(path, 4000), "cannot read|announces"),
        ("VoxelMetadata.csv", lambda path: path.unlink(), "is missing"),
        ("VoxelMetadata.csv", lambda path: truncate(path, 0), "cannot read"),
        ("VoxelMetadata.csv", other_trials, r"expected \(57, 18\)"),
        ("VoxelMetadata.csv", drop("voxel_x"), "lacks the columns voxel_x"),
        ("VoxelMetadata.csv", setting("voxel_x", 1.5), "whole numbers"),
        ("VoxelMetadata.csv", setting("voxel_x", 700), "outside the volume"),
        ("VoxelMetadata.csv", setting("voxel_id", 3), "twice"),
        ("VoxelMetadata.csv", setting("nc_singletrial", 120), "0..100"),
        ("VoxelMetadata.csv", setting("nc_singletrial", "much"), "must hold numbers"),
        ("StimulusMetadata.csv", lambda path: path.unlink(), "is missing"),
        ("StimulusMetadata.csv", other_trials, r"expected \(60, 15\)"),
        ("StimulusMetadata.csv", setting("trial_type", "catch"), "trial types"),
        ("StimulusMetadata.csv", setting("session", "one"), "whole numbers"),
        ("StimulusMetadata.csv", setting("stimulus", np.nan), "without a stimulus"),
        ("StimulusMetadata.csv", setting("trial_id", 3), "each trial_id from 0 to 17 once"),
    ],
)
def test_damage_is_one_line_that_names_the_file(written, file, damage, message):
    damage(written.root / "betas_csv" / f"sub-01_{file}")
    with pytest.raises(DataError, match=message) as caught:
        load(written)
    assert "\n" not in str(caught.value)
    assert "sub-01" in str(caught.value)


def test_a_giant_announced_table_is_refused_before_memory_is_taken(written):
    file = written.root / "betas_csv" / "sub-01_ResponseData.h5"
    file.unlink()
    with h5py.File(file, "w") as store:
        store.create_dataset("ResponseData/block0_values", shape=(10**7, 18), dtype="f8", chunks=(1000, 18))
    with pytest.raises(DataError, match="announces"):
        load(written)
