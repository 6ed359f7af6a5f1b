"""Images from whatever a user gives: a folder, a list of files or an HDF5 file."""

import os
from pathlib import Path

from factortopy.errors import DataError
from factortopy.images.hdf5 import images_from_hdf5
from factortopy.images.image_set import ImageSet, images_from_folder, images_from_list

HDF5 = (".hdf5", ".h5")


def images_from_path(path: str | os.PathLike[str], *, array: str = "imgBrick", check: bool = True) -> ImageSet:
    """The images of a folder (without its subfolders), of a list or of an HDF5 file.

    Args:
        path: the folder, a text file that names an image a line, or an HDF5 file.
        array: name of the array in an HDF5 file.
        check: refuse files that are no images at once.

    Raises:
        DataError: if there is nothing, or no images.
    """
    path = Path(path)
    if path.is_dir():
        return images_from_folder(path, check=check)
    if not path.exists():
        raise DataError(
            f"there is nothing at {path}; give a folder of images, a list of them or an HDF5 file", path=path
        )
    return images_from_hdf5(path, array) if path.suffix.lower() in HDF5 else images_from_list(path, check=check)
