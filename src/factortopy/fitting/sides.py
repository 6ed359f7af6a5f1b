"""From a token store and a subject to the images of every side of a split."""

import numpy as np
import torch

from factortopy.errors import DataError
from factortopy.fitting.images import Images, StandardisedResponses
from factortopy.images import Split
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore


def image_scenes(tokens: TokenStore, subject: Subject) -> list[str] | None:
    """Scene of each of the subject's distinct images; None if scenes are not known.

    Raises:
        DataError: if an image of the subject has no tokens.
    """
    missing = set(subject.image_ids) - set(tokens.image_ids)
    if missing:
        raise DataError(
            f"{len(missing)} of {len(subject.distinct_image_ids)} images of {subject.name!r} have no tokens "
            f"in {tokens.path} (first: {min(missing)!r}); extract tokens of the same images",
            path=tokens.path,
        )
    if tokens.image_groups is None:
        return None
    group = dict(zip(tokens.image_ids, tokens.image_groups, strict=True))
    return [group[image] for image in subject.distinct_image_ids]


def side_images(tokens: TokenStore, subject: Subject, split: Split) -> dict[str, Images]:
    """Images of every side, all trials of each, with responses z-scored by the training rows.

    Args:
        tokens: tokens of (at least) the split's images.
        subject: responses to them.
        split: which images stand on which side.

    Returns:
        ``"train"``, ``"validation"`` and ``"test"``.

    Raises:
        DataError: if the split names an image without responses.
    """
    rows: dict[str, list[int]] = {}
    for index, image in enumerate(subject.image_ids):
        rows.setdefault(image, []).append(index)
    place = {image: index for index, image in enumerate(tokens.image_ids)}
    unknown = [image for side in split.to_dict().values() for image in side if image not in rows]
    if unknown:
        raise DataError(f"the split names {len(unknown)} images without responses (first: {unknown[0]!r})")

    def of(ids: tuple[str, ...]) -> np.ndarray:
        return np.array([row for image in ids for row in rows[image]])

    standardised = StandardisedResponses.by_training(subject.responses, of(split.train))

    def side(ids: tuple[str, ...]) -> Images:
        places = torch.tensor([place[subject.image_ids[row]] for row in of(ids)])
        return Images(lambda chosen: tokens.read(places[chosen].tolist()), standardised.of(of(ids)))

    return {"train": side(split.train), "validation": side(split.validation), "test": side(split.test)}
