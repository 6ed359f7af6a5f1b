"""Examples to learn from: tokens of images with the responses to them, read on demand, wherever they lie."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import block_array, coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from factortopy.errors import DataError
from factortopy.images import Split, split_folds, split_images
from factortopy.machine import in_threads
from factortopy.networks import Tokens
from factortopy.storage import read_ahead
from factortopy.subjects import Subject
from factortopy.tokens import TokenBasis, TokenStore

ReadTokens = Callable[[Int[Tensor, "batch"]], Tokens]
"""Gives the tokens of images by their index."""
CPU = torch.device("cpu")
BLOCK = 256
"""Images of which responses are read at a time."""

AS_SHIPPED = "as shipped"
"""What a mapping's attribute ``responses`` says where they were not z-scored."""


class Responses(Protocol):
    """Responses (image, voxel) by the index of the image; a tensor is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Int[Tensor, "batch"], /) -> Float[Tensor, "batch voxel"]: ...


@dataclass(frozen=True)
class Examples:
    """Tokens of images, such as those of one side of a split, with the responses to them.

    Attributes:
        read: gives tokens by index.
        responses: responses to the same images.
        resident: whether tokens are in memory; else the next are read ahead while some are used.
        image: number of the image of every row, the same for all its trials; None where all rows differ.
        basis: axes that tokens were reduced to on disk; None where they are whole.
        components: gives the components along these axes, many times sooner than the tokens; None without axes.
    """

    read: ReadTokens
    responses: Responses
    resident: bool = True
    image: Int[np.ndarray, "row"] | None = None
    basis: TokenBasis | None = None
    components: ReadTokens | None = None

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def as_stored(self) -> Int[Tensor, "row"]:
        """All rows in the order in which their images lie on disk, where reading is quickest."""
        image = np.arange(len(self)) if self.image is None else self.image
        return torch.from_numpy(np.argsort(image, kind="stable"))

    def batches(self, size: int) -> Iterator[Tokens]:
        """Tokens of all images in order, batch by batch; the next ones are read while one is used."""
        parts = torch.arange(len(self)).split(size)
        return map(self.read, parts) if self.resident else read_ahead(self.read, parts, 1)

    def all_responses(self, device: torch.device | None = None) -> Float[Tensor, "image voxel"]:
        """Responses to all images, in the memory of a device; the CPU's if None."""
        blocks = torch.arange(len(self)).split(BLOCK)
        return torch.cat(list(in_threads(lambda rows: self.responses[rows].to(device=device), blocks, CPU)))


@dataclass(frozen=True, eq=False)
class StandardisedResponses:
    """Z-scored responses to some images, computed as they are read, so that no copy of all is held.

    Attributes:
        responses: of all images, in memory or mapped from disk.
        rows: the images meant.
        mean: of every voxel over the training images.
        spread: standard deviation of every voxel over the training images; 1 where it is constant.
    """

    responses: Float[np.ndarray, "image voxel"]
    rows: Int[np.ndarray, "some"]
    mean: Float[np.ndarray, "voxel"]
    spread: Float[np.ndarray, "voxel"]

    @classmethod
    def by_training(
        cls, responses: Float[np.ndarray, "image voxel"], rows: Int[np.ndarray, "some"]
    ) -> "StandardisedResponses":
        """Responses to the training images, z-scored by themselves.

        Raises:
            DataError: if no voxel's responses vary.
        """
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
        mean = sum(in_threads(lambda block: responses[block].sum(axis=0, dtype=np.float64), blocks, CPU)) / len(rows)
        squares = sum(in_threads(lambda block: np.square(responses[block] - mean).sum(axis=0), blocks, CPU))
        spread = np.sqrt(squares / len(rows))
        if not spread.any():
            raise DataError("the training images' responses are constant in every voxel: there is nothing to learn")
        spread = np.where(spread > 0, spread, 1)
        return cls(responses, rows, mean.astype(np.float32), spread.astype(np.float32))

    def of(self, rows: Int[np.ndarray, "some"]) -> "StandardisedResponses":
        """Responses to other images, z-scored by the same training images."""
        return StandardisedResponses(self.responses, rows, self.mean, self.spread)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch voxel"]:
        return torch.from_numpy((self.responses[self.rows[rows.numpy()]] - self.mean) / self.spread)


@dataclass(frozen=True, eq=False)
class _MeanResponses:
    """Mean responses to distinct images of some sides, averaged as they are read.

    Attributes:
        sides: of which the images are.
        side: number of the side of every image.
        trials: rows of that side with a response to it.
    """

    sides: Sequence[Examples]
    side: Int[Tensor, "image"]
    trials: Sequence[Int[Tensor, "some"]]

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, rows: Int[Tensor, "batch"]) -> Float[Tensor, "batch voxel"]:
        parts = []
        for number, side in enumerate(self.sides):
            chosen = [self.trials[row] for row in rows[self.side[rows] == number].tolist()]
            if chosen:
                counts = [len(trials) for trials in chosen]
                observed = side.responses[torch.cat(chosen)]
                once = len(observed) == len(chosen)
                parts.append(observed if once else torch.stack([own.mean(dim=0) for own in observed.split(counts)]))
        return torch.cat(parts)[self.side[rows].argsort(stable=True).argsort()]


def distinct_images(*sides: Examples) -> tuple[Examples, Float[Tensor, "image"]]:
    """The images of some sides, each once, with the mean of its responses; and how many trials it has."""
    trials: list[Tensor] = []
    images = []
    for side in sides:
        image = np.arange(len(side)) if side.image is None else side.image
        distinct, counts = np.unique(image, return_counts=True)
        trials += torch.from_numpy(np.argsort(image, kind="stable")).split(counts.tolist())
        images.append(distinct)
    number = torch.repeat_interleave(torch.arange(len(sides)), torch.tensor([len(part) for part in images]))
    row = torch.tensor([int(rows[0]) for rows in trials])

    def read(readers: Sequence[ReadTokens], chosen: Int[Tensor, "batch"]) -> Tokens:
        """Tokens of distinct images, each from the side that it is of."""
        inside = [number[chosen] == index for index in range(len(sides))]
        sides_read = [read(row[chosen[own]]) for read, own in zip(readers, inside, strict=True) if own.any()]
        if len(sides_read) == 1:
            return sides_read[0]  # where it was read to, without a copy
        order = number[chosen].argsort(stable=True).argsort()
        return Tokens(
            tuple(torch.cat(layer)[order] for layer in zip(*(tokens.local for tokens in sides_read), strict=True)),
            tuple(torch.cat(layer)[order] for layer in zip(*(tokens.global_ for tokens in sides_read), strict=True)),
        )

    known = all(side.image is not None for side in sides)
    repeats = torch.tensor([float(len(rows)) for rows in trials])
    responses = _MeanResponses(sides, number, trials)
    whole = partial(read, [side.read for side in sides])
    reduced = [side.components for side in sides if side.components is not None]
    components = partial(read, reduced) if len(reduced) == len(sides) else None
    together = np.concatenate(images) if known else None
    held = all(side.resident for side in sides)
    return Examples(whole, responses, held, together, sides[0].basis, components), repeats


def image_scenes(tokens: TokenStore, subject: Subject) -> list[str] | None:
    """Scene of each of the subject's distinct images, equal pictures in one; None if each stands for itself.

    Raises:
        DataError: if an image of the subject has no tokens.
    """
    images = subject.distinct_image_ids
    _check_tokens(tokens, subject, images)
    groups = tokens.image_ids if tokens.image_groups is None else tokens.image_groups
    group = dict(zip(tokens.image_ids, groups, strict=True))
    scenes, pictures = [group[image] for image in images], _pictures(tokens, images)
    if len(set(pictures)) < len(images):
        return _joined(scenes, pictures)
    return None if tokens.image_groups is None else scenes


def _check_tokens(tokens: TokenStore, subject: Subject, images: Sequence[str]) -> None:
    missing = set(images) - set(tokens.image_ids)
    if missing:
        raise DataError(
            f"{len(missing)} of {len(images)} images of {subject.name!r} have no tokens "
            f"in {tokens.path} (first: {min(missing)!r}); extract tokens of the same images",
            path=tokens.path,
        )


def _pictures(tokens: TokenStore, images: Sequence[str]) -> Sequence[str]:
    """What tells the pictures of some images apart: digests of their pixels, or their ids where there are none."""
    if tokens.digests is None:
        return images
    digest = dict(zip(tokens.image_ids, tokens.digests, strict=True))
    return [digest[image] for image in images]


def _joined(scenes: Sequence[str], pictures: Sequence[str]) -> list[str]:
    """Groups of images that share a scene or a picture, also by way of others; named by a scene of theirs."""
    (_, scene), (_, picture) = (np.unique(names, return_inverse=True) for names in (scenes, pictures))
    links = coo_array((np.ones(len(scene)), (scene, picture)), shape=(scene.max() + 1, picture.max() + 1))
    _, part = connected_components(block_array([[None, links], [links.T, None]]), directed=False)
    name: dict[int, str] = {}
    return [name.setdefault(part[number], text) for number, text in zip(scene.tolist(), scenes, strict=True)]


def _check_pictures(tokens: TokenStore, split: Split) -> None:
    """No picture stands on two sides under two names.

    Raises:
        DataError: names the first two that do.
    """
    first: dict[str, tuple[str, str]] = {}
    for side, images in split.to_dict().items():
        for image, picture in zip(images, _pictures(tokens, images), strict=True):
            other, where = first.setdefault(picture, (image, side))
            if where != side and other != image:
                fault = f"{other!r} ({where}) and {image!r} ({side}) of the split are the same picture, pixel by pixel"
                raise DataError(f"{fault}; put both on one side, or leave one out")


def default_split(tokens: TokenStore, subject: Subject, seed: int = 0, fold: tuple[int, int] | None = None) -> Split:
    """Training, validation and test images 8:1:1, scenes and equal pictures kept whole; or a fold of several.

    Args:
        tokens: tokens of (at least) the subject's images.
        subject: responses to images.
        seed: of the random order.
        fold: the fold, from 1, and how many there are, of :func:`factortopy.images.split_folds`.

    Raises:
        DataError: if an image of the subject has no tokens, or there is no such fold.
    """
    images, scenes = subject.distinct_image_ids, image_scenes(tokens, subject)
    if fold is None:
        return split_images(images, scenes, seed=seed)
    number, folds = fold
    if not 1 <= number <= folds:
        raise DataError(f"there is no fold {number} of {folds}; ask for 1/{folds} to {folds}/{folds}")
    return split_folds(images, folds, scenes, seed=seed)[number - 1]


def split_examples(
    tokens: TokenStore, subject: Subject, split: Split, *, standardise: bool = True
) -> dict[str, Examples]:
    """Examples of ``"train"``, ``"validation"`` and ``"test"``, responses z-scored by the training rows or as they are.

    Where a split has no training images, as when other images than those of a fit are scored, its rows z-score
    themselves.

    All trials of each image of the split are among them.

    Raises:
        DataError: if the split names an image without responses or without tokens, or has one picture on two sides.
    """
    rows_of: dict[str, list[int]] = {}
    for index, image in enumerate(subject.image_ids):
        rows_of.setdefault(image, []).append(index)
    index_of = {image: index for index, image in enumerate(tokens.image_ids)}
    sides = split.to_dict()
    unknown = [image for side in sides.values() for image in side if image not in rows_of]
    if unknown:
        raise DataError(f"the split names {len(unknown)} images without responses (first: {unknown[0]!r})")
    _check_tokens(tokens, subject, [image for side in sides.values() for image in side])
    _check_pictures(tokens, split)
    rows = {name: np.array([row for image in side for row in rows_of[image]], int) for name, side in sides.items()}
    training = rows["train"] if len(rows["train"]) else np.concatenate(list(rows.values()))
    standardised = StandardisedResponses.by_training(subject.responses, training)
    if not standardise:
        standardised = replace(
            standardised, mean=np.zeros_like(standardised.mean), spread=np.ones_like(standardised.mean)
        )

    def examples(side: Int[np.ndarray, "some"]) -> Examples:
        """Of some rows."""
        indices = torch.tensor([index_of[subject.image_ids[row]] for row in side], dtype=torch.int64)

        def reader(read: Callable[[list[int]], Tokens]) -> ReadTokens:
            return lambda chosen: read(indices[chosen].tolist())

        components = None if tokens.basis is None else reader(tokens.read_stored)
        read, own = reader(tokens.read), standardised.of(side)
        return Examples(read, own, False, indices.numpy(), tokens.basis, components)

    return {name: examples(side) for name, side in rows.items()}


def unseen_sides(sides: dict[str, Examples], split: Split) -> dict[str, Examples]:
    """The sides without the validation images where these are the test images: what is fitted to them has seen them."""
    return {name: side for name, side in sides.items() if name != "validation" or not split.tests_validation}


def image_of_rows(subject: Subject, images: Sequence[str]) -> list[str]:
    """The image of every row of :func:`split_examples`: as often as the subject has trials of it."""
    counts = Counter(subject.image_ids)
    return [image for image in images for _ in range(counts[image])]
