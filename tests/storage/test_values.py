"""What is like an array in memory: the same numbers, or one line; nothing masked or missing becomes a number."""

import h5py
import numpy as np
import pandas
import pytest
import torch
import xarray
import zarr
from scipy import sparse

from factortopy.analysis import normalised
from factortopy.errors import DataError
from factortopy.storage import as_array, read_array, volume_coordinates
from factortopy.subjects import load_arrays, noise_ceiling_from_ncsnr

RESPONSES = np.random.default_rng(0).normal(size=(5, 4)).astype("f4").round(2)
PLACES = np.arange(12.0).reshape(4, 3)
IDS = [f"{number}.png" for number in range(5)]


def loaded(responses=RESPONSES, **parts):
    return load_arrays(responses, IDS, parts.pop("coordinates", PLACES), **parts)


def of_h5py(folder):
    file = h5py.File(folder / "a.h5", "w")
    return file.create_dataset("x", data=RESPONSES)


FORMS = {
    "lists": lambda _: RESPONSES.tolist(),
    "tuples": lambda _: tuple(map(tuple, RESPONSES.tolist())),
    "rows of lists and arrays": lambda _: [RESPONSES[0].tolist(), *RESPONSES[1:].tolist()],
    "tensor": lambda _: torch.tensor(RESPONSES),
    "tensor with a gradient": lambda _: torch.nn.Parameter(torch.tensor(RESPONSES)) * 1,
    "transposed tensor": lambda _: torch.tensor(RESPONSES.T.copy()).T,
    "negated tensor": lambda _: torch.tensor(-RESPONSES * 1j).imag.neg().neg() * -1,
    "data frame": lambda _: pandas.DataFrame(RESPONSES, index=IDS),
    "nullable data frame": lambda _: pandas.DataFrame(RESPONSES.astype(float)).convert_dtypes(),
    "xarray": lambda _: xarray.DataArray(RESPONSES, dims=("image", "voxel")),
    "h5py": of_h5py,
    "zarr": lambda folder: zarr.create_array(folder / "a.zarr", data=RESPONSES, chunks=(2, 2)),
    "zarr in memory": lambda _: zarr.create_array({}, data=RESPONSES, chunks=(2, 2)),
    "matrix": lambda _: np.asmatrix(RESPONSES),
    "masked, but nothing is": lambda _: np.ma.masked_invalid(RESPONSES),
    "Fortran order": lambda _: np.asfortranarray(RESPONSES),
    "big endian": lambda _: RESPONSES.astype(">f8"),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_that_is_like_an_array_is_taken(form, tmp_path):
    subject = loaded(FORMS[form](tmp_path))
    assert type(subject.responses) is np.ndarray
    np.testing.assert_allclose(subject.responses, RESPONSES, rtol=1e-6)


def test_half_precision_is_widened():
    half = torch.tensor(RESPONSES).to(torch.bfloat16).requires_grad_()
    found = loaded(half).responses
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, RESPONSES, rtol=2**-8)
    np.testing.assert_allclose(loaded(RESPONSES.astype("f2")).responses, RESPONSES, rtol=2**-10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tensors_on_a_gpu():
    np.testing.assert_array_equal(loaded(torch.tensor(RESPONSES, device="cuda")).responses, RESPONSES)


@pytest.mark.parametrize("kind", [list, np.array, pandas.Series, torch.tensor])
def test_parts_of_a_voxel_each(kind):
    sides = ["left", "right", "left", "left"]
    texts = kind(sides) if kind is not torch.tensor else sides
    subject = loaded(
        coordinates=kind(PLACES.tolist()) if kind is not pandas.Series else pandas.DataFrame(PLACES),
        hemisphere=texts,
        vertex=kind([3, 1, 2, 0]),
        rois={"V1": kind([True, False, True, True])},
        noise_ceiling=kind([0.1, 0.2, 0.3, 0.4]),
        repeats=kind([1, 2, 3, 1, 1]),
    )
    np.testing.assert_array_equal(subject.voxels.coordinates, PLACES)
    assert subject.voxels.hemisphere.tolist() == sides
    assert subject.voxels.vertex.tolist() == [3, 1, 2, 0]
    assert subject.voxels.rois["V1"].tolist() == [True, False, True, True]
    np.testing.assert_allclose(subject.noise_ceiling, [0.1, 0.2, 0.3, 0.4])
    assert subject.repeats.tolist() == [1, 2, 3, 1, 1]


def test_groups_in_a_list():
    subject = load_arrays(RESPONSES, IDS, groups=["a", "b", "a", "b"])
    assert subject.voxels.groups.tolist() == ["a", "b", "a", "b"]


def test_several_arrays_are_joined_along_the_voxels():
    subject = load_arrays([torch.tensor(RESPONSES[:, :3]), pandas.DataFrame(RESPONSES[:, 3:])], IDS, PLACES)
    np.testing.assert_array_equal(subject.responses, RESPONSES)


MISSING = RESPONSES.copy()
MISSING[2, 1] = np.nan
PARTS = {
    "responses": np.ma.masked_invalid(MISSING),
    "coordinates": np.ma.masked_greater(PLACES, 9),
    "noise_ceiling": np.ma.array([0.1, 0.2, 0.3, 0.4], mask=[1, 0, 0, 0]),
    "hemisphere": np.ma.array(["left"] * 4, mask=[1, 0, 0, 0]),
    "vertex": np.ma.array([0, 1, 2, 3], mask=[1, 0, 0, 0]),
    "repeats": np.ma.array([1, 2, 3, 1, 1], mask=[1, 0, 0, 0, 0]),
}


@pytest.mark.parametrize("part", PARTS)
def test_masked_values_are_refused_by_name(part):
    with pytest.raises(DataError, match=rf"{part}: \d values are masked"):
        loaded(**{part: PARTS[part]})


def test_masked_values_are_refused_wherever_they_hide():
    masked = np.ma.masked_invalid(MISSING)
    calls = [
        lambda: loaded(rois={"V1": np.ma.array([True] * 4, mask=[1, 0, 0, 0])}),
        lambda: loaded(list(masked)),
        lambda: loaded([list(masked[0:1]), [1.0, 2.0, 3.0, np.ma.masked]]),
        lambda: read_array(masked),
        lambda: noise_ceiling_from_ncsnr(np.ma.masked_less([1.0, 2.0], 1.5), (1,)),
        lambda: normalised(np.ma.masked_less([1.0, 2.0], 1.5), np.ones(2)),
        lambda: volume_coordinates(np.ma.masked_less(np.arange(6).reshape(2, 3), 1), np.eye(4)),
    ]
    for call in calls:
        with pytest.raises(DataError):
            call()


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        (MISSING, "NaN or infinity in 1 voxels"),
        (pandas.DataFrame(MISSING).convert_dtypes(), "NaN or infinity in 1 voxels"),
        (torch.tensor(MISSING), "NaN or infinity in 1 voxels"),
        (MISSING.tolist(), "NaN or infinity in 1 voxels"),
        (RESPONSES * 1j, "real numbers, got complex64"),
        (torch.tensor(RESPONSES * 1j), "real numbers, got complex64"),
        (RESPONSES.astype(object), "real numbers, got object"),
        (RESPONSES.astype(str), "real numbers, got <U"),
        ([[1.0, None], [2.0, 3.0]], "real numbers, got object"),
        (pandas.DataFrame({"a": [1.0] * 5, "b": ["x"] * 5}), "real numbers, got object"),
        ([[1.0, 2.0], [3.0]], "cannot make an array of a list"),
        (torch.tensor(RESPONSES).to_sparse(), "cannot make an array of a torch Tensor"),
        (torch.ones(5, 4, device="meta"), "cannot make an array of a torch Tensor"),
        (sparse.csr_array(RESPONSES), "responses is a scipy csr_array"),
        ({"a": 1}, "responses is a dict"),
        (None, "responses"),
        ([], "responses"),
        (3.0, "responses"),
        (RESPONSES[0], r"responses must be \(image, voxel\)"),
        (list(RESPONSES), r"responses must be \(image, voxel\)"),
    ],
)
def test_what_is_no_array_of_numbers_ends_in_one_line(responses, said):
    with pytest.raises(DataError, match=said) as caught:
        loaded(responses)
    assert "\n" not in str(caught.value)


def test_texts_that_name_files_are_files(tmp_path):
    with pytest.raises(DataError, match=r"lh\.npy is missing"):
        loaded(hemisphere=[str(tmp_path / "lh.npy"), str(tmp_path / "rh.npy")])
    with pytest.raises(DataError, match="hemisphere must be 'left' or 'right'"):
        loaded(hemisphere=["lh", "lh", "rh", "rh"])
    with pytest.raises(DataError, match=r"got <U5 of shape \(2,\)"):
        loaded(hemisphere=["left", "right"])


def test_an_array_stays_the_one_that_was_given():
    assert as_array(RESPONSES) is RESPONSES
