"""A subject from its folder: arrays, image ids as text, the rest in ``subject.toml``; nothing is unpickled."""

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from factortopy.errors import DataError, UnknownNameError
from factortopy.storage import SUFFIXES, ArraySource, check_format, read_text, reading
from factortopy.subjects.arrays import load_arrays
from factortopy.subjects.regions import FORMAT, beside, described_regions
from factortopy.subjects.subject import PARTS, PlantedTruth, Subject

STEMS = {"coordinates": ("coordinates", "coords"), "noise_ceiling": ("noise_ceiling", "ceiling")}
"""Names that a part's file goes by, where that is not the part's own name alone."""
SPHERE = "sphere"
"""Stands for coordinates where vertices of a standard surface lie on its sphere."""
TEXTS = ("name", "surface", "images", "image_ids")
TABLES = ("provenance", "truth", "rois")
FLAGS = ("single_trials", "group_mean")
"""True where rows are trials, so that image ids repeat; true where they are means over several persons."""


def load_subject_folder(path: str | os.PathLike[str]) -> Subject:
    """Read a subject's folder, as ``Subject.save`` writes it or made by hand.

    By hand, ``responses.npy``, ``image_ids.txt`` and, where known, ``coordinates.npy`` suffice; the other files of
    ``Subject.save`` are read where they are. A ``subject.toml`` can name other files, of any format that
    ``read_array`` knows, and the folder of photographs; see ``described_files``.

    Args:
        path: the folder, or a ``.toml`` file.

    Raises:
        DataError: if a file is missing, truncated or does not fit the others.
    """
    path = Path(path)
    if not path.is_dir() and path.suffix.lower() != ".toml":
        raise DataError.of(path, "is no folder; give the folder of a subject (responses.npy, coordinates.npy, ...)")
    folder, facts = read_description(path)
    parts = described_files(folder, facts)
    try:
        subject = load_arrays(**parts, surface=facts.get("surface"), name=facts.get("name", folder.resolve().name))
    except UnknownNameError as error:
        raise DataError(str(error)).at(folder / "subject.toml") from error
    except DataError as error:
        raise error.at(folder) from error
    provenance = facts.get("provenance", subject.provenance)
    if "truth" not in facts:
        return replace(subject, provenance=provenance)
    try:
        seed, layers = int(facts["truth"]["seed"]), int(facts["truth"]["layers"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("[truth] needs whole numbers seed and layers").at(folder / "subject.toml") from error
    truth = PlantedTruth.load(folder / "truth", seed=seed, layers=layers)
    return replace(subject, truth=truth, provenance=provenance)


def read_description(path: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    """The folder of a subject, and what its ``subject.toml`` says: nothing where there is none.

    Args:
        path: the folder, or a ``.toml`` file in it.

    Raises:
        DataError: if the file is no TOML, or a key has a value of the wrong kind.
        UnknownNameError: if a key is unknown.
    """
    path = Path(path)
    file = path / "subject.toml" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        return path, {}
    with reading(file, "mend it or save the subject again"):
        facts = tomllib.loads(read_text(file))
    check_format(file, facts.pop("format", None), FORMAT)
    keys = (*TEXTS, *TABLES, *PARTS, *FLAGS)
    for key, value in facts.items():
        if key not in keys:
            raise UnknownNameError(f"key of {file}", key, keys)
        _check_kind(file, key, value)
    return file.parent, facts


def _check_kind(path: Path, key: str, value: Any) -> None:
    if key in TEXTS:
        fits, wanted = isinstance(value, str), "a text"
    elif key in TABLES:
        fits, wanted = isinstance(value, dict), "a table"
    elif key in FLAGS:
        fits, wanted = isinstance(value, bool), "true or false"
    else:
        texts = isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
        fits, wanted = texts or isinstance(value, str), "a path or a list of paths"
    if not fits:
        raise DataError(f"{key} must be {wanted}, got {value!r}").at(path)


def described_files(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """The arguments of ``load_arrays`` for a subject's folder.

    A part that ``subject.toml`` does not name is looked for under its own name: ``responses.npy``,
    ``coordinates.npy`` (or ``coords.npy``), ``noise_ceiling.npy`` (or ``ceiling.npy``), ``rois/NAME.npy``, ...
    in any known format; regions in ``rois.json``, and photographs in ``images/``.

    Args:
        folder: what paths are relative to.
        facts: what ``read_description`` gave.

    Raises:
        DataError: if a part that is needed is neither named nor there, or the surface of a sphere is not.
    """
    parts: dict[str, Any] = {name: _named(folder, facts, name) for name in PARTS}
    photographs = described_images(folder, facts)
    ids = folder / facts.get("image_ids", "image_ids.txt")
    without_ids = "images" in facts and "image_ids" not in facts and not ids.exists()
    if parts["responses"] is None:
        raise DataError.of(folder / "responses.npy", f"is missing; name the file in {folder / 'subject.toml'}")
    if facts.get("coordinates") == SPHERE:
        if "surface" not in facts:
            fault = f"coordinates = {SPHERE!r} needs the surface whose vertices these are; name it, or give a file"
            raise DataError(fault).at(folder / "subject.toml")
        parts["coordinates"] = None
    elif parts["coordinates"] is None and (parts["coordinate_bounds"] is not None or "surface" in facts):
        # Without either, positions are not known, which a fit can do without.
        fault = (
            f"is missing; give it, (voxel, 3) in mm, or coordinates = {SPHERE!r} in subject.toml for vertices; where "
        )
        fault += "no places are known, name neither surface nor coordinate_bounds"
        raise DataError.of(folder / "coordinates.npy", fault)
    return parts | {
        "image_ids": None if without_ids else ids,
        "images": photographs,
        **{flag: facts.get(flag, False) for flag in FLAGS},
        "rois": described_regions(folder, facts.get("rois", {}), parts["responses"]),
    }


def described_images(folder: Path, facts: dict[str, Any]) -> Path | None:
    """The folder of photographs: that of ``subject.toml``, or ``images/`` where there is one."""
    if "images" in facts:
        return folder / str(facts["images"])
    return folder / "images" if (folder / "images").is_dir() else None


def _named(folder: Path, facts: dict[str, Any], part: str) -> ArraySource | None:
    if part in facts:
        return beside(folder, facts[part])
    stems = STEMS.get(part, (part,))
    named = (folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
    files = [file for file in named if file.exists()]
    if len(files) > 1:
        raise DataError.of(files[0], f"and {files[1].name} are both there; name one as {part} in subject.toml")
    return files[0] if files else None
