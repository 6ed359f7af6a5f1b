"""All data sets, and what is done with a folder of any of them: recognise, check, read."""

import os
from pathlib import Path
from typing import Any

from factortopy.datasets.algonauts import ALGONAUTS
from factortopy.datasets.betas import CONVERTED_BETAS
from factortopy.datasets.bold5000 import BOLD5000
from factortopy.datasets.data_set import DataSet, Report
from factortopy.datasets.laion import LAION
from factortopy.datasets.nsd import NSD
from factortopy.datasets.nsd_synthetic import NSD_SYNTHETIC
from factortopy.datasets.own_arrays import OWN_ARRAYS
from factortopy.datasets.stored_tokens import STORED_TOKENS
from factortopy.datasets.things import THINGS
from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet, Split, images_from_path
from factortopy.subjects import Subject

_DATA_SETS = [ALGONAUTS, STORED_TOKENS, CONVERTED_BETAS, NSD_SYNTHETIC, NSD, LAION, THINGS, BOLD5000, OWN_ARRAYS]
"""In the order in which a folder is asked."""


def register_data_set(data_set: DataSet) -> None:
    """Make a data set known, so that its folders are recognised, checked and read like all others.

    Args:
        data_set: asked before the others whether a folder is of its kind.

    Raises:
        DataError: if another one has its name.

    Example:
        >>> from factortopy.datasets import DataSet
        >>> def load(path, progress=True):
        ...     return ft.load_arrays(f"{path}/bold.npy", f"{path}/names.txt", f"{path}/xyz.npy", name="my lab")
        >>> ft.register_data_set(DataSet(name="my-lab", title="My lab", expected="bold.npy", load=load,
        ...     recognises=lambda path: (path / "bold.npy").is_file(), check=lambda path, report: None))
    """
    if data_set.name in (other.name for other in _DATA_SETS):
        raise DataError(f"a data set {data_set.name!r} is registered already; give another name")
    _DATA_SETS.insert(0, data_set)


def recognise(path: str | os.PathLike[str]) -> DataSet | None:
    """Tell a data set by the names in its folder; no file is read but small markers.

    Returns:
        None where the folder holds nothing that is known.
    """
    return next((data_set for data_set in _DATA_SETS if data_set.recognises(Path(path))), None)


def data_set_of(path: str | os.PathLike[str]) -> DataSet:
    """As ``recognise``, but an unknown folder is an error.

    Raises:
        DataError: if there is no such folder, or it holds nothing known.
    """
    if not Path(path).exists():
        raise DataError.of(path, f"is missing; give a folder of {_expected()}")
    data_set = recognise(path)
    if data_set is None:
        raise DataError.of(path, f"holds no known data set; expected {_expected()}")
    return data_set


def _expected() -> str:
    *others, last = [data_set.expected for data_set in _DATA_SETS if data_set.expected]
    return f"{', '.join(others)}, or {last}"


def load_subject(
    path: str | os.PathLike[str], *, subject: int | None = None, progress: bool = True, **options: Any
) -> Subject:
    """Read a subject from the folder of any data set, or of own arrays.

    Args:
        path: the folder of a data set or of one subject, or a ``.toml`` file that describes one.
        subject: number of the subject, where the folder holds several; the first by default.
        progress: show a bar where reading takes long.
        options: for the reader of that data set, e.g. ``vertices="nsdgeneral"`` of ``load_algonauts``.

    Raises:
        DataError: if the folder is unknown, lacks the subject, or cannot be read.

    Example:
        >>> ft.load_subject("own", progress=False).responses.shape
        (40, 8)
    """
    data_set, root = data_set_of(path), Path(path)
    if data_set.load is None:
        title = data_set.title.lower()
        raise DataError.of(root, f"holds {title}, no subject; give a folder of {_expected()}")
    if data_set.subjects is None and subject is not None:
        raise DataError.of(root, "holds one subject; leave its number out")
    number = next(iter(data_set.subject_numbers(root)), None) if subject is None else subject
    chosen = {} if number is None else {"subject": number}
    try:
        return data_set.load(root, progress=progress, **chosen, **options)
    except UnknownNameError as error:
        if options:
            raise
        # Nothing was asked for by name: a part that is always there is missing.
        raise DataError(f"{root}: {error}; the folder is incomplete or damaged", path=root) from error
    except DataError as error:
        raise error.at(root) from error.__cause__


def load_like(path: str | os.PathLike[str], fitted: dict[str, Any], *, progress: bool = True) -> Subject:
    """Read another recording of the person that a mapping was fitted to, in the same voxels, such as NSD-synthetic.

    Args:
        path: the folder.
        fitted: provenance of the subject that was fitted, which says who it was and in which space.
        progress: show a bar where reading takes long.

    Raises:
        DataError: as ``load_subject``.
    """
    options = {name: fitted[name] for name in data_set_of(path).like if name in fitted}
    # Of converted betas some may have been read.
    if "voxels" in options and fitted.get("voxels_read", "all") != "all":
        options["voxels"] = fitted["voxels_read"]
    return load_subject(path, progress=progress, **options)


def named_split(path: str | os.PathLike[str], subject: Subject, name: str, *, seed: int = 0) -> Split:
    """A published split of the data set in a folder, such as ``"tau"`` of LAION-fMRI.

    Args:
        path: the folder.
        subject: read from it.
        name: of the split.
        seed: of the validation images, where none are published.

    Raises:
        DataError: if there is no such file, and no data set's split of that name either.
    """
    data_set = data_set_of(path)
    if data_set.split is None:
        fault = f"there is no file {name}, and {data_set.title} has no published splits"
        raise DataError(f"{fault}; give a split as JSON with train, validation and test")
    return data_set.split(Path(path), subject, name, seed=seed)


def open_images(path: str | os.PathLike[str], *, array: str = "imgBrick", check: bool = True) -> ImageSet:
    """The images of a data set's folder, of any other folder, of a list, or of an HDF5 file.

    Args:
        path: the folder (without its subfolders, if it is none of a data set), a text file that names an
            image a line, or an HDF5 file.
        array: name of the array in an HDF5 file.
        check: refuse files that are no images at once.

    Raises:
        DataError: if there is nothing, there are no images, or what names them is damaged.

    Example:
        >>> images = ft.open_images("photographs")
        >>> len(images)
        40
    """
    data_set = recognise(path)
    images = data_set.images(Path(path)) if data_set is not None and data_set.images is not None else None
    return images or images_from_path(path, array=array, check=check)


def check_path(path: str | os.PathLike[str], *, progress: bool = True) -> Report:
    """Check a folder of a data set, of own arrays, or of tokens.

    Data sets are looked at in seconds; a store of tokens is read whole, as each chunk has a checksum.

    Args:
        path: the folder.
        progress: show a bar where checking takes long.

    Returns:
        Counts beside the published ones, and findings.

    Raises:
        DataError: if it holds no known data set.
    """
    data_set, root = data_set_of(path), Path(path)
    report = Report(data_set.name, data_set.title, root, published=data_set.published, progress=progress)
    with report.problems_at(root):
        data_set.check(root, report)
    return report
