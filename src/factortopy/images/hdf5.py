"""Images of one array in an HDF5 file, such as NSD's 73,000, read one at a time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from factortopy.errors import DataError
from factortopy.images.image_set import ImageSet
from factortopy.storage import reading

PREFIX = "nsd-"
REMEDY = "get the HDF5 file again"


def images_from_hdf5(path: str | Path, dataset: str = "imgBrick", ids: Sequence[str] | None = None) -> ImageSet:
    """The images of an HDF5 array; ids are their indices from 0, as ``nsd-00013``.

    The file is opened for each image and closed again, so that several threads and processes may read.

    Args:
        path: the file, e.g. ``nsd_stimuli.hdf5``.
        dataset: name of the array, uint8 (image, height, width, 3).
        ids: the images wanted, in this order; all by default.

    Raises:
        DataError: if the file is missing, damaged, or has no such array or images.

    Example:
        >>> import h5py
        >>> with h5py.File("stimuli.hdf5", "w") as file:
        ...     _ = file.create_dataset("imgBrick", data=np.zeros((3, 16, 16, 3), np.uint8))
        >>> len(ft.images_from_hdf5("stimuli.hdf5"))
        3
    """
    file = Path(path)
    count = _count(file, dataset)
    number_of = {f"{PREFIX}{number:05d}": number for number in range(count)}
    unknown = [image_id for image_id in ids or () if image_id not in number_of]
    if unknown:
        raise DataError(
            f"{len(unknown)} images such as {unknown[0]!r} are not among the {count} of {file}, which are "
            f"{PREFIX}{0:05d} to {PREFIX}{count - 1:05d}; is it the whole file?",
            path=file,
        )

    def load(image_id: str) -> Image.Image:
        return Image.fromarray(_read(file, dataset, number_of[image_id]))

    return ImageSet(file.stem, tuple(number_of if ids is None else ids), load)


def _count(path: Path, dataset: str) -> int:
    import h5py

    with reading(path, REMEDY), h5py.File(path, "r") as file:
        brick = file.get(dataset)
        if not isinstance(brick, h5py.Dataset):
            fault = f"has no array {dataset!r}, it holds {', '.join(file) or 'nothing'}; name one"
        elif brick.dtype != np.uint8 or brick.ndim != 4 or brick.shape[3] != 3 or 0 in brick.shape:
            fault = f"is {brick.dtype} of shape {brick.shape}, expected uint8 images (image, height, width, 3)"
        # One image is read at a time: it alone must be of a size that an image can have.
        elif brick.shape[1] * brick.shape[2] > Image.MAX_IMAGE_PIXELS:
            fault = f"announces images of {brick.shape[1:3]} pixels in {dataset!r}; damaged?"
        else:
            return int(brick.shape[0])
    raise DataError(f"{path} {fault}", path=path)


def _read(path: Path, dataset: str, number: int) -> np.ndarray:
    import h5py

    with reading(path, REMEDY), h5py.File(path, "r") as file:
        return np.asarray(file[dataset][number])
