"""A subject from its folder: arrays, image ids as text, the rest in TOML; nothing is unpickled."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from factortopy.errors import DataError
from factortopy.subjects.arrays import load_arrays
from factortopy.subjects.description import described_files, read_facts
from factortopy.subjects.subject import Subject
from factortopy.subjects.truth import PlantedTruth


def load_subject_folder(path: str | os.PathLike[str]) -> Subject:
    """Read a subject's folder, as ``Subject.save`` writes it or made by hand.

    By hand, ``responses.npy``, ``coordinates.npy`` and ``image_ids.txt`` suffice; the other files of
    ``Subject.save`` are read where they are. A ``subject.toml`` can name other files, of any format that
    ``read_array`` knows, and the folder of photographs; see ``described_files``.

    Args:
        path: the folder, or a ``.toml`` file.

    Raises:
        DataError: if a file is missing, truncated or does not fit the others.
    """
    path = Path(path)
    if not path.is_dir() and path.suffix != ".toml":
        raise DataError(
            f"{path} is no folder; give the folder of a subject (responses.npy, coordinates.npy, ...)", path=path
        )
    file = path / "subject.toml" if path.is_dir() else path
    folder = file.parent
    facts = read_facts(file, must_exist=not path.is_dir())
    parts = described_files(folder, facts)
    try:
        subject = load_arrays(**parts, surface=facts.get("surface"), name=facts.get("name", folder.resolve().name))
    except DataError as error:
        raise error.at(folder) from error
    truth = _load_truth(file, facts["truth"]) if "truth" in facts else None
    return replace(subject, truth=truth, provenance=facts.get("provenance", subject.provenance))


def _load_truth(file: Path, facts: dict[str, Any]) -> PlantedTruth:
    try:
        seed, layers = int(facts["seed"]), int(facts["layers"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: [truth] needs whole numbers seed and layers", path=file) from error
    return PlantedTruth.load(file.parent / "truth", seed=seed, layers=layers)
