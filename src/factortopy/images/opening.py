"""Images from whatever a user gives: a folder, a list of files, an HDF5 file, or names of files."""

import os
from collections.abc import Sequence
from pathlib import Path

from factortopy.errors import DataError
from factortopy.images.hdf5 import images_from_hdf5
from factortopy.images.image_set import SUFFIXES, ImageSet, images_from_folder, images_from_list, read_image

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


def images_by_name(folder: str | os.PathLike[str], ids: Sequence[str], name: str) -> ImageSet:
    """The images of some file names beneath a folder, in the order given; ids are the file names.

    Args:
        folder: where to look, subfolders too (THINGS has one a concept, BOLD5000 one a source).
        ids: file names, each once.
        name: of the set.

    Raises:
        DataError: if the folder is missing, a file is not found, or two files of one name are.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the folder of the photographs", path=folder)
    wanted = set(ids)
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.name in wanted and file.suffix.lower() in SUFFIXES:
            if file.name in files:
                raise DataError(f"{folder} has {file.name} twice ({files[file.name]}, {file}); remove one", path=folder)
            files[file.name] = file
    missing = [image for image in ids if image not in files]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ids)} photographs are not beneath {folder} (first: {missing[0]}); "
            "give the folder that holds them",
            path=folder,
        )
    return ImageSet(name, tuple(ids), lambda image: read_image(files[image]))
