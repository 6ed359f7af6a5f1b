"""The photographs of LAION-fMRI: encoded JPEG and PNG files as rows of one HDF5 array."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from factortopy.errors import DataError
from factortopy.images import ImageSet, decode_image
from factortopy.storage import reading

ARRAY = "images"
GREY = (128, 128, 128)
"""Half of the whole range: what stands behind transparent pixels."""
REMEDY = "get it again (laion-fmri download-stimuli)"


def stimuli_file(root: Path) -> Path:
    """The encoded images."""
    return root / "stimuli" / "task-images_stimuli.h5"


def names_file(root: Path) -> Path:
    """The table that names them, row by row."""
    return root / "stimuli" / "task-images_metadata.csv"


def laion_images(path: str | os.PathLike[str], ids: Iterable[str] | None = None) -> ImageSet:
    """The photographs of LAION-fMRI; ids are the names in the table beside them, such as trials have as label.

    The files of the array are decoded one by one. Where pixels are transparent (some PNG of the out-of-distribution
    set) they are laid over mid grey, 0.5, as in the scanner.

    Args:
        path: the folder that holds ``stimuli``.
        ids: the images wanted, in this order; all by default.

    Raises:
        DataError: if a file is missing or damaged, the two do not fit each other, or an image is not among them.

    Example:
        >>> ft.laion_images("laion").image(0).mode
        'RGB'
    """
    root = Path(path)
    file, row_of = stimuli_file(root), {name: row for row, name in enumerate(_names(root))}
    chosen = tuple(row_of if ids is None else ids)
    unknown = [name for name in chosen if name not in row_of]
    if unknown:
        fault = f"does not name {len(unknown)} images that trials showed (first: {unknown[0]!r})"
        raise DataError.of(names_file(root), f"{fault}; {REMEDY}")

    def load(name: str) -> Image.Image:
        import h5py

        with reading(file, REMEDY), h5py.File(file, "r") as opened:
            content = np.asarray(opened[ARRAY][row_of[name]], dtype=np.uint8).tobytes()
        return decode_image(content, f"{name} in {file}", GREY)

    return ImageSet("LAION-fMRI", chosen, load)


def _names(root: Path) -> list[str]:
    """The name of every row of the array."""
    import h5py
    import pandas

    file, table = stimuli_file(root), names_file(root)
    with reading(table, REMEDY):
        names = pandas.read_csv(table, usecols=["image_name"], dtype=str)["image_name"].tolist()
    with reading(file, REMEDY), h5py.File(file, "r") as opened:
        rows = opened.get(ARRAY)
        if not isinstance(rows, h5py.Dataset):
            raise DataError.of(file, f"has no array {ARRAY!r}, it holds {', '.join(opened) or 'nothing'}; {REMEDY}")
        if rows.ndim != 1 or h5py.check_vlen_dtype(rows.dtype) != np.uint8:
            fault = f"holds {rows.dtype} of shape {rows.shape} in {ARRAY!r}, expected one encoded file (uint8) a row"
            raise DataError.of(file, f"{fault}; {REMEDY}")
        if len(rows) != len(names):
            fault = f"holds {len(rows)} images, {table} names {len(names)}"
            raise DataError.of(file, f"{fault}; get both of one release")
    return names
