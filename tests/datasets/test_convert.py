"""Conversion: the same numbers bit by bit, the same bytes wherever it was killed, damage always named."""

import json
import signal
import subprocess
import sys

import h5py
import nibabel as nib
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from nsd_fixture import write_nsd
from zarr.codecs import Crc32cCodec

from factortopy.datasets import BetaStore, betas, convert_nsd, load_betas, load_nsd, open_nsd
from factortopy.datasets import _convert as conversion
from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import ShardedStore, write_shard

SPACES = ("fsaverage", "nativesurface", "func1pt8mm")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So small that tiny data take many chunks and files, the last of which are not full."""
    monkeypatch.setattr(conversion, "CHUNK_TRIALS", 2)
    monkeypatch.setattr(conversion, "CHUNK_COLUMNS", 7)
    monkeypatch.setattr(conversion, "SHARD_CHUNKS", 2)
    monkeypatch.setattr(betas, "COLUMNS_AT_ONCE", 10)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return {space: write_nsd(tmp_path_factory.mktemp(space), 2, space=space) for space in SPACES}


def run(written, output, space="fsaverage", **options):
    return convert_nsd(written[space].root, 2, output, space=space, progress=False, **options)


def shards(path):
    files = sorted(file for file in (path / "betas").rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def stored_numbers(written, space, part):
    """The files' numbers by other libraries: (trial, column)."""
    folder = written.root / "nsddata_betas" / "ppdata" / "subj02" / space / "betas_fithrf_GLMdenoise_RR"
    prefix, blocks = {"left": "lh.", "right": "rh.", "volume": ""}[part], []
    for session in written.sessions:
        name = folder / f"{prefix}betas_session{session:02d}"
        if space == "fsaverage":
            blocks.append(np.asarray(nib.load(f"{name}.mgh").dataobj).reshape(-1, written.trials).T)
        else:
            with h5py.File(f"{name}.hdf5") as file:
                blocks.append(file["betas"][:].reshape(written.trials, -1))
    return np.concatenate(blocks)


@pytest.mark.parametrize("space", SPACES)
def test_numbers_are_those_of_the_files_bit_by_bit(written, tmp_path, space):
    store = run(written, tmp_path / "betas", space)
    group = zarr.open_group(store.path, mode="r")
    assert len(shards(store.path)) > 6
    for part in written[space].betas:
        expected = stored_numbers(written[space], space, part)
        actual = group[f"betas/{part}"][:, : expected.shape[1]]
        assert actual.dtype == expected.dtype.newbyteorder("=")
        assert actual.tobytes() == expected.astype(actual.dtype).tobytes()  # NaN too


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("voxels", "trials"), [("all", "averaged"), ("floc-bodies", "single"), ("V1v", "averaged")])
def test_subject_is_that_of_the_folder(written, tmp_path, space, voxels, trials):
    store = run(written, tmp_path / "betas", space)
    for scaling in ("session", "none"):
        options = {"voxels": voxels, "trials": trials, "zscore": scaling, "progress": False}
        expected = load_nsd(written[space].root, 2, space=space, **options)
        actual = load_betas(store.path, **options)
        for name in ("responses", "repeats"):
            np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))
        for name in ("coordinates", "bounds", "hemisphere", "vertex"):
            np.testing.assert_array_equal(getattr(actual.voxels, name), getattr(expected.voxels, name))
        np.testing.assert_array_equal(actual.noise_ceiling, expected.noise_ceiling)
        assert (actual.image_ids, actual.voxels.surface) == (expected.image_ids, expected.voxels.surface)
        assert actual.voxels.rois.keys() == expected.voxels.rois.keys()
        assert all(np.array_equal(actual.voxels.rois[name], expected.voxels.rois[name]) for name in actual.voxels.rois)
        assert actual.provenance["left_out"] == expected.provenance["left_out"]


@pytest.mark.parametrize("space", SPACES)
def test_some_voxels_and_sessions_converted(written, tmp_path, space):
    store = run(written, tmp_path / "betas", space, voxels="nsdgeneral", sessions=[1, 3])
    expected = load_nsd(written[space].root, 2, space=space, sessions=[3], progress=False)
    actual = load_betas(store, sessions=[3], progress=False)
    np.testing.assert_array_equal(actual.responses, expected.responses)
    with pytest.raises(DataError, match=r"not \[2\]"):
        load_betas(store, sessions=[2], progress=False)
    with pytest.raises(UnknownNameError, match="'EBB'; did you mean 'EBA'"):
        load_betas(store, voxels="EBB", progress=False)


def test_some_trials_of_some_voxels(written, tmp_path):
    store = run(written, tmp_path / "betas")
    columns = np.array([0, 3, 4, 17, 29])
    expected = stored_numbers(written["fsaverage"], "fsaverage", "right")[6 + 1 : 6 + 4, columns]
    np.testing.assert_array_equal(store.read(2, "right", columns, slice(1, 4)), expected)


@settings(max_examples=6, deadline=None)
@given(
    space=st.sampled_from(SPACES),
    trials=st.integers(3, 8),
    vertices=st.tuples(st.integers(12, 60), st.integers(12, 60)),
    grid=st.tuples(*[st.integers(3, 6)] * 3),
)
def test_any_size(tmp_path_factory, space, trials, vertices, grid):
    root = tmp_path_factory.mktemp("any")
    options = {"trials": trials, "vertices": vertices, "grid": grid, "sessions": (1, 2), "stimuli": False}
    written = write_nsd(root, 2, space=space, **options)
    store = convert_nsd(root, 2, root / "betas", space=space, progress=False)
    for part in written.betas:
        columns = np.arange(store.recording.parts[part])
        actual = np.concatenate([store.read(session, part, columns) for session in (1, 2)])
        np.testing.assert_array_equal(actual, stored_numbers(written, space, part))


@pytest.mark.parametrize("kill_at", ["creation", "first block", "fourth block", "before the mark", "last mark"])
@pytest.mark.parametrize("space", ["fsaverage", "func1pt8mm"])
def test_goes_on_and_ends_with_the_same_bytes(written, tmp_path, monkeypatch, kill_at, space):
    whole = run(written, tmp_path / "whole", space)
    path, real_write, real_mark = tmp_path / "betas", conversion._write, ShardedStore.mark
    calls = {"write": 0, "mark": 0}
    total = json.loads((whole.path / "completed.json").read_text())["of"]

    def die(*_arguments, **_options):
        raise KeyboardInterrupt

    def write(*which):
        *which, numbers = which
        calls["write"] += 1
        if calls["write"] == {"first block": 1, "fourth block": 4}.get(kill_at):
            real_write(*which, numbers * 0 + 7)  # what a dying run may leave
            next(file for file in (path / "betas").rglob("*") if file.is_file()).with_name("9.partial").write_bytes(
                b"half"
            )
            die()
        real_write(*which, numbers)

    def mark(store, done, of, arrays):
        calls["mark"] += 1
        if calls["mark"] == {"before the mark": 2, "last mark": total}.get(kill_at):
            die()
        real_mark(store, done, of, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(conversion, "_write", write)
        patch.setattr(ShardedStore, "mark", mark)
        if kill_at == "creation":
            patch.setattr(ShardedStore, "_create", die)
        with pytest.raises(KeyboardInterrupt):
            run(written, path, space)
    if kill_at == "creation":
        assert not path.exists()
    else:
        with pytest.raises(DataError, match=r"holds \d+ of \d+ blocks; run the conversion again"):
            BetaStore.open(path)
    run(written, path, space)
    assert shards(path) == shards(whole.path)


KILLED = """
import os, signal, sys
from factortopy.datasets import convert_nsd
from factortopy.datasets import _convert as conversion
write, seen = conversion._write, []
def dying(*arguments):
    seen.append(arguments)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments)
conversion._write = dying
convert_nsd(sys.argv[1], 2, sys.argv[2], progress=False)
"""


def test_killed_process(written, tmp_path, monkeypatch):
    monkeypatch.undo()  # the other process has blocks of the real size
    root, path = str(written["fsaverage"].root), tmp_path / "betas"
    died = subprocess.run([sys.executable, "-c", KILLED, root, str(path)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert json.loads((path / "completed.json").read_text())["blocks"] == 2
    run(written, path)
    assert shards(path) == shards(run(written, tmp_path / "whole").path)


def test_every_file_is_read_once(written, tmp_path, monkeypatch):
    recording = open_nsd(written["fsaverage"].root, 2, voxels="all")
    reads = []
    real = recording.read

    def read(session, part, columns, trials=slice(None)):
        reads.append((session, part, trials.start, trials.stop))
        return real(session, part, columns, trials)

    object.__setattr__(recording, "read", read)
    conversion.convert(recording, tmp_path / "betas", progress=False)
    wanted = [(s, part, t, t + 2) for s in (1, 2, 3) for part in ("left", "right") for t in (0, 2, 4)]
    assert reads == wanted
    conversion.convert(recording, tmp_path / "betas", progress=False)
    assert reads == wanted


@pytest.mark.filterwarnings("ignore::zarr.errors.ZarrUserWarning")
@pytest.mark.parametrize("damage", ["truncate", "remove", "flip", "attributes", "marker", "places", "other"])
def test_damage_is_named(written, tmp_path, damage):
    path = run(written, tmp_path / "betas").path
    shard = path / "betas" / "left" / "c" / "0" / "0"
    if damage == "truncate":
        shard.write_bytes(shard.read_bytes()[:-9])
    elif damage == "remove":
        shard.unlink()
    elif damage == "flip":
        content = bytearray(shard.read_bytes())
        content[20] ^= 1
        shard.write_bytes(content)
    elif damage == "attributes":
        (path / "zarr.json").write_text('{"zarr_format": 3')
    elif damage == "marker":
        (path / "completed.json").write_text("{}")
    elif damage == "places":
        (path / "voxels" / "vertex" / "zarr.json").unlink()
    else:
        path = tmp_path
    with pytest.raises(DataError, match=r"betas") as error:
        load_betas(path, progress=False)
    assert "\n" not in str(error.value)


def test_foreign_folders_are_left_alone(written, tmp_path):
    with pytest.raises(DataError, match="run the conversion first"):
        BetaStore.open(tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="no store of converted betas"):
        run(written, tmp_path)
    with pytest.raises(DataError, match="is a file"):
        run(written, tmp_path / "notes.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"voxels": "nsdgeneral"}, "other parts"),
        ({"sessions": [1]}, "other sessions"),
        ({"space": "nativesurface"}, "other"),
    ],
)
def test_stores_are_never_mixed(written, tmp_path, options, text):
    path = run(written, tmp_path / "betas").path
    before = shards(path)
    with pytest.raises(DataError, match=text):
        run(written, path, **options)
    assert shards(path) == before


def test_a_store_with_other_rois_or_another_ncsnr_is_refused(tmp_path):
    root, path = write_nsd(tmp_path, 2, space="func1pt8mm").root, tmp_path / "betas"
    given = {"space": "func1pt8mm", "progress": False}
    store = convert_nsd(root, 2, path, **given)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    labels = root / "nsddata/ppdata/subj02/func1pt8mm/roi"
    image = nib.load(labels / "prf-visualrois.nii.gz")
    nib.save(nib.Nifti1Image((np.asarray(image.dataobj) > 1).astype(np.int32), image.affine), labels / "own.nii.gz")
    ceiling = next((root / "nsddata_betas").rglob("ncsnr.nii.gz"))
    stated = ceiling.read_bytes()
    for change in ("rois", "ncsnr", "no ncsnr"):
        if change == "ncsnr":
            image = nib.load(ceiling)
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 2, image.affine), ceiling)
        elif change == "no ncsnr":
            ceiling.unlink()
        with pytest.raises(DataError, match=r"with other ROIs, or another ncsnr.*; convert to another folder") as error:
            convert_nsd(root, 2, path, **given, rois=["own"] if change == "rois" else ())
        assert "\n" not in str(error.value)
    ceiling.write_bytes(stated)
    assert convert_nsd(root, 2, path, **given).recording.voxels.kinds == store.recording.voxels.kinds
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_estimate_is_what_is_written(written, tmp_path):
    for space in SPACES:
        recording = open_nsd(written[space].root, 2, space=space, voxels="all")
        cost = conversion.estimate_conversion(recording, tmp_path / space)
        assert list(tmp_path.glob("*")) == [tmp_path / name for name in SPACES[: SPACES.index(space)]]
        assert (cost.facts["trials"], cost.facts["voxels"]) == ("18", f"{len(recording.voxels):,}")
        store = conversion.convert(recording, tmp_path / space, progress=False)
        arrays = zarr.open_group(store.path, mode="r")["betas"].arrays()
        assert cost.disk == sum(array.nbytes for _, array in arrays)
        assert 0 < cost.seconds < 100


@settings(max_examples=8, deadline=None)
@given(
    chunk=st.tuples(st.integers(1, 5), st.integers(1, 6)),
    times=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    dtype=st.sampled_from(["float32", "int16"]),
    seed=st.integers(0, 99),
)
def test_shards_are_read_by_the_zarr_library(tmp_path_factory, chunk, times, dtype, seed):
    path = tmp_path_factory.mktemp("shards")
    shard = (chunk[0] * times[0], chunk[1] * times[1])
    shape = (2 * shard[0], shard[1])
    values = np.random.default_rng(seed).integers(1, 9999, shape).astype(dtype)
    options = {"chunks": chunk, "shards": shard, "compressors": [Crc32cCodec()]}
    array = zarr.create_array(path / "zarr", shape=shape, dtype=dtype, **options)
    array[: shard[0]] = values[: shard[0]]  # one by the library, one by us: of equal size and read alike
    write_shard(path / "zarr" / "c" / "1" / "0", values[shard[0] :], chunk, shard)
    sizes = {len((path / "zarr" / "c" / row / "0").read_bytes()) for row in "01"}
    assert len(sizes) == 1
    np.testing.assert_array_equal(zarr.open_array(path / "zarr", mode="r")[:], values)


def test_full_disk(written, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("", (), {"free": 10}))
    with pytest.raises(DataError, match="GB free; choose fewer voxels"):
        run(written, tmp_path / "betas")
    assert not (tmp_path / "betas").exists()


def test_real_sizes_are_divided_well(monkeypatch):
    """Of a real subject: whole files, little beyond the voxels."""
    monkeypatch.undo()
    for voxels, by_trial in [(163_842, True), (227_021, False), (699_192, False), (37_984, True)]:
        recording = type("Recording", (), {"trials": 750, "by_trial": by_trial})
        shape = conversion.Shape.of(recording, voxels)
        assert shape.columns % shape.shard[1] == shape.shard[1] % shape.chunk[1] == 0
        assert 750 % shape.shard[0] == shape.shard[0] % shape.chunk[0] == 0
        assert 1 <= shape.columns / voxels < 1.1
