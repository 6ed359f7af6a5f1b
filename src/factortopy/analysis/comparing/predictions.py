"""What several mappings predict for the same held-out images, computed again from tokens and parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from factortopy.analysis.comparing.comparison import PAIRED, Comparison, Winners, best_and_margin
from factortopy.analysis.estimates.bootstrap import chunks, draw_images, draw_r2
from factortopy.analysis.estimates.estimate_tables import percentiles
from factortopy.analysis.heldout.scores import r_squared
from factortopy.errors import DataError
from factortopy.fitting import AS_SHIPPED, Examples, StandardisedResponses, default_split, image_of_rows, split_examples
from factortopy.images import Split
from factortopy.mapping import Mapping, check_tokens, load_model
from factortopy.model import FactorTopy
from factortopy.progress import progress_bar
from factortopy.storage import sha256_array
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore

BATCH = 64
TOLERANCE = 0.01
"""Largest mean difference of R^2 from the mapping's own: other machines round otherwise."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Responses to the images of one side of a split, and what each mapping predicts for them.

    Attributes:
        responses: z-scored by the training images.
        predictions: of each mapping.
        images: the image of every row.
    """

    responses: Float[np.ndarray, "image voxel"]
    predictions: Float[np.ndarray, "mapping image voxel"]
    images: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What mappings predict for images that none was trained on.

    Attributes:
        validation: images that decided when training stopped; weights of networks are found on them.
        test: images that decided nothing; scores are of them.
    """

    validation: Predicted
    test: Predicted


def predict_held_out(
    comparison: Comparison,
    tokens: Sequence[TokenStore],
    subject: Subject,
    split: Split | None = None,
    progress: bool = True,
) -> HeldOut:
    """Predictions of the mappings of a comparison for the validation and the test images.

    Args:
        comparison: mappings with trained parameters.
        tokens: the tokens each was fitted to, in the same order.
        subject: the responses they were fitted to.
        split: the split of the fits; made again by 8:1:1 and the mappings' seed if None.
        progress: whether to show a progress bar.

    Raises:
        DataError: if tokens, subject or split are others than those of the fits.

    Example:
        >>> comparison = ft.compare([mapping, mapping], labels=["one", "same"])
        >>> held_out = ft.predict_held_out(comparison, [tokens, tokens], subject, progress=False)
        >>> len(held_out.test.images) == mapping.dataset.attrs["images_test"]
        True
    """
    if len(tokens) != len(comparison.mappings):
        raise DataError(
            f"{len(comparison.mappings)} mappings need as many token stores, in the same order; got {len(tokens)}"
        )
    _check_subject(comparison.mappings[0], subject)
    split = split or _split_again(comparison.mappings[0], tokens[0], subject)
    if split.digest != comparison.mappings[0].dataset.attrs.get("split"):
        raise DataError("this split is not the one of the fits; give the split that `fit` was given")
    sides = ("validation", "test")
    predictions: dict[str, list[np.ndarray]] = {side: [] for side in sides}
    examples: dict[str, Examples] = {}
    count = len(tokens) * sum(len(getattr(split, side)) for side in sides)
    with progress_bar("Predictions", count, show=progress) as advance:
        for mapping, store in zip(comparison.mappings, tokens, strict=True):
            check_tokens(mapping, store)
            model, examples = load_model(mapping, subject), split_examples(store, subject, split)
            shipped = mapping.dataset.attrs.get("responses") == AS_SHIPPED
            for side in sides:
                predictions[side].append(_predictions(model, examples[side], shipped))
                advance(len(getattr(split, side)))
    validation, test = (
        Predicted(
            examples[side].all_responses().numpy(),
            np.stack(predictions[side]),
            tuple(image_of_rows(subject, getattr(split, side))),
        )
        for side in sides
    )
    _check_scores(comparison, test)
    return HeldOut(validation, test)


def paired_winners(comparison: Comparison, held_out: HeldOut, resamples: int = 1_000) -> Winners:
    """As :func:`factortopy.analysis.winners`, with limits of the margin over draws of the same test images.

    Args:
        comparison: the mappings.
        held_out: their predictions.
        resamples: draws of test images.

    Example:
        >>> comparison = ft.compare([mapping, mapping], labels=["one", "same"])
        >>> held_out = ft.predict_held_out(comparison, [tokens, tokens], subject, progress=False)
        >>> len(ft.paired_winners(comparison, held_out, resamples=20).best) == len(subject.voxels)
        True
    """
    r2 = comparison.values("r2")
    best, margin = best_and_margin(r2)
    test, low = held_out.test, np.full(len(best), np.nan)
    draws = draw_images(test.images, resamples)
    for some in chunks(len(best)):
        drawn = np.stack([draw_r2(test.responses[:, some], own[:, some], draws) for own in test.predictions])
        ranks = np.argsort(r2[:, some], axis=0)
        first, second = (np.take_along_axis(drawn, ranks[-rank][None, None], axis=0)[0] for rank in (1, 2))
        low[some] = percentiles(first - second)[0]
    low = np.where(best >= 0, low, np.nan)
    return Winners(best, margin, low, low > 0, PAIRED)


def _predictions(model: FactorTopy, side: Examples, shipped: bool) -> Float[np.ndarray, "image voxel"]:
    with torch.no_grad():
        selection = model.select()
        predicted = torch.cat([model(tokens, selection) for tokens in side.batches(BATCH)]).numpy()
    scaled = side.responses
    if shipped and isinstance(scaled, StandardisedResponses):
        # What predicts responses as shipped is put on the scale of the others; R^2 stays.
        predicted = (predicted - scaled.mean) / scaled.spread
    return predicted


def _split_again(mapping: Mapping, tokens: TokenStore, subject: Subject) -> Split:
    split = default_split(tokens, subject, int(mapping.settings.get("seed", 0)))
    if split.digest != mapping.dataset.attrs.get("split"):
        raise DataError("the fits had a split of their own: give it with --split, as it was given to `fit`")
    return split


def _check_subject(mapping: Mapping, subject: Subject) -> None:
    expected = mapping.provenance.get("responses_hash")
    if len(subject.voxels) != mapping.dataset.sizes["voxel"]:
        raise DataError(
            f"subject {subject.name!r} has {len(subject.voxels):,} voxels and the mappings "
            f"{mapping.dataset.sizes['voxel']:,}; give the subject they were fitted to"
        )
    if expected is not None and sha256_array(subject.responses) != expected:
        raise DataError(f"subject {subject.name!r} has other responses than those the mappings were fitted to")


def _check_scores(comparison: Comparison, test: Predicted) -> None:
    for mapping, label, own in zip(comparison.mappings, comparison.labels, test.predictions, strict=True):
        difference = np.abs(r_squared(test.responses, own) - mapping.dataset["r2"].values)
        if np.nanmean(difference) > TOLERANCE:
            raise DataError(
                f"{label!r} predicts otherwise than when it was fitted (R² differs by "
                f"{np.nanmean(difference):.3f} on average); its tokens were made again in another way"
            )
