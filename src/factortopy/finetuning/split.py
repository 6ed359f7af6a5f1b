"""So many images of each class to train on, others to validate on; no image on both sides."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from factortopy.errors import DataError
from factortopy.finetuning.labelled import LabelledImages
from factortopy.images import default_workers
from factortopy.progress import progress_bar
from factortopy.storage import sha256_array, sha256_text


@dataclass(frozen=True)
class LabelledSplit:
    """Which images train and which validate.

    Attributes:
        training: indices of images in the labelled set, as many of each class.
        validation: indices of other images.
        twins: ids of images left out of validation because their pixels are those of a training image.
        digest: SHA-256 over ids, classes and pixels of both sides.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    twins: tuple[str, ...]
    digest: str


def split_classes(
    images: LabelledImages,
    per_class: int = 50,
    validation_per_class: int = 50,
    *,
    seed: int = 0,
    progress: bool = True,
) -> LabelledSplit:
    """Draw training and validation images of each class, and decode them to find broken ones and twins.

    Args:
        images: images with a class each.
        per_class: training images of each class.
        validation_per_class: validation images of each class, at most: fewer where a class has no more.
        seed: of the draw.
        progress: show a bar.

    Raises:
        DataError: if a class has too few images, or drawn ones cannot be read (all are named).
    """
    labels = np.asarray(images.labels)
    counts = np.bincount(labels, minlength=len(images.classes))
    if counts.min() <= per_class:
        few = [f"{images.classes[index]} has {counts[index]}" for index in np.flatnonzero(counts <= per_class)]
        raise DataError(
            f"{images.images.name!r} has too few images of {len(few)} of {len(counts)} classes "
            f"({', '.join(few[:6])}{', ...' if len(few) > 6 else ''}); {per_class} to train on and at least "
            "one to validate on are needed: take fewer a class (--per-class) or leave these classes out"
        )
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in range(len(counts))]
    training = np.concatenate([order[:per_class] for order in orders])
    rest = np.concatenate([order[per_class : per_class + validation_per_class] for order in orders])
    digests = _digests(images, [*training.tolist(), *rest.tolist()], progress)
    seen = {digests[index] for index in training.tolist()}
    validation = [index for index in rest.tolist() if digests[index] not in seen]
    if not validation:
        raise DataError(f"all validation images of {images.images.name!r} are training images under other ids")
    ids = images.images.ids
    sides = [*training.tolist(), -1, *validation]
    facts = ["|" if index < 0 else f"{ids[index]} {labels[index]} {digests[index]}" for index in sides]
    return LabelledSplit(
        tuple(training.tolist()),
        tuple(validation),
        tuple(ids[index] for index in rest.tolist() if digests[index] in seen),
        sha256_text(*images.classes, *facts),
    )


def _digests(images: LabelledImages, indices: Sequence[int], progress: bool) -> dict[int, str]:
    """SHA-256 of the pixels of images, by index."""
    broken: dict[str, str] = {}

    def digest(index: int) -> str:
        try:
            return sha256_array(np.asarray(images.images.image(index)))
        except (DataError, OSError) as error:
            broken[images.images.ids[index]] = str(error)
            return ""

    digests: dict[int, str] = {}
    with (
        progress_bar("Reading images", len(indices), show=progress) as advance,
        ThreadPoolExecutor(default_workers()) as pool,
    ):
        for index, value in zip(indices, pool.map(digest, indices), strict=True):
            digests[index] = value
            advance(1)
    if broken:
        named = ", ".join(sorted(broken))
        raise DataError(
            f"{len(broken)} of the {len(indices)} images drawn from {images.images.name!r} cannot be read: "
            f"{named} (first: {broken[min(broken)]}); replace or remove them"
        )
    return digests
