"""A subject as a folder: ``.npy`` arrays, image ids as text, the rest in TOML; nothing is pickled."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from factortopy.errors import DataError
from factortopy.storage import atomic_path, read_array
from factortopy.subjects.arrays import load_arrays
from factortopy.subjects.description import OPTIONAL, REQUIRED, described_files, read_facts
from factortopy.subjects.subject import PlantedTruth, Projection, Subject

TRUTH = (
    "space",
    "layer",
    "scale",
    "depth",
    "layer_share",
    "scale_share",
    "noise_ceiling",
    "signal",
    "channel_weights",
    "offset",
)
KINDS = ("local", "global")


def save_subject(subject: Subject, path: str | os.PathLike[str]) -> Path:
    """Write a subject to a folder, all of it or nothing.

    The folder holds ``subject.toml`` (name, surface, provenance), ``image_ids.txt`` (one a line),
    ``responses.npy``, ``coordinates.npy`` and so on, ``rois/NAME.npy``, and for a simulated subject
    ``truth/*.npy``.

    Args:
        subject: what to write.
        path: the folder; one that stands there is replaced as a whole.

    Raises:
        DataError: if it cannot be written, or an id or a ROI's name cannot stand in a file.
    """
    if any(len(name.splitlines()) != 1 for name in subject.image_ids):
        raise DataError("image ids must be single lines and not empty to be written; rename the images")
    for name in subject.rois:
        if not name or name.startswith(".") or set(name) & set("/\\:"):
            raise DataError(f"ROI name {name!r} cannot be a file's name; rename the ROI")
    with atomic_path(path, sign="subject.toml") as folder:
        folder.mkdir()
        for name in (*REQUIRED, *OPTIONAL):
            array = getattr(subject, name)
            if array is not None:
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
        (folder / "rois").mkdir()
        for name, mask in subject.rois.items():
            np.save(folder / "rois" / f"{name}.npy", mask, allow_pickle=False)
        (folder / "image_ids.txt").write_text("\n".join(subject.image_ids) + "\n", encoding="utf-8")
        facts: dict[str, Any] = {
            "name": subject.name,
            "rois": list(subject.rois),
            "provenance": subject.provenance,
        }
        if subject.surface is not None:
            facts["surface"] = subject.surface
        if subject.single_trials:
            facts["single_trials"] = True
        if subject.truth is not None:
            facts["truth"] = {"seed": subject.truth.seed, "layers": len(subject.truth.local_projections)}
            _save_truth(subject.truth, folder / "truth")
        (folder / "subject.toml").write_text(tomli_w.dumps(_without_none(facts)), encoding="utf-8")
    return Path(path)


def _save_truth(truth: PlantedTruth, folder: Path) -> None:
    folder.mkdir()
    for name in TRUTH:
        np.save(folder / f"{name}.npy", getattr(truth, name), allow_pickle=False)
    for kind in KINDS:
        for number, projection in enumerate(getattr(truth, f"{kind}_projections")):
            np.save(folder / f"{kind}_weight_{number}.npy", projection.weight, allow_pickle=False)
            np.save(folder / f"{kind}_bias_{number}.npy", projection.bias, allow_pickle=False)


def _without_none(value: Any) -> Any:
    # TOML has no null: what is unknown is left out.
    if isinstance(value, dict):
        return {str(key): _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value if item is not None]
    return value


def load_subject(path: str | os.PathLike[str]) -> Subject:
    """Read a subject's folder, as ``Subject.save`` writes it or made by hand.

    By hand, ``responses.npy``, ``coordinates.npy`` and ``image_ids.txt`` suffice; the other files of
    ``save_subject`` are read where they are. A ``subject.toml`` can name other files, of any format that
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
    truth = _load_truth(folder, facts["truth"]) if "truth" in facts else None
    return replace(subject, truth=truth, provenance=facts.get("provenance", subject.provenance))


def _load_truth(subject: Path, facts: dict[str, Any]) -> PlantedTruth:
    try:
        seed, layers = int(facts["seed"]), int(facts["layers"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{subject / 'subject.toml'}: [truth] needs whole numbers seed and layers", path=subject / "subject.toml"
        ) from error
    folder = subject / "truth"
    parts: dict[str, Any] = {name: read_array(folder / f"{name}.npy") for name in TRUTH}
    for kind in KINDS:
        parts[f"{kind}_projections"] = tuple(
            Projection(
                read_array(folder / f"{kind}_weight_{number}.npy"),
                read_array(folder / f"{kind}_bias_{number}.npy"),
            )
            for number in range(layers)
        )
    return PlantedTruth(**parts, seed=seed)
