"""Training, validation and test images that never overlap: by image, or by scene where views share one."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from factortopy.errors import DataError, ShapeError
from factortopy.storage import read_text, reading, sha256_text

SIDES = ("train", "validation", "test")
FEWEST_TEST_IMAGES = 10
"""Distinct test images from which on limits are given. Nominal 95 % limits of a voxel's R^2 hold the truth in at least
87 % of cases with 10 images, 79 % with 5, 52 % with 3 and never with 2 (``benchmarks/few_images.py``)."""
AUTHORS_IMAGES, AUTHORS_TRAINING = 9_841, 9_000


@dataclass(frozen=True)
class Split:
    """Image ids on three sides; no id stands on two.

    Attributes:
        train, validation, test: image ids.
        tests_validation: whether the test images are the validation images, as no others are left
            (:func:`split_as_authors`): scores are then of images that chose when to stop.
        source: where a published split comes from (its name, the hash of its file); empty for others.

    Example:
        >>> split = ft.Split(train=("a", "b", "c"), validation=("d",), test=("e",))
        >>> split.to_dict()["test"]
        ['e']
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    tests_validation: bool = field(default=False, kw_only=True)
    source: dict[str, Any] = field(default_factory=dict, compare=False, kw_only=True)

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for side in SIDES[:2] if self.tests_validation and self.test == self.validation else SIDES:
            for name in getattr(self, side):
                if name in seen:
                    fault = f"image {name!r} stands on {seen[name]} and again on {side} of the split"
                    raise DataError(f"{fault}; each image may stand on one side, once")
                seen[name] = side

    @property
    def digest(self) -> str:
        """SHA-256 of the sides with their ids, whatever their order."""
        return sha256_text(*(text for side in SIDES for text in (f"<{side}>", *sorted(getattr(self, side)))))

    def to_dict(self) -> dict[str, list[str]]:
        """The sides as lists, ready for JSON or TOML."""
        return {side: list(getattr(self, side)) for side in SIDES}

    @classmethod
    def from_dict(cls, sides: dict[str, Any]) -> "Split":
        """The split that ``to_dict`` gave.

        Raises:
            DataError: if a side is missing, another is there, or a side is no list of ids, or an image stands on two
                sides, other than where all test images are the validation images (``tests_validation``).
        """
        if set(sides) != set(SIDES):
            raise DataError(f"a split has the sides {', '.join(SIDES)}; got {', '.join(sides) or 'none'}")
        for side, ids in sides.items():
            if isinstance(ids, str) or not all(isinstance(name, str) for name in ids):
                raise DataError(f"side {side!r} of a split must be a list of image ids (texts)")
        train, validation, test = (tuple(sides[side]) for side in SIDES)
        return cls(train, validation, test, tests_validation=bool(test) and test == validation)


def split_images(
    ids: Sequence[str],
    groups: Sequence[str] | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> Split:
    """Split images at random; images of one group (scene, cluster) stay on one side.

    Groups are taken in random order, large ones first, each to the side that lacks most images.

    Args:
        ids: image ids, unique.
        groups: group of each image; None lets each image stand for itself.
        fractions: of train, validation and test; positive, sum 1.
        seed: seed of the random order.

    Raises:
        DataError: for duplicate ids, wrong fractions, or too few images or groups.

    Example:
        >>> split = ft.split_images([f"image-{number}" for number in range(100)], seed=0)
        >>> len(split.train), len(split.validation), len(split.test)
        (80, 10, 10)
    """
    if len(fractions) != len(SIDES) or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        fault = f"fractions must be three positive numbers that sum to 1, got {fractions}"
        raise DataError(f"{fault}; e.g. (0.8, 0.1, 0.1)")
    ids, groups = _checked_ids(ids, groups)
    if len(set(groups)) < len(SIDES):
        fault = f"{len(ids)} images in {len(set(groups))} groups cannot stand on three sides"
        raise DataError(f"{fault}; give at least three images or groups")
    return Split(*_deal(ids, groups, np.array(fractions), seed))


def split_with_test(
    ids: Sequence[str], test: Iterable[str], groups: Sequence[str] | None = None, validation: float = 0.1, seed: int = 0
) -> Split:
    """Split with given test images, such as NSD's shared ones; the rest is dealt to training and validation.

    Args:
        ids: image ids, unique.
        test: ids of the test images, all among ``ids``. NSD has 1,000 shared images, of which 515 were seen
            three times by all eight subjects.
        groups: group of each image; an image of a test image's group stands on no side.
        validation: share of the rest that stops the training, between 0 and 1.
        seed: seed of the random order.

    Raises:
        DataError: if a test image is unknown, none is given, or too few images are left.

    Example:
        >>> split = ft.split_with_test(["a", "b", "c", "d", "e"], test=["e"], validation=0.25)
        >>> split.test, len(split.validation)
        (('e',), 1)
    """
    ids, groups = _checked_ids(ids, groups)
    test_ids = set(map(str, test))
    unknown = test_ids - set(ids)
    if unknown or not test_ids:
        first = f" (first: {min(unknown)!r})" if unknown else ""
        fault = f"{len(unknown) or 'no'} of {len(test_ids)} test images are not among the {len(ids)} images{first}"
        raise DataError(f"{fault}; give test images that the subject saw")
    seen = {group for name, group in zip(ids, groups, strict=True) if name in test_ids}
    rest = [(name, group) for name, group in zip(ids, groups, strict=True) if group not in seen]
    if len({group for _, group in rest}) < 2 or not 0 < validation < 1:
        fault = f"{len(rest)} images beside the test images cannot be split with validation={validation}"
        raise DataError(f"{fault}; give two images or groups more, and a share between 0 and 1")
    fractions = np.array([1 - validation, validation])
    train, stop = _deal([name for name, _ in rest], [group for _, group in rest], fractions, seed)
    return Split(train, stop, tuple(name for name in ids if name in test_ids))


def split_as_authors(ids: Sequence[str], seed: int = 0) -> Split:
    """The split of the paper's authors' program: of 9,841 images 9,000 at random train, the rest are validation images.

    They are all that is left to score on: scores are of images that choose when training stops, and so a little too
    good. Scenes are not kept whole. Other numbers of images are divided in the same proportion.

    Args:
        ids: image ids, unique.
        seed: of the random choice; the authors' own is not known.

    Raises:
        DataError: for duplicate ids, or too few images.

    Example:
        >>> split = ft.split_as_authors([f"image-{number}" for number in range(9841)])
        >>> len(split.train), len(split.validation), split.tests_validation
        (9000, 841, True)
    """
    ids, _ = _checked_ids(ids)
    count = round(len(ids) * AUTHORS_TRAINING / AUTHORS_IMAGES)
    if not 0 < count < len(ids):
        raise DataError(f"{len(ids)} images cannot be split as the authors did; give 6 or more")
    drawn = np.random.default_rng(seed).permutation(len(ids)) < count
    train, rest = (tuple(name for name, yes in zip(ids, drawn, strict=True) if yes == side) for side in (True, False))
    return Split(train, rest, rest, tests_validation=True)


def split_folds(
    ids: Sequence[str], folds: int = 5, groups: Sequence[str] | None = None, validation: float = 0.1, seed: int = 0
) -> tuple[Split, ...]:
    """Split in folds, so that each image stands on the test side of one: for few images, where one test side is small.

    Args:
        ids: image ids, unique.
        folds: how many, 2 or more.
        groups: group of each image, which stays on one side; None lets each image stand for itself.
        validation: share of the other folds' images that stops the training, between 0 and 1.
        seed: seed of the random order; the same one gives folds that belong together.

    Raises:
        DataError: for duplicate ids, or too few images or groups.

    Example:
        >>> folds = ft.split_folds(["a", "b", "c", "d", "e", "f"], folds=3)
        >>> sorted(name for fold in folds for name in fold.test)
        ['a', 'b', 'c', 'd', 'e', 'f']
    """
    ids, groups = _checked_ids(ids, groups)
    if not 2 <= folds <= len(set(groups)):
        fault = f"{len(ids)} images in {len(set(groups))} groups cannot be split in {folds} folds"
        raise DataError(f"{fault}; ask for 2 to as many folds as groups")
    # Two groups stay for training and validation, whatever the sizes of the groups.
    sides = _deal(ids, groups, np.full(folds, 1 / folds), seed, most=max(len(set(groups)) - 2, 1))
    return tuple(split_with_test(ids, side, groups, validation, seed) for side in sides)


def read_split(path: str | os.PathLike[str]) -> Split:
    """Read a split from JSON: an object of three lists of image ids, ``train``, ``validation`` and ``test``.

    Args:
        path: the file.

    Raises:
        DataError: if it is missing, no such JSON, or an image stands on two sides.
    """
    with reading(path, "give a split as JSON with train, validation and test"):
        sides = json.loads(read_text(path))
    if not isinstance(sides, dict) or not all(isinstance(ids, list) for ids in sides.values()):
        raise DataError.of(path, "is no split: give an object of three lists, train, validation and test")
    return Split.from_dict(sides)


def _deal(
    ids: Sequence[str], groups: Sequence[str], fractions: np.ndarray, seed: int, most: int | None = None
) -> tuple[tuple[str, ...], ...]:
    """Images of each side, in the order of ``ids``; a group's stay together, ``most`` groups stand on one side."""
    members: dict[str, list[str]] = {}
    for name, group in zip(ids, groups, strict=True):
        members.setdefault(group, []).append(name)
    order = np.random.default_rng(seed).permutation(sorted(members))
    sides = _assign({str(group): len(members[group]) for group in order}, fractions, most or len(members))
    position_of = {name: position for position, name in enumerate(ids)}
    chosen = ((name for group in side for name in members[group]) for side in sides)
    return tuple(tuple(sorted(side, key=position_of.__getitem__)) for side in chosen)


def _assign(sizes: dict[str, int], fractions: np.ndarray, most: int) -> list[list[str]]:
    wanted = fractions * sum(sizes.values())
    filled = np.zeros(len(fractions))
    sides: list[list[str]] = [[] for _ in fractions]
    # Large groups first: the small ones even out what is left. Equals keep their random order.
    for group in sorted(sizes, key=lambda name: -sizes[name]):
        full = np.array([len(side) >= most for side in sides])
        side = int(np.argmax(np.where(full, -np.inf, wanted - filled)))
        sides[side].append(group)
        filled[side] += sizes[group]
    for empty in (number for number, side in enumerate(sides) if not side):
        donor = max(range(len(sides)), key=lambda number: len(sides[number]))
        sides[empty].append(sides[donor].pop())
    return sides


def _checked_ids(ids: Sequence[Any], groups: Sequence[Any] | None = None) -> tuple[list[str], list[str]]:
    """Ids and groups as texts, whatever they are; each image is a group where none are given."""
    ids = list(map(str, ids))
    groups = ids if groups is None else list(map(str, groups))
    if len(groups) != len(ids):
        raise ShapeError(f"{len(ids)} images but {len(groups)} groups; give the group of each image")
    if len(set(ids)) != len(ids):
        fault = f"{len(ids) - len(set(ids))} image ids occur more than once"
        raise DataError(f"{fault}; split the distinct ones (distinct_image_ids): the trials of an image go with it")
    return ids, groups
