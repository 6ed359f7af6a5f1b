"""Images in one HDF5 array: the right pixels, from many threads, and one line about a wrong file."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from factortopy.errors import DataError
from factortopy.images import images_from_hdf5

COUNT = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 9, 7, 3), dtype=np.uint8)


@pytest.fixture
def brick(tmp_path):
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file.create_dataset("imgBrick", data=PIXELS, chunks=(1, 9, 7, 3))
    return tmp_path / "stimuli.hdf5"


def test_all_images(brick):
    images = images_from_hdf5(brick)
    assert (images.name, len(images), images.ids[10]) == ("stimuli", COUNT, "nsd-00010")
    for index in range(COUNT):
        np.testing.assert_array_equal(np.asarray(images.image(index)), PIXELS[index])


def test_some_in_their_own_order(brick):
    images = images_from_hdf5(brick, ids=["nsd-00007", "nsd-00000"])
    assert images.ids == ("nsd-00007", "nsd-00000")
    np.testing.assert_array_equal(np.asarray(images.image(0)), PIXELS[7])
    np.testing.assert_array_equal(np.asarray(images.subset(["nsd-00000"]).image(0)), PIXELS[0])


def test_many_threads(brick):
    images = images_from_hdf5(brick)
    wanted = np.random.default_rng(1).integers(0, COUNT, 200)
    with ThreadPoolExecutor(8) as pool:
        actual = list(pool.map(lambda index: np.asarray(images.image(index)), wanted.tolist()))
    np.testing.assert_array_equal(actual, PIXELS[wanted])


def test_one_image_is_read_at_a_time(tmp_path):
    """The array is larger than any memory; only one image of it is written."""
    with h5py.File(tmp_path / "big.hdf5", "w") as file:
        brick = file.create_dataset("imgBrick", (73_000, 425, 425, 3), "uint8", chunks=(1, 425, 425, 3))
        brick[72_999] = 7
    images = images_from_hdf5(tmp_path / "big.hdf5", ids=["nsd-72999"])
    assert np.asarray(images.image(0)).mean() == 7


@pytest.mark.parametrize("ids", [["nsd-00012"], ["nsd-3"], ["other"], ["nsd-00001", "nsd--0001"]])
def test_unknown_ids(brick, ids):
    with pytest.raises(DataError, match=r"not among the 12 of .*stimuli.hdf5"):
        images_from_hdf5(brick, ids=ids)


@pytest.mark.parametrize(
    "values", [PIXELS.astype(np.float32), PIXELS[..., 0], PIXELS[..., :2], PIXELS[:0], np.zeros(5, np.uint8)]
)
def test_no_images(tmp_path, values):
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["imgBrick"] = values
    with pytest.raises(DataError, match=r"other.hdf5 is .* expected uint8 images"):
        images_from_hdf5(tmp_path / "other.hdf5")


def test_broken_files(brick, tmp_path):
    with pytest.raises(DataError, match="no array 'images', it holds imgBrick"):
        images_from_hdf5(brick, "images")
    with pytest.raises(DataError, match=r"absent.hdf5 is missing"):
        images_from_hdf5(tmp_path / "absent.hdf5")
    brick.write_bytes(brick.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot read") as error:
        images_from_hdf5(brick)
    assert "\n" not in str(error.value)


def test_image_lost_after_the_start(brick):
    images = images_from_hdf5(brick)
    brick.unlink()
    with pytest.raises(DataError, match="is missing"):
        images.image(0)
