"""NSD files that are missing, cut, damaged or not what they should be: one line that names the file."""

import shutil
import struct

import h5py
import nibabel as nib
import numpy as np
import pytest
from nsd_fixture import write_nsd
from scipy.io import loadmat, savemat

from factortopy.datasets import load_nsd
from factortopy.errors import DataError, FactortopyError, UnknownNameError

BETAS = "nsddata_betas/ppdata/subj01/{space}/betas_fithrf_GLMdenoise_RR"
DESIGN = "nsddata/experiments/nsd/nsd_expdesign.mat"
INFO = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
STIMULI = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
FILES = {
    "fsaverage": [
        f"{BETAS}/lh.betas_session02.mgh",
        f"{BETAS}/rh.ncsnr.mgh",
        "nsddata/freesurfer/fsaverage/label/lh.nsdgeneral.mgz",
        "nsddata/freesurfer/fsaverage/label/rh.floc-bodies.mgz",
        "nsddata/freesurfer/fsaverage/surf/lh.sphere.reg",
        DESIGN,
        INFO,
        STIMULI,
    ],
    "nativesurface": [f"{BETAS}/rh.betas_session01.hdf5"],
    "func1pt8mm": [
        f"{BETAS}/betas_session03.hdf5",
        f"{BETAS}/ncsnr.nii.gz",
        "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz",
    ],
}
CASES = [(space, name.format(space=space)) for space, names in FILES.items() for name in names]
NEEDLESS = ("nsd_stim_info_merged.csv", "nsd_stimuli.hdf5", "ncsnr.nii.gz", "betas_session03.hdf5")
"""Without them a subject is read all the same: a volume's session is then one fewer."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    roots = {space: tmp_path_factory.mktemp(space) for space in FILES}
    for space, root in roots.items():
        write_nsd(root, space=space)
    return roots


@pytest.fixture
def copy(originals, tmp_path):
    """A copy of a folder, to be damaged."""

    def make(space="fsaverage"):
        return shutil.copytree(originals[space], tmp_path / space), space

    return make


def fails(root, space, name, *texts, **options):
    """Loading fails with one line that names the file and says so much."""
    with pytest.raises(DataError) as error:
        load_nsd(root, 1, space=space, progress=False, **options)
    line = str(error.value)
    assert "\n" not in line
    for text in (name.rsplit("/", maxsplit=1)[-1], *texts):
        assert text in line
    return line


@pytest.mark.parametrize(("space", "name"), CASES)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text"])
def test_every_file(copy, space, name, damage):
    root, space = copy(space)
    file = root / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
        if file.name in NEEDLESS:
            assert load_nsd(root, 1, space=space, progress=False).voxels
            return
    else:
        half = content[: len(content) // 2]
        file.write_bytes({"empty": b"", "cut": half, "text": b"not what it should be\n" * 9}[damage])
    if name == INFO and damage == "empty":
        # A table without rows contradicts nothing.
        assert load_nsd(root, 1, space=space, progress=False).voxels
        return
    fails(root, space, name)


@pytest.mark.parametrize(("space", "name"), CASES)
def test_flipped_bytes_end_in_one_line_or_in_numbers(copy, space, name):
    root, space = copy(space)
    file, random = root / name, np.random.default_rng(5)
    content = file.read_bytes()
    for _ in range(12):
        changed = bytearray(content)
        for position in random.integers(0, min(len(content), 4096), random.integers(1, 9)):
            changed[position] = random.integers(0, 256)
        file.write_bytes(changed)
        said = failure(root, space)
        assert "\n" not in said
        assert str(root) in said or not said


def failure(root, space):
    """What is said of a folder that cannot be read; nothing if it can, which then has numbers."""
    try:
        subject = load_nsd(root, 1, space=space, progress=False)
    except FactortopyError as error:
        return str(error)
    assert np.isfinite(subject.responses).all()
    assert len(subject.voxels) == subject.responses.shape[1] > 0
    return ""


def mgh(path, values):
    nib.MGHImage(values, np.eye(4)).to_filename(path)


def test_mgh_of_another_type_shape_or_value(copy):
    root, space = copy()
    folder = root / BETAS.format(space=space)
    file = folder / "lh.betas_session02.mgh"
    right = np.asarray(nib.load(file).dataobj)
    mgh(file, np.nan_to_num(300 * right).astype(np.int16))
    fails(root, space, file.name, "int16", "expected float32")
    mgh(file, right[:-1])
    fails(root, space, file.name, "(29, 1, 1, 6)", "expected (30, 1, 1, trials)")
    mgh(file, right[..., :-1])
    fails(root, space, file.name, "5 trials", "6")
    mgh(file, np.where(np.arange(30)[:, None, None, None] == 3, np.float32(np.inf), right))
    fails(root, space, file.name, "infinite", voxels="all")
    mgh(file, np.zeros_like(right))
    fails(root, space, file.name, "no values")
    mgh(file, np.full_like(right, np.nan))
    fails(root, space, file.name, "no values")


def test_mgh_that_announces_more_than_it_holds(copy):
    root, space = copy()
    file = root / BETAS.format(space=space) / "rh.betas_session01.mgh"
    content = file.read_bytes()
    file.write_bytes(content[:16] + struct.pack(">i", 2_000_000_000) + content[20:])
    fails(root, space, file.name, "bytes")


@pytest.mark.parametrize("space", ["nativesurface", "func1pt8mm"])
def test_hdf5_of_another_type_or_shape(copy, space):
    root, space = copy(space)
    file = next((root / BETAS.format(space=space)).glob("*betas_session01.hdf5"))
    with h5py.File(file) as opened:
        right = opened["betas"][:]

    def write(values, name="betas", **options):
        with h5py.File(file, "w") as opened:
            opened.create_dataset(name, data=values, **options)

    write((right / 300).astype(np.float32))
    fails(root, space, file.name, "float32", "int16")
    write(right[..., :-1])
    fails(root, space, file.name, "axes" if space == "func1pt8mm" else str(right.shape[-1]))
    write(right, name="data")
    fails(root, space, file.name, "no dataset betas", "data")
    with h5py.File(file, "w") as opened:
        opened.create_dataset("betas", right.shape, "int16", chunks=(6, *[1] * (right.ndim - 1)))
    fails(root, space, file.name, "chunks were never written")
    with h5py.File(file, "w") as opened:
        shape = (2**30, *right.shape[1:])
        opened.create_dataset("betas", shape, "int16", chunks=(2**20, *right.shape[1:]), compression="gzip")
    fails(root, space, file.name, "announces")
    write(right.transpose(0, *range(right.ndim - 1, 0, -1)) if right.ndim > 2 else right[:, :-2])
    fails(root, space, file.name, "expected")


def test_volume_with_matlabs_axes(copy):
    root, space = copy("func1pt8mm")
    file = root / BETAS.format(space=space) / "betas_session01.hdf5"
    with h5py.File(file, "a") as opened:
        raw = opened["betas"][:].T
        del opened["betas"]
        opened["betas"] = raw
    fails(root, space, file.name, "(5, 4, 3, 6)", "expected (trials, 3, 4, 5)", "other way round")


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("masterordering", lambda x: x.astype(float) - 1, "from 0 to"),
        ("subjectim", lambda x: x - 1, "0 to 72999; expected 1 to 73000"),
        ("subjectim", lambda x: x + 1, "73001"),
        ("subjectim", lambda x: x[:, :3], "columns"),
        ("subjectim", lambda x: x[:0], "numbers"),
        ("subjectim", lambda x: x + 0.5, "no whole numbers"),
        ("masterordering", lambda x: np.where(x == 1, np.nan, x), "no whole numbers"),
        ("masterordering", lambda x: np.array([["text"]]), "expected numbers"),
        ("subjectim", None, "no subjectim"),
    ],
)
def test_design(copy, name, change, text):
    root, space = copy()
    design = {key: value for key, value in loadmat(root / DESIGN).items() if key[0] != "_"}
    if change is None:
        del design[name]
    else:
        design[name] = change(design[name].astype(float) if "order" not in name else design[name])
    savemat(root / DESIGN, design)
    fails(root, space, DESIGN, text)


def test_design_of_other_trials(copy):
    root, space = copy()
    design = {key: value for key, value in loadmat(root / DESIGN).items() if key[0] != "_"}
    design["stimpattern"][:, 0, 6] = 1
    design["masterordering"] = np.resize(design["masterordering"], (1, 28))
    savemat(root / DESIGN, design)
    fails(root, space, DESIGN, "6 trials", "7 in this session")


def test_table_that_contradicts_the_design(copy):
    root, space = copy()
    lines = (root / INFO).read_text().splitlines()
    shifted = [lines[0]]
    for line in lines[1:]:
        cells = line.split(",")
        # The crop box has commas of its own.
        where = cells.index("False") - 1
        cells[where] = str(int(cells[where]) + 1)
        shifted.append(",".join(cells))
    (root / INFO).write_text("\n".join(shifted) + "\n")
    fails(root, space, INFO, "shows nsdId")


def test_sessions(copy):
    root, space = copy()
    folder = root / BETAS.format(space=space)
    fails(root, space, "lh.betas_session07.mgh", "missing", sessions=[1, 7])
    (folder / "rh.betas_session02.mgh").unlink()
    fails(root, space, "rh.betas_session02.mgh", "missing")
    actual = load_nsd(root, 1, sessions=[1, 3], progress=False)
    assert actual.provenance["sessions"] == [1, 3]
    for session in (5, 6):
        for side in ("lh", "rh"):
            shutil.copy(folder / "lh.betas_session01.mgh", folder / f"{side}.betas_session0{session}.mgh")
    fails(root, space, DESIGN, "session 5", sessions=[1, 5])
    for file in folder.glob("*.mgh"):
        file.unlink()
    fails(root, space, "betas_fithrf_GLMdenoise_RR", "no session", "lh.betas_session01.mgh")


def test_ncsnr_below_zero(copy):
    root, space = copy()
    file = root / BETAS.format(space=space) / "lh.ncsnr.mgh"
    mgh(file, np.full((30, 1, 1), -0.1, np.float32))
    fails(root, space, file.name, "below 0")
    mgh(file, np.full((29, 1, 1), 0.1, np.float32))
    fails(root, space, file.name, "29", "expected 30")


def test_labels_of_another_surface(copy):
    root, space = copy()
    file = root / "nsddata/freesurfer/fsaverage/label/lh.nsdgeneral.mgz"
    mgh(file, np.ones((29, 1, 1), np.int32))
    fails(root, space, file.name, "29", "30")


def test_wrong_names(copy, tmp_path):
    root, _ = copy()
    with pytest.raises(UnknownNameError, match="did you mean 'fsaverage'"):
        load_nsd(root, 1, space="fsaverag")
    with pytest.raises(UnknownNameError, match="betas_fithrf"):
        load_nsd(root, 1, preparation="fithrf")
    with pytest.raises(UnknownNameError, match="'EBA'"):
        load_nsd(root, 1, voxels="EBB")
    with pytest.raises(UnknownNameError, match="'single'"):
        load_nsd(root, 1, trials="singles")
    with pytest.raises(UnknownNameError, match="'session'"):
        load_nsd(root, 1, zscore="sessions")
    with pytest.raises(DataError, match="1 to 8"):
        load_nsd(root, 9)
    with pytest.raises(DataError, match=r"subj02.*missing"):
        load_nsd(root, 2)
    with pytest.raises(DataError, match="no folder"):
        load_nsd(tmp_path / "absent", 1)


def test_memory_is_asked_for_first(copy, monkeypatch):
    import psutil

    root, _ = copy()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 100}))
    with pytest.raises(DataError, match="GB are free; choose fewer voxels"):
        load_nsd(root, 1, progress=False)
