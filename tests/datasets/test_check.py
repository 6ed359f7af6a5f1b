"""Data sets are recognised; the known mistakes are each found, named, and end in exit code 2."""

import json
import shutil

import h5py
import nibabel as nib
import numpy as np
import pytest
from algonauts_fixture import write_algonauts
from bold5000_fixture import write_bold5000
from laion_fixture import write_laion
from nsd_fixture import write_nsd
from things_fixture import write_things
from typer.testing import CliRunner

from factortopy.cli import app
from factortopy.datasets import (
    DataSet,
    check_path,
    convert_nsd,
    data_set_of,
    holding,
    load_subject,
    open_images,
    recognise,
    register_data_set,
    registry,
)
from factortopy.errors import DataError
from factortopy.subjects import load_arrays

FMRI = "training_split/training_fmri/{}_training_fmri.npy"
BETAS = "nsddata_betas/ppdata/subj01/{}/betas_fithrf_GLMdenoise_RR"


def write_own(root):
    root.mkdir(parents=True)
    random = np.random.default_rng(0)
    np.save(root / "responses.npy", random.standard_normal((6, 5)).astype(np.float32))
    np.save(root / "coords.npy", random.standard_normal((5, 3)))
    (root / "image_ids.txt").write_text("a\nb\nc\nd\ne\nf\n")


WRITERS = {
    "algonauts": lambda root: write_algonauts(root, images=12, left=30, right=28, side_pixels=2),
    "nsd": lambda root: write_nsd(root, 1, space="func1pt8mm", sessions=(1, 2), planned=2, trials=12),
    "laion-fmri": write_laion,
    "things": write_things,
    "bold5000": write_bold5000,
    "arrays": write_own,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for kind, write in WRITERS.items():
        write(folder / kind / "subj01")
    return {kind: folder / kind / "subj01" for kind in WRITERS}


@pytest.fixture
def copy(folders, tmp_path):
    return lambda kind: shutil.copytree(folders[kind], tmp_path / "subj01")


def command(*words):
    return CliRunner().invoke(app, ["check", *map(str, words)], env={"COLUMNS": "80"})


@pytest.mark.parametrize("kind", WRITERS)
def test_sound_folders_are_recognised_and_have_no_problem(folders, kind):
    assert recognise(folders[kind]).name == kind
    result = command(folders[kind], "--json")
    assert result.exit_code == 0, (result.stdout, result.exception)
    reported = json.loads(result.stdout)
    assert reported["kind"] == kind
    assert reported["problems"] == 0
    assert {"subject", "what", "found", "published"} == set(reported["counts"][0])
    table = command(folders[kind])
    assert table.exit_code == 0
    assert "No problem" in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 80


@pytest.mark.parametrize("kind", WRITERS)
def test_any_of_them_opens_as_a_subject(folders, kind):
    subject = load_subject(folders[kind], progress=False)
    assert np.isfinite(subject.responses).all()


def test_the_folder_above_the_subjects(tmp_path):
    for number in (2, 5):
        write_algonauts(tmp_path / f"subj0{number}", images=4, left=9, right=8, side_pixels=1, seed=number)
    assert recognise(tmp_path).subject_numbers(tmp_path) == (2, 5)
    assert recognise(tmp_path / "subj05").subject_numbers(tmp_path / "subj05") == ()
    assert load_subject(tmp_path).name == "subj02"
    assert load_subject(tmp_path, subject=5).name == "subj05"
    with pytest.raises(DataError, match="no subject 3; it has 2, 5"):
        load_subject(tmp_path, subject=3)
    assert load_subject(tmp_path / "subj05", subject=5).name == "subj05"
    with pytest.raises(DataError, match="one subject's folder"):
        load_subject(tmp_path / "subj02", subject=5)
    counted = {count.subject for count in check_path(tmp_path).counts}
    assert counted == {"subj02", "subj05"}
    assert len(open_images(tmp_path / "subj02")) == 4


def test_the_first_subject_and_space_that_are_there(tmp_path):
    write_nsd(tmp_path / "nsd", 3, space="func1pt8mm", sessions=(1,))
    assert load_subject(tmp_path / "nsd", progress=False).name == "nsd-subj03"
    write_things(tmp_path / "things", subject=2)
    assert load_subject(tmp_path / "things", progress=False).name == "sub-02"


def test_our_own_stores_are_told_apart(tmp_path, folders):
    store = tmp_path / "betas"
    convert_nsd(folders["nsd"], 1, store, space="func1pt8mm", progress=False)
    assert recognise(store).name == "betas"
    report = check_path(store)
    assert report.problems == 0
    assert {count.what: count.found for count in report.counts}["trials"] == 24
    straight = load_subject(folders["nsd"], voxels="all", progress=False)
    np.testing.assert_array_equal(load_subject(store, progress=False).responses, straight.responses)
    shard = next(file for file in (store / "betas").rglob("*") if file.is_file() and file.suffix != ".json")
    shard.write_bytes(shard.read_bytes()[:-5])
    assert check_path(store).problems == 1
    (store / "zarr.json").write_text("{}")
    assert recognise(store) is None


def test_tokens_are_no_subject(tmp_path):
    (tmp_path / "completed.json").write_text("{}")
    (tmp_path / "zarr.json").write_text('{"attributes": {"format": "factortopy-tokens-2"}}')
    assert recognise(tmp_path).name == "tokens"
    for number in (None, 1):
        with pytest.raises(DataError, match="holds tokens of a network, no subject; give a folder of Algonauts"):
            load_subject(tmp_path, subject=number)


def test_unknown_folders(tmp_path):
    assert recognise(tmp_path) is None
    with pytest.raises(DataError, match="no images in"):
        open_images(tmp_path)
    result = command(tmp_path)
    assert result.exit_code == 2
    assert "holds no known data set" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert command(tmp_path / "nowhere").exit_code == 2
    with pytest.raises(DataError, match="expected Algonauts 2023"):
        load_subject(tmp_path)


def test_published_numbers_add_up():
    """Of the challenge's own description: 39,548 vertices, fewer in subjects 6 and 8; 10,000 images."""
    counts = registry.ALGONAUTS.published.values()
    published = {what: np.array([count[what] for count in counts]) for what in next(iter(counts))}
    both = published["left vertices"] + published["right vertices"]
    assert both.tolist() == [39_548] * 5 + [39_198, 39_548, 39_511]
    images = published["training images"] + published["test images"]
    assert images[[0, 1, 4, 6]].tolist() == [10_000] * 4


def test_a_new_data_set_is_one_object(tmp_path, monkeypatch):
    """Recognised, checked and read by the same functions and commands as those that are there."""
    monkeypatch.setattr(registry, "_DATA_SETS", list(registry._DATA_SETS))
    write_own(tmp_path / "toy")
    (tmp_path / "toy" / "toy.txt").write_text("one")
    (tmp_path / "toy.toml").write_text("[one]\nvoxels = 7\n")

    def load(path, *, subject, progress=True, voxels=5):
        assert (subject, progress) == (4, False)
        arrays = np.load(path / "responses.npy"), np.load(path / "coords.npy")
        return load_arrays(arrays[0][:, :voxels], path / "image_ids.txt", arrays[1][:voxels], name="one")

    def check(path, report):
        report.count("one", {"voxels": np.load(path / "responses.npy").shape[1]})
        raise DataError(f"{path / 'toy.txt'} is no good; get it again", path=path / "toy.txt")

    toy = DataSet(
        name="toy",
        title="Toy",
        expected="Toy (toy.txt)",
        recognises=holding("toy.txt"),
        subjects=lambda path: (4, 9),
        load=load,
        check=check,
        counts_file=tmp_path / "toy.toml",
    )
    register_data_set(toy)
    assert data_set_of(tmp_path / "toy") is toy
    assert load_subject(tmp_path / "toy", progress=False, voxels=3).responses.shape == (6, 3)
    reported = command(tmp_path / "toy")
    assert reported.exit_code == 2
    assert "Toy: " in reported.stdout
    assert "5 of 7" in reported.stdout
    assert "is no good; get it again" in reported.stdout
    with pytest.raises(DataError, match=r"Toy \(toy.txt\)"):
        load_subject(tmp_path)
    with pytest.raises(DataError, match="registered already"):
        register_data_set(toy)


def problems(root):
    report = check_path(root)
    result = command(root)
    assert result.exit_code == (2 if report.problems else 0)
    return {
        str(finding.file.relative_to(root)): finding.message
        for finding in report.findings
        if finding.level == "problem"
    }


def save(path, change):
    np.save(path, change(np.load(path)))


ALGONAUTS = {
    "truncated": (
        lambda r: (r / FMRI.format("rh")).write_bytes((r / FMRI.format("rh")).read_bytes()[:-1000]),
        FMRI.format("rh"),
        "truncated",
    ),
    "divided by 300": (
        lambda r: save(r / FMRI.format("lh"), lambda a: a / 300),
        FMRI.format("lh"),
        "not the z-scored",
    ),
    "NaN": (
        lambda r: save(r / FMRI.format("lh"), lambda a: np.where(np.arange(30) == 4, np.float32(np.nan), a)),
        FMRI.format("lh"),
        "NaN or infinity in 1 of 30 vertices",
    ),
    "an image too few": (
        lambda r: next((r / "training_split/training_images").glob("train-0012*")).unlink(),
        FMRI.format("lh"),
        "12 rows of responses but 11 training images",
    ),
    "a test image among the training images": (
        lambda r: shutil.copy(
            next((r / "training_split/training_images").glob("train-0001*")),
            r / "test_split/test_images" / ("test-0003" + next(
                (r / "training_split/training_images").glob("train-0001*")
            ).name[10:]),
        ),
        "test_split/test_images",
        "training image too",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ALGONAUTS)
def test_faults_of_algonauts(copy, fault):
    root = copy("algonauts")
    damage, file, message = ALGONAUTS[fault]
    damage(root)
    reported = problems(root)
    assert message in reported[file], reported


def scale_hdf5(root, factor, dtype=None):
    for path in (root / BETAS.format("func1pt8mm")).glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            betas = file["betas"][()]
            del file["betas"]
            file["betas"] = np.clip(betas * factor, -32768, 32767).astype(dtype or betas.dtype)


def test_hidden_files_beside_images_are_not_counted(copy):
    root = copy("algonauts")
    images = root / "training_split/training_images"
    for name in sorted(file.name for file in images.iterdir())[:2]:
        (images / f"._{name}").write_bytes(b"\0\5\x16\7")
    assert problems(root) == {}
    assert ("training images", 12) in [(count.what, count.found) for count in check_path(root).counts]


def test_faults_of_nsd_volumes(copy):
    root = copy("nsd")
    file = BETAS.format("func1pt8mm") + "/betas_session01.hdf5"
    scale_hdf5(root, 1 / 300)
    assert "divided by 300 by mistake?" in problems(root)[file]
    scale_hdf5(root, 1, dtype=np.float32)
    assert "expected int16" in problems(root)[file]
    content = (root / file).read_bytes()
    (root / file).write_bytes(content[: len(content) // 2])
    assert file in problems(root)


@pytest.mark.parametrize(("factor", "message"), [(1 / 300, "divided by 300 by mistake"), (300, "not divided")])
def test_scale_of_nsd_on_fsaverage(tmp_path, monkeypatch, factor, message):
    write_nsd(tmp_path, 1, space="fsaverage", sessions=(1,), planned=1, trials=12, vertices=(30, 30))
    root = tmp_path
    assert problems(root) == {}
    for path in (root / BETAS.format("fsaverage")).glob("*.mgh"):
        if "betas" in path.name:
            image = nib.load(path)
            nib.save(nib.MGHImage(image.get_fdata(dtype=np.float32) * np.float32(factor), np.eye(4)), path)
    assert message in problems(root)[BETAS.format("fsaverage") + "/lh.betas_session01.mgh"]


def test_sessions_and_ids_of_nsd(copy):
    root = copy("nsd")
    notes = [finding.message for finding in check_path(root).findings if finding.level == "note"]
    assert any("38 sessions are missing (3, 4, 5" in note for note in notes)
    from scipy.io import loadmat, savemat

    path = root / "nsddata/experiments/nsd/nsd_expdesign.mat"
    design = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    savemat(path, design | {"subjectim": design["subjectim"] - 1})
    reported = problems(root)
    assert "counts from 1" in reported["nsddata/experiments/nsd/nsd_expdesign.mat"]


def test_faults_of_things(copy):
    root = copy("things")
    table = root / "betas_csv/sub-01_StimulusMetadata.csv"
    whole = table.read_text()
    table.write_text("\n".join(whole.splitlines()[:5] + whole.splitlines()[6:]) + "\n")
    assert "each trial_id" in problems(root)["betas_csv/sub-01_StimulusMetadata.csv"]
    table.write_text(whole)
    table.write_text("\n".join(table.read_text().splitlines()[:-3]) + "\n")
    assert "betas_csv/sub-01_ResponseData.h5" in problems(root)
    table.unlink()
    assert "missing" in problems(root)["betas_csv/sub-01_StimulusMetadata.csv"]


def test_faults_of_bold5000(copy):
    root = copy("bold5000")
    first = next(root.glob("*_ses-01.nii.gz"))
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    assert "truncated" in problems(root)[first.name]
    first.unlink()
    assert "sessions 1, 3" in next(iter(problems(root).values()))


def test_faults_of_own_arrays(copy):
    root = copy("arrays")
    save(root / "coords.npy", lambda a: a[1:])
    reported = problems(root)
    assert any("coordinates must be of shape (5, 3)" in message for message in reported.values())
