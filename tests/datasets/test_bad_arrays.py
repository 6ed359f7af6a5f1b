"""Own arrays that do not fit, and heads that announce more than their file holds."""

import gzip
import resource

import h5py
import nibabel as nib
import numpy as np
import pytest
import zarr

from factortopy.errors import DataError, ShapeError
from factortopy.storage import read_array
from factortopy.subjects import load_arrays, load_subject_folder

IMAGES, VOXELS = 5, 7


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(IMAGES, VOXELS)).astype(np.float32)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("coordinates", np.zeros((VOXELS, 3)) * np.nan, r"coordinates\.npy: coordinates hold NaN"),
        ("coordinates", np.zeros((VOXELS - 1, 3)), r"coordinates\.npy: coordinates must be of shape \(7, 3\)"),
        ("noise_ceiling", np.full(VOXELS, 50.0), "divide percentages by 100"),
        ("noise_ceiling", np.full((2, VOXELS), 0.5), r"noise_ceiling\.npy: noise_ceiling must be of shape"),
        ("repeats", np.full(IMAGES, 1.5), r"repeats\.npy: repeats must be whole numbers"),
        ("repeats", np.full(IMAGES, np.nan), r"repeats\.npy: repeats hold NaN"),
        ("hemisphere", np.full(VOXELS, "lh"), r"hemisphere\.npy: hemisphere must be 'left' or 'right'"),
        ("responses", np.zeros((IMAGES, 0)), "not empty"),
        ("responses", np.full((IMAGES, VOXELS), 1e300), "NaN or infinity"),
        ("responses", np.full((IMAGES, VOXELS), 1j), "real numbers"),
    ],
)
def test_bad_parts_are_named(tmp_path, values, part, value, message):
    parts = {"responses": values, "coordinates": np.eye(VOXELS, 3), part: value}
    for name, array in parts.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "image_ids.txt").write_text("a\nb\nc\nd\ne\n")
    with pytest.raises(DataError, match=message) as caught:
        load_subject_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_hemispheres_of_other_lengths_are_named(tmp_path, values):
    np.save(tmp_path / "lh.npy", values)
    np.save(tmp_path / "rh.npy", values[1:])
    with pytest.raises(ShapeError, match=r"rh\.npy: responses must be"):
        load_arrays([tmp_path / "lh.npy", tmp_path / "rh.npy"], list("abcde"), None, surface="fsaverage5")


def giant(folder, kind):
    """Files of a few bytes that announce arrays of terabytes."""
    if kind == "npy":
        with open(folder / "a.npy", "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
            np.lib.format.write_array_header_1_0(file, header)
        return folder / "a.npy"
    if kind == "hdf5":
        with h5py.File(folder / "a.h5", "w") as file:
            file.create_dataset("a", (10**6, 10**6), "f4", chunks=(10, 10))
        return folder / "a.h5"
    if kind == "hdf5 chunk":
        with h5py.File(folder / "a.h5", "w") as file:
            file.create_dataset("a", (10, 2**28), "i1", chunks=(10, 2**28), compression="gzip")
        return folder / "a.h5"
    if kind == "zarr":
        zarr.create_array(folder / "a.zarr", shape=(10**6, 10**6), chunks=(10, 10), dtype="f4")
        return folder / "a.zarr"
    if kind == "npz":
        np.savez_compressed(folder / "a.npz", a=np.zeros(10))
        content = (folder / "a.npz").read_bytes()
        size = (np.zeros(10).nbytes + 128).to_bytes(4, "little")
        (folder / "a.npz").write_bytes(content.replace(size, (2**31).to_bytes(4, "little")))
        return folder / "a.npz"
    image = nib.MGHImage(np.zeros((4, 1, 1, 2), np.float32), np.eye(4))
    name = folder / f"a.{kind}"
    nib.save(image, name)
    content = bytearray(gzip.decompress(name.read_bytes()) if kind == "mgz" else name.read_bytes())
    content[4:8] = (10**9).to_bytes(4, "big")
    name.write_bytes(gzip.compress(bytes(content)) if kind == "mgz" else bytes(content))
    return name


@pytest.mark.parametrize("kind", ["npy", "npz", "hdf5", "hdf5 chunk", "zarr", "mgh", "mgz"])
def test_giants_are_refused_before_memory_is_taken(tmp_path, kind):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="truncated") as caught:
        read_array(giant(tmp_path, kind))
    assert str(tmp_path) in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
