"""Images from whatever a user gives: a folder, a list of files, an HDF5 file, or names of files."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from factortopy.errors import DataError
from factortopy.images.image_set import ImageSet
from factortopy.images.pictures import Picture, picture_head, read_picture
from factortopy.storage import missing_part, read_text, reading, row_is_stored

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
HDF5 = (".hdf5", ".h5")
PREFIX = "nsd-"
REMEDY = "get the HDF5 file again"


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
        fault = f"there is nothing at {path}; give a folder of images, a list of them or an HDF5 file"
        raise DataError(fault, path=path)
    return images_from_hdf5(path, array) if path.suffix.lower() in HDF5 else images_from_list(path, check=check)


def images_from_folder(path: str | Path, *, check: bool = True) -> ImageSet:
    """The images of a folder (not of its subfolders), sorted by file name; ids are the file names.

    Args:
        path: the folder.
        check: refuse files that are no pictures by their headers at once, before long work starts.

    Raises:
        DataError: if the folder does not exist, has no images, or files are no images; all are named.

    Example:
        >>> images = ft.images_from_folder("photographs")
        >>> images.image(0).mode
        'RGB'
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError.of(folder, "is not a folder; give a folder of images")
    files = (file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    names = sorted(file.name for file in files if not file.name.startswith("."))
    if not names:
        raise DataError(f"no images in {folder}; expected files ending in {', '.join(SUFFIXES)}", path=folder)
    # Line breaks, or bytes that are no UTF-8, which Python keeps as lone surrogates.
    odd = [name for name in names if len(name.splitlines()) != 1 or any("\ud800" <= sign <= "\udfff" for sign in name)]
    if odd:
        raise DataError(
            f"{len(odd)} names in {folder} cannot be written as text (first: {odd[0]!a}); rename", path=folder
        )
    transparent = _look_at_heads({name: folder / name for name in names}, folder, check)
    return ImageSet(
        folder.resolve().name, tuple(names), lambda name: read_picture(folder / name), transparent=transparent
    )


def images_from_list(path: str | Path, *, check: bool = True) -> ImageSet:
    """The images that a text file names, one a line and in this order; ids are the lines.

    Paths that are not absolute start at the file's own folder. Empty lines are skipped.

    Args:
        path: the text file, UTF-8.
        check: refuse files that are no pictures by their headers at once.

    Raises:
        DataError: if the file cannot be read, names nothing or a line twice, or images are missing or broken.

    Example:
        >>> from pathlib import Path
        >>> names = sorted(path.name for path in Path("photographs").iterdir())
        >>> _ = Path("some.txt").write_text("\\n".join(f"photographs/{name}" for name in names[:3]))
        >>> len(ft.images_from_list("some.txt"))
        3
    """
    file = Path(path)
    with reading(file, "give a list of images as a text file, UTF-8, one path a line"):
        lines = [line.strip() for line in read_text(file).splitlines()]
    ids = tuple(line for line in lines if line)
    if not ids:
        raise DataError.of(file, "names no images; write the path of one image a line")
    transparent = _look_at_heads({line: file.parent / line for line in ids}, file, check)
    return ImageSet(file.stem, ids, lambda line: read_picture(file.parent / line), transparent=transparent)


def _look_at_heads(files: dict[str, Path], source: Path, check: bool) -> frozenset[str]:
    """The pictures that may have transparent parts; with ``check``, files that are no pictures are refused."""
    heads = {name: picture_head(file) for name, file in files.items()}
    broken = {name: head.fault for name, head in heads.items() if head.fault is not None}
    if broken and check:
        named = ", ".join(f"{name} ({fault})" for name, fault in broken.items())
        fault = f"{len(broken)} of {len(files)} images in {source} cannot be read: {named}; replace or remove them"
        raise DataError(fault, path=source)
    return frozenset(name for name, head in heads.items() if head.transparent)


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
        raise DataError.of(folder, "is no folder; give the folder of the photographs")
    wanted = set(ids)
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.name in wanted and file.suffix.lower() in SUFFIXES:
            if file.name in files:
                raise DataError.of(folder, f"has {file.name} twice ({files[file.name]}, {file}); remove one")
            files[file.name] = file
    missing = [image for image in ids if image not in files]
    if missing:
        fault = f"{len(missing)} of {len(ids)} photographs are not beneath {folder} (first: {missing[0]})"
        raise DataError(f"{fault}; give the folder that holds them", path=folder)
    return ImageSet(name, tuple(ids), lambda image: read_picture(files[image]))


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
    count, whole = _count(file, dataset)
    number_of = {f"{PREFIX}{number:05d}": number for number in range(count)}
    unknown = [image_id for image_id in ids or () if image_id not in number_of]
    if unknown:
        fault = f"{len(unknown)} images such as {unknown[0]!r} are not among the {count} of {file}"
        names = f"{PREFIX}{0:05d} to {PREFIX}{count - 1:05d}"
        raise DataError(f"{fault}, which are {names}; is it the whole file?", path=file)

    def load(image_id: str) -> Picture:
        import h5py

        with reading(file, REMEDY), h5py.File(file, "r") as opened:
            array, number = opened[dataset], number_of[image_id]
            if not whole and not row_is_stored(array, number):
                raise DataError(f"image {image_id!r} was never written to {file}: it would be black", path=file)
            return np.asarray(array[number])

    return ImageSet(file.stem, tuple(number_of if ids is None else ids), load)


def _count(path: Path, dataset: str) -> tuple[int, bool]:
    """How many images an array has, which must be one of images, and whether all of them are stored."""
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
            missing = missing_part(brick)
            if missing is None or brick.chunks:
                return int(brick.shape[0]), missing is None
            fault = f"is not whole: {missing}; {REMEDY}"
    raise DataError.of(path, fault)
