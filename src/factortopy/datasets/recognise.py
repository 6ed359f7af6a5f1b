"""Which data set a folder holds, told from its names, and its subject or images by the reader for it."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from factortopy.errors import DataError, UnknownNameError
from factortopy.images import ImageSet
from factortopy.subjects import Subject

Kind = Literal["algonauts", "nsd", "things", "bold5000", "arrays", "betas", "tokens"]
READABLE = (
    "Algonauts 2023 (training_split, roi_masks), NSD (nsddata_betas), THINGS-fMRI (betas_csv), BOLD5000 "
    "(CSI1_GLMbetas-*), or own arrays (responses.npy or subject.toml)"
)
MARKERS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("nsd", ("nsddata_betas", "nsddata")),
    ("things", ("sub-*_ResponseData.h5", "betas_csv/sub-*_ResponseData.h5", "betas_vol/sub-*")),
    ("bold5000", ("CSI?_GLMbetas-*", "CSI?_imgnames.txt", "*/CSI?_GLMbetas-*", "*/CSI?_imgnames.txt")),
    ("arrays", ("subject.toml", "responses.*")),
)
"""Names that tell a data set, in the order in which they are looked for."""
STORES: dict[str, Kind] = {"factortopy-tokens": "tokens", "factortopy-betas": "betas"}
SUBJECT = re.compile(r"subj(\d\d)")


@dataclass(frozen=True)
class Layout:
    """What a folder holds.

    Attributes:
        kind: which data set.
        root: the folder (or ``.toml`` file) that its reader takes.
        subject: number of the subject, where the folder is one subject's and says so.
    """

    kind: Kind
    root: Path
    subject: int | None = None


def recognise(path: str | os.PathLike[str]) -> Layout | None:
    """Tell a data set by the names in its folder; no file is read but small markers.

    Returns:
        None where the folder holds nothing that is known.
    """
    root = Path(path)
    if root.is_file():
        return Layout("arrays", root) if root.suffix == ".toml" else None
    if _is_algonauts(root):
        match = SUBJECT.fullmatch(root.resolve().name)
        return Layout("algonauts", root, int(match[1]) if match else None)
    if algonauts_subjects(root):
        return Layout("algonauts", root)
    kind = _store(root) or next((kind for kind, patterns in MARKERS if _holds(root, patterns)), None)
    return None if kind is None else Layout(kind, root)


def _store(folder: Path) -> Kind | None:
    """Whether a folder is one of our own Zarr stores, by the format that it says."""
    if not (folder / "completed.json").is_file():
        return None
    try:
        attributes = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        return STORES.get(attributes["format"].rpartition("-")[0])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def algonauts_subjects(root: Path) -> dict[int, Path]:
    """The subjects' folders in a folder of Algonauts 2023, by number."""
    found = ((SUBJECT.fullmatch(folder.name), folder) for folder in sorted(root.glob("subj??")))
    return {int(match[1]): folder for match, folder in found if match and _is_algonauts(folder)}


def _is_algonauts(folder: Path) -> bool:
    return (folder / "training_split").is_dir() or (
        (folder / "roi_masks").is_dir() and (folder / "test_split").is_dir()
    )


def _holds(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(next(folder.glob(pattern), None) is not None for pattern in patterns)


def known_layout(path: str | os.PathLike[str]) -> Layout:
    """As ``recognise``, but an unknown folder is an error.

    Raises:
        DataError: if there is no such folder, or it holds nothing known.
    """
    if not Path(path).exists():
        raise DataError(f"{path} is missing; give a folder of {READABLE}", path=path)
    layout = recognise(path)
    if layout is None:
        raise DataError(f"{path} holds no known data set; expected {READABLE}", path=path)
    return layout


def open_subject(
    path: str | os.PathLike[str], *, subject: int | None = None, progress: bool = True, **options: Any
) -> Subject:
    """Read a subject from any folder that ``recognise`` knows.

    Args:
        path: the folder of a data set or of one subject.
        subject: number of the subject, where the folder holds several; the first by default.
        progress: show a bar where reading takes long.
        options: for the reader of that data set, e.g. ``vertices="nsdgeneral"`` of ``load_algonauts``.

    Raises:
        DataError: if the folder is unknown, lacks the subject, or cannot be read.
    """
    layout = known_layout(path)
    if layout.kind == "tokens":
        raise DataError(f"{path} is a store of tokens, no subject; give a folder of {READABLE}", path=path)
    try:
        if layout.kind in ("algonauts", "arrays", "betas"):
            return _open_one(layout, subject, progress, options)
        return _open_of_several(layout, subject, progress, options)
    except UnknownNameError as error:
        if options:
            raise
        # Nothing was asked for by name: a part that is always there is missing.
        raise DataError(f"{layout.root}: {error}; the folder is incomplete or damaged", path=layout.root) from error
    except DataError as error:
        raise error.at(layout.root) from error


def _open_one(layout: Layout, subject: int | None, progress: bool, options: dict[str, Any]) -> Subject:
    if layout.kind == "algonauts":
        from factortopy.datasets.algonauts.reader import load_algonauts

        return load_algonauts(algonauts_folder(layout, subject), **options)
    if subject is not None:
        raise DataError(f"{layout.root} holds one subject; leave its number out", path=layout.root)
    if layout.kind == "arrays":
        from factortopy.subjects import load_subject_folder

        return load_subject_folder(layout.root, **options)
    from factortopy.datasets.betas.store import load_betas

    return load_betas(layout.root, progress=progress, **options)


def _open_of_several(layout: Layout, subject: int | None, progress: bool, options: dict[str, Any]) -> Subject:
    number = first_subject(layout) if subject is None else subject
    if layout.kind == "things":
        from factortopy.datasets.things.reader import load_things

        return load_things(layout.root, subject=number, progress=progress, **options)
    if layout.kind == "bold5000":
        from factortopy.datasets.bold5000.reader import load_bold5000

        return load_bold5000(layout.root, subject=number, progress=progress, **options)
    from factortopy.datasets.nsd.reader import load_nsd

    return load_nsd(layout.root, subject=number, progress=progress, **nsd_space(layout.root, number) | options)


def first_subject(layout: Layout) -> int:
    """The smallest number of a subject in the names of a data set's files; 1 where there is none."""
    patterns = {
        "nsd": ("nsddata_betas/ppdata/subj0*",),
        "things": ("sub-0?_ResponseData.h5", "betas_csv/sub-0?_ResponseData.h5"),
        "bold5000": ("CSI?_GLMbetas-*", "*/CSI?_GLMbetas-*"),
    }
    files = (file.name for pattern in patterns[layout.kind] for file in layout.root.glob(pattern))
    numbers = {int(match[1]) for name in files if (match := re.match(r"(?:subj0|sub-0|CSI)(\d)", name))}
    return min(numbers, default=1)


def nsd_space(root: Path, subject: int) -> dict[str, str]:
    """The first space and preparation of a subject's NSD betas that are there, in the usual order."""
    from factortopy.datasets.nsd.files import PREPARATIONS, SPACES

    betas = root / "nsddata_betas" / "ppdata" / f"subj{subject:02d}"
    places = ((space, preparation) for space in SPACES for preparation in PREPARATIONS)
    there = next((place for place in places if betas.joinpath(*place).is_dir()), None)
    return {} if there is None else {"space": there[0], "preparation": there[1]}


def algonauts_folder(layout: Layout, subject: int | None) -> Path:
    """The folder of one subject of Algonauts 2023.

    Raises:
        DataError: if it is not there.
    """
    if _is_algonauts(layout.root):
        if subject not in (None, layout.subject):
            raise DataError(
                f"{layout.root} is one subject's folder; give the folder above it for another", path=layout.root
            )
        return layout.root
    folders = algonauts_subjects(layout.root)
    if subject is not None and subject not in folders:
        there = ", ".join(map(str, folders))
        raise DataError(f"{layout.root} has no subject {subject}; it has {there}", path=layout.root)
    return folders[min(folders) if subject is None else subject]


def open_images(path: str | os.PathLike[str]) -> ImageSet | None:
    """The photographs of a folder that ``recognise`` knows, of all its subjects where they share a file.

    Returns:
        None where the folder is unknown, or its photographs lie elsewhere (THINGS-fMRI ships none).

    Raises:
        DataError: if the photographs, or what names them, are damaged.
    """
    layout = recognise(path)
    if layout is None:
        return None
    from factortopy.datasets import photographs

    if layout.kind == "algonauts":
        from factortopy.datasets.algonauts.reader import training_images

        return training_images(algonauts_folder(layout, None))
    if layout.kind == "nsd":
        return photographs.nsd_images(layout.root)
    if layout.kind == "bold5000":
        return photographs.bold5000_images(layout.root)
    return photographs.own_images(layout.root) if layout.kind == "arrays" else None
