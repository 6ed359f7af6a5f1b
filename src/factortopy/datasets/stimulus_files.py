"""Photographs of a data set by their names, wherever they lie beneath a folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from factortopy.errors import DataError
from factortopy.images import SUFFIXES, ImageSet, read_image


def find_images(folder: str | os.PathLike[str], ids: Sequence[str], name: str) -> ImageSet:
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
    found: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.name in wanted and file.suffix.lower() in SUFFIXES:
            if file.name in found:
                raise DataError(f"{folder} has {file.name} twice ({found[file.name]}, {file}); remove one", path=folder)
            found[file.name] = file
    missing = [image for image in ids if image not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(ids)} photographs are not beneath {folder} (first: {missing[0]}); "
            "give the folder that holds them",
            path=folder,
        )
    return ImageSet(name, tuple(ids), lambda image: read_image(found[image]))
