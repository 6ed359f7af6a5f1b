"""The published splits of LAION-fMRI by name, from the JSON files of its package, with the hash of the file."""

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from factortopy.errors import DataError, UnknownNameError
from factortopy.images import Split, split_with_test
from factortopy.storage import read_text, reading, sha256_file
from factortopy.subjects import Subject

FOLDS = range(5)
NAMES = ("tau", "ood", *(f"{kind}_{fold}" for kind in ("cluster_k5", "random") for fold in FOLDS))
OUTSIDE = re.compile(r"shared_4rep_OOD_([a-zA-Z0-9-]+)_.+")
"""Names of images of the out-of-distribution set, which say of which type they are."""
VALIDATION = 0.1
"""Of the published training images; they have no validation images."""


def laion_split(path: str | os.PathLike[str], subject: Subject, name: str = "tau", *, seed: int = 0) -> Split:
    """A published split of LAION-fMRI for a subject.

    The files are ``{shared,sub-01,...}/NAME.json`` of ``laion_fmri/splits/data``. They are looked for in the data's
    folder (``splits``, or as in the package), then in the package laion-fmri where it is installed.

    Args:
        path: the folder of the data.
        subject: as ``load_laion`` gave it.
        name: ``"tau"``, ``"ood"``, ``"cluster_k5_0"`` to ``_4`` or ``"random_0"`` to ``_4`` among the images that the
            subject saw; of the shared images alone ``"shared/tau"`` and so on. ``"ood_shape"`` and so on test on one
            type of the out-of-distribution images.
        seed: of the tenth of the training images that stops the training.

    Returns:
        ``source`` says which file it was, with its SHA-256, and how many images of it the subject did not see in the
        sessions read. ``random_*`` have changed since they were first published: only the hash tells them apart.

    Raises:
        DataError: if the file is missing, damaged, or of another subject.
        UnknownNameError: if there is no split of that name.

    Example:
        >>> subject = ft.load_laion("laion", subject=1, voxels="V1", progress=False)
        >>> split = ft.laion_split("laion", subject, "ood")
        >>> split.source["name"], len(split.source["sha256"])
        ('ood', 64)
    """
    own = subject.name.removeprefix("laion-")
    pool, _, short = name.rpartition("/")
    pool, stem = pool or own, "ood" if short.startswith("ood_") else short
    if stem not in NAMES:
        raise UnknownNameError("split of LAION-fMRI", name, NAMES)
    if pool not in (own, "shared"):
        raise DataError(
            f"split {name!r} is of the images of {pool}; the subject is {own}: take {stem} or shared/{stem}"
        )
    file = _find(Path(path), pool, stem)
    train, test = _read(file)
    if short != stem:
        types = {image: match[1] for image in test if (match := OUTSIDE.fullmatch(image))}
        wanted = short.removeprefix("ood_")
        if wanted not in types.values():
            raise UnknownNameError("type of out-of-distribution images", wanted, sorted(set(types.values())))
        test = [image for image in test if types.get(image) == wanted]
    seen = set(subject.image_ids)
    kept = [[image for image in side if image in seen] for side in (train, test)]
    if not all(kept):
        fault = f"has {len(kept[0])} training and {len(kept[1])} test images that {own} saw in the sessions read"
        raise DataError.of(file, f"{fault}; get more sessions, or the split of this subject")
    split = split_with_test(kept[0] + kept[1], kept[1], validation=VALIDATION, seed=seed)
    source = {
        "name": short,
        "pool": pool,
        "file": file.name,
        "sha256": sha256_file(file),
        "train_not_seen": len(train) - len(kept[0]),
        "test_not_seen": len(test) - len(kept[1]),
        "validation": f"{VALIDATION:.0%} of the training images, seed {seed}",
    }
    return replace(split, source=source)


def _folders(root: Path) -> Iterator[Path]:
    yield from (root / "splits", root / "splits" / "data", root / "laion_fmri" / "splits" / "data")
    package = importlib.util.find_spec("laion_fmri")
    for folder in () if package is None else package.submodule_search_locations or ():
        yield Path(folder) / "splits" / "data"


def _find(root: Path, pool: str, name: str) -> Path:
    candidates = [folder / pool / f"{name}.json" for folder in _folders(root)]
    file = next((file for file in candidates if file.is_file()), None)
    if file is None:
        remedy = "copy laion_fmri/splits/data of the package laion-fmri there, or install it"
        raise DataError.of(candidates[0], f"is missing; {remedy}")
    return file


def _read(file: Path) -> tuple[list[str], list[str]]:
    """Training and test images of a file of one variant."""
    with reading(file, "it is no split of LAION-fMRI; get it again"):
        content: dict[str, Any] = json.loads(read_text(file))
        variants = content["variants"]
        train, test = list(variants[0]["train_ids"]), list(variants[0]["test_ids"])
        announced = content["n_train"], content["n_test"]
        named = content["name"], content["pool"]
    fault = ""
    if len(variants) != 1:
        fault = f"holds {len(variants)} variants, expected one"
    elif announced != (len(train), len(test)):
        fault = f"lists {len(train)} training and {len(test)} test images and says {announced[0]} and {announced[1]}"
    elif named != (file.stem, file.parent.name):
        fault = f"says it is {named[0]!r} of {named[1]!r}"
    elif len({*train, *test}) != len(train) + len(test) or not all(isinstance(name, str) for name in train + test):
        fault = "lists an image twice, or something else than names of images"
    if fault:
        raise DataError.of(file, f"{fault}; get it again")
    return train, test
