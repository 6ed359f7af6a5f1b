"""What was never stored does not read as zeros, and what is stored is found, through links and virtual datasets."""

import os

import h5py
import numpy as np
import pytest
import xarray
import zarr

from factortopy.errors import DataError
from factortopy.images import images_from_hdf5
from factortopy.storage import read_array

VALUES = np.arange(12, dtype="f4").reshape(3, 4)
BOTH = pytest.mark.parametrize("version", [2, 3])


def joined(folder, width=4, sessions=2, source="s{}.h5", **options):
    """Sessions in files of their own, and one virtual dataset of all of them."""
    layout = h5py.VirtualLayout((sessions, width), "f4")
    for session in range(sessions):
        with h5py.File(folder / f"s{session}.h5", "w") as file:
            file.create_dataset("x", data=np.full(width, session + 1, "f4"), **options)
        layout[session] = h5py.VirtualSource(source.format(session), "x", shape=(width,))
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    return folder / "all.h5"


@pytest.mark.parametrize("name", ["run1", "latest", "hard", "group/inside", "by/inside", "away", "far/inside"])
def test_links_are_followed(tmp_path, name):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run1"] = file["group/inside"] = VALUES
        file["hard"] = file["run1"]
        file["latest"], file["by"] = h5py.SoftLink("/run1"), h5py.SoftLink("/group")
        file["away"], file["far"] = h5py.ExternalLink("b.h5", "x"), h5py.ExternalLink("b.h5", "group")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = file["group/inside"] = VALUES
    np.testing.assert_array_equal(read_array(f"{tmp_path}/a.h5:{name}"), VALUES)


def test_the_only_array_is_found_through_a_link(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("b.h5", "x")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = VALUES
        file["again"] = h5py.SoftLink("/x")  # another name of the only array
    for name in "ab":
        np.testing.assert_array_equal(read_array(tmp_path / f"{name}.h5"), VALUES)


def test_links_that_lead_nowhere_are_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["soft"], file["away"] = h5py.SoftLink("/lost"), h5py.ExternalLink("lost.h5", "x")
        file["self"] = h5py.SoftLink("/self")
    for name, where in (("soft", "/lost"), ("away", r"x of lost\.h5")):
        with pytest.raises(DataError, match=rf"a\.h5:{name} is a link to {where}, which is missing"):
            read_array(f"{tmp_path}/a.h5:{name}")
    with pytest.raises(DataError, match=r"a\.h5:self"):
        read_array(f"{tmp_path}/a.h5:self")
    with pytest.raises(DataError, match=r"a\.h5"):
        read_array(tmp_path / "a.h5")


@pytest.mark.parametrize("options", [{}, {"chunks": (2,), "compression": "gzip"}])
def test_virtual_datasets_are_read(tmp_path, options):
    expected = np.repeat([[1.0], [2.0]], 4, axis=1)
    np.testing.assert_array_equal(read_array(joined(tmp_path, **options)), expected)


def test_a_large_virtual_dataset_is_not_called_truncated(tmp_path):
    found = read_array(joined(tmp_path, 9_000_000))
    assert (found.shape, found[0, -1], found[1, 0]) == ((2, 9_000_000), 1, 2)


def test_a_virtual_dataset_of_one_file(tmp_path):
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[:] = h5py.VirtualSource(".", "x", shape=(3, 4))[:2, 1:3]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES
        file.create_virtual_dataset("part", layout)
    np.testing.assert_array_equal(read_array(f"{tmp_path}/a.h5:part"), VALUES[:2, 1:3])


def lacking(folder, what):
    """A virtual dataset of which a part would read as zeros."""
    path = joined(folder)
    if what == "file":
        os.remove(folder / "s1.h5")
    elif what == "dataset":
        with h5py.File(folder / "s1.h5", "w") as file:
            file["y"] = VALUES
    elif what == "chunks":
        with h5py.File(folder / "s1.h5", "w") as file:
            file.create_dataset("x", (4,), "f4", chunks=(2,))[:2] = 1
    else:
        layout = h5py.VirtualLayout((3, 4), "f4")
        if what == "rows":
            layout[:2] = h5py.VirtualSource("s0.h5", "z", shape=(2, 4))
        else:
            layout[:] = h5py.VirtualSource("s0.h5", "z", shape=(9, 4))[6:]
        with h5py.File(folder / "s0.h5", "a") as file:
            file["z"] = np.ones((2, 4) if what == "rows" else (7, 4), "f4")
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("data", layout)
    return path


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("file", r"its source x of s1\.h5 is missing"),
        ("dataset", r"its source x of s1\.h5 is missing"),
        ("chunks", r"of its source x of s1\.h5, 1 of 2 chunks were never written"),
        ("rows", "its sources hold 8 of 12 values"),
        ("shape", r"its source z of s0\.h5 has only shape \(7, 4\)"),
    ],
)
def test_what_a_virtual_dataset_lacks_is_named(tmp_path, what, said):
    path = lacking(tmp_path, what)
    if what != "shape":  # which HDF5 may refuse by itself
        with h5py.File(path) as file:
            assert (file["data"][-1] == 0).any()
    with pytest.raises(DataError, match=said):
        read_array(path)


def test_a_virtual_dataset_of_itself_is_refused(tmp_path):
    layout = h5py.VirtualLayout((2, 2), "f4")
    layout[:] = h5py.VirtualSource("a.h5", "x", shape=(2, 2))[:, :]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    with pytest.raises(DataError, match=r"a\.h5"):
        read_array(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("options", "written", "said"),
    [
        ({"chunks": (2, 4)}, 2, "1 of 2 chunks were never written"),
        ({"chunks": (2, 4), "compression": "gzip"}, 2, "1 of 2 chunks were never written"),
        ({"chunks": (2, 4), "fillvalue": np.nan}, 2, "would read as nan"),
        ({"chunks": (2, 4)}, 0, "2 of 2 chunks were never written"),
        ({}, 0, "its values were never written"),
    ],
)
def test_hdf5_that_was_not_written_is_refused(tmp_path, options, written, said):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("x", (4, 4), "f4", **options)
        if written:
            data[:written] = 1
    with pytest.raises(DataError, match=said):
        read_array(tmp_path / "a.h5")


def test_a_chunk_that_a_damaged_index_does_not_find_is_missed(tmp_path):
    """Zeros over a part of the index, which HDF5 passes over without a word."""
    values = np.random.default_rng(0).normal(5, 1, (6, 40)).astype("f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(2, 7), compression="gzip")
    content, passed_over = (tmp_path / "a.h5").read_bytes(), 0
    for start in range(0, len(content) - 200, 32):
        (tmp_path / "a.h5").write_bytes(content[:start] + bytes(200) + content[start + 200 :])
        try:
            with h5py.File(tmp_path / "a.h5") as file:
                passed_over += bool((file["x"][()] == 0).any())
        except (OSError, KeyError, RuntimeError, ValueError):
            pass
        try:
            found = read_array(tmp_path / "a.h5")
        except DataError:
            continue
        assert (found != 0).all(), start
    assert passed_over


def test_hdf5_of_zeros_or_of_nothing_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("zeros", data=np.zeros((5, 3)), chunks=(2, 2), compression="gzip")
        file.create_dataset("none", (0, 3), "f4", chunks=(2, 2), maxshape=(None, 3))
        file["one"] = 3.5
    assert not read_array(f"{tmp_path}/a.h5:zeros").any()
    assert read_array(f"{tmp_path}/a.h5:none").shape == (0, 3)
    assert read_array(f"{tmp_path}/a.h5:one") == 3.5


def test_values_kept_in_a_file_beside_are_read_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # which is where HDF5 looks for it
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", data=VALUES, external=[("raw", 0, VALUES.nbytes)])
    np.testing.assert_array_equal(read_array("a.h5"), VALUES)
    os.truncate("raw", VALUES.nbytes // 2)
    with pytest.raises(DataError, match="raw, which holds its values, is missing or short"):
        read_array("a.h5")


@BOTH
@pytest.mark.parametrize("shards", [None, (10, 8)])
@pytest.mark.parametrize("fill", [0, np.nan, 7])
def test_a_lost_chunk_of_a_zarr_is_refused(tmp_path, version, shards, fill):
    if version == 2 and shards:
        return  # which has none
    values = np.random.default_rng(0).normal(5, 1, (20, 8)).astype("f4")
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=values, chunks=(5, 4), shards=shards, zarr_format=version, fill_value=fill)
    np.testing.assert_array_equal(read_array(path), values)
    files = [file for file in path.rglob("*") if file.is_file() and file.name[0] in "0123456789"]
    assert len(files) == (2 if shards else 8)
    files[1].unlink()
    with pytest.raises(
        DataError, match=rf"a\.zarr is not whole: 1 of {len(files)} files of chunks are missing or empty"
    ):
        read_array(path)


@BOTH
def test_zeros_that_were_written_are_read(tmp_path, version):
    with zarr.config.set({"array.write_empty_chunks": True}):
        group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
        group.create_array("deep/zeros", data=np.zeros((5, 3)), chunks=(2, 2))
        group.create_array("one", data=np.array(0.0))
    assert read_array(f"{tmp_path}/a.zarr:deep/zeros").shape == (5, 3)
    assert read_array(f"{tmp_path}/a.zarr:one") == 0


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"scale_factor": 0.01}, r"is packed \(scale_factor 0.01\)"),
        ({"add_offset": 20.0}, r"is packed \(add_offset 20.0\)"),
        ({"_FillValue": 7}, "holds 1 values that stand for missing ones"),
        ({"missing_value": 7.0}, "holds 1 values that stand for missing ones"),
        ({"scale_factor": 1.0, "add_offset": 0.0, "_FillValue": -999, "units": "percent"}, None),
    ],
)
def test_numbers_that_mean_others_by_their_attributes(tmp_path, attributes, said):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES
        file["x"].attrs.update(attributes)
    zarr.create_array(tmp_path / "a.zarr", data=VALUES, attributes=attributes)
    for path in (tmp_path / "a.h5", tmp_path / "a.zarr"):
        if said is None:
            np.testing.assert_array_equal(read_array(path), VALUES)
        else:
            with pytest.raises(DataError, match=said):
                read_array(path)


@pytest.mark.parametrize("encoding", [{}, {"x": {"dtype": "i2", "scale_factor": 0.01, "_FillValue": -9}}])
def test_what_xarray_writes_is_what_it_reads_or_refused(tmp_path, encoding):
    xarray.Dataset({"x": (("row", "column"), VALUES)}).to_zarr(tmp_path / "a.zarr", encoding=encoding)
    if encoding:
        with pytest.raises(DataError, match="is packed"):
            read_array(f"{tmp_path}/a.zarr:x")
    else:
        np.testing.assert_array_equal(read_array(f"{tmp_path}/a.zarr:x"), VALUES)


def test_images_that_were_never_written_are_not_black(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        brick = file.create_dataset("imgBrick", (6, 8, 8, 3), "u1", chunks=(2, 4, 8, 3))
        brick[:4] = 9
        brick[4:, :4] = 9  # the upper half alone
        file.create_dataset("never", (6, 8, 8, 3), "u1")
    images = images_from_hdf5(tmp_path / "a.h5")
    assert np.asarray(images.image(3)).min() == 9
    with pytest.raises(DataError, match=r"image 'nsd-00005' was never written to .*a\.h5"):
        images.image(5)
    with pytest.raises(DataError, match="is not whole: its values were never written"):
        images_from_hdf5(tmp_path / "a.h5", "never")


def test_images_of_several_files_joined(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    layout = h5py.VirtualLayout((4, 8, 8, 3), "u1")
    for number in range(2):
        with h5py.File(tmp_path / f"part{number}.h5", "w") as file:
            file["x"] = pixels[2 * number : 2 * number + 2]
        layout[2 * number : 2 * number + 2] = h5py.VirtualSource(f"part{number}.h5", "x", shape=(2, 8, 8, 3))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("imgBrick", layout)
    np.testing.assert_array_equal(np.asarray(images_from_hdf5(tmp_path / "all.h5").image(3)), pixels[3])
    (tmp_path / "part1.h5").unlink()
    with pytest.raises(DataError, match=r"its source x of part1\.h5 is missing"):
        images_from_hdf5(tmp_path / "all.h5")
