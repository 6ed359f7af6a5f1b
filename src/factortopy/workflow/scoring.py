"""A trained model on the test images: what it says of them, and the facts that belong to the numbers."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from factortopy.analysis import (
    CONFIDENCE,
    TRAINING_TOLD,
    AlignedBatches,
    held_out_variables,
    percentiles,
    predicted_at_all,
    raw_selectors,
    region_errors,
    region_names,
    with_training,
)
from factortopy.cortex import Voxels
from factortopy.errors import DataError
from factortopy.fitting import Examples, FitSettings, fit_settings, image_of_rows, image_scenes, split_examples
from factortopy.images import FEWEST_TEST_IMAGES, Split
from factortopy.machine import Machine
from factortopy.mapping import SIMULATED, YARDSTICK, Mapping, load_model, tells_limits, with_values
from factortopy.model import FactorTopy
from factortopy.storage import sha256_text
from factortopy.subjects import Subject, noise_ceiling_at, repeat_counts
from factortopy.tokens import TokenStore
from factortopy.workflow.parametric_bootstrap import planted_half

BATCH = 64
"""Images at a time where the size changes no result."""
NEAR = 0.1
"""Farthest that the same voxel may lie apart in two recordings, mm."""


class HeldOutScores(NamedTuple):
    """Variables of a mapping on the test images, attributes that belong to them, and predictions."""

    values: dict[str, np.ndarray]
    facts: dict[str, Any]
    predictions: Float[np.ndarray, "image voxel"]


def score_model(
    model: FactorTopy,
    test: Examples,
    subject: Subject,
    split: Split,
    machine: Machine,
    *,
    raw: bool = True,
    bootstrap: int = 1_000,
) -> HeldOutScores:
    """Selectors in the canonical gauge, shares, scores and their limits on a subject's test images.

    Args:
        model: a trained model; it is left on the CPU.
        test, subject, split: the test images, whose responses and of which split they are.
        machine: where to compute, and the memory that aligned tokens may take.
        raw: whether the selectors are kept as trained as well.
        bootstrap: draws of test images for limits; 0 for none.
    """
    # Sums over images are in float64, which Apple's GPUs do not have.
    device = torch.device("cpu") if machine.device.type == "mps" else machine.device
    model = model.to(device)
    aligned = AlignedBatches(
        model,
        lambda: (batch.to(device) for batch in test.batches(BATCH)),
        machine.device_memory() if device.type == "cuda" else machine.memory,
    )
    images, rois = image_of_rows(subject, split.test), subject.voxels.rois
    observed = test.all_responses(device)
    values, predictions = held_out_variables(model, aligned, observed, images, rois, bootstrap)
    values |= {"region": np.array(region_names(rois))}
    every = (*rois.values(), np.ones(predictions.shape[1], dtype=bool))
    used = predicted_at_all(values["r2"], values.get("r2_low"))
    values["region_error"] = region_errors(observed.cpu().numpy(), predictions, used, every)
    values |= _where_predicted(values)
    model.cpu()
    facts: dict[str, Any] = {"gauge": "canonical"}
    if raw:
        values |= raw_selectors(model)
    if subject.noise_ceiling is not None:
        values["ceiling"] = ceiling_on_test(subject, split)
    distinct = len(set(images))
    if distinct < FEWEST_TEST_IMAGES:
        facts["no_limits"] = (
            f"no limits: {distinct} distinct test images, {FEWEST_TEST_IMAGES} or more are needed; fit folds "
            "(--split 1/5 to 5/5) and score them together"
        )
    if "drawn_r2" in values:
        facts |= {"bootstrap": len(values["drawn_r2"]), "confidence": CONFIDENCE}
    return HeldOutScores(values, facts, predictions)


def _where_predicted(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which voxels are predicted, none where nothing was found; depth and scale, with limits, blank for the others.

    Where nothing was found only limits are blank: maps are drawn faded from values, of which no number is given.
    Without draws nobody can say that nothing was.
    """
    r2, drawn = values["r2"], values.get("drawn_r2")
    found = drawn is None or percentiles(drawn[:, -1])[0] > 0
    predicted = (np.nan_to_num(r2) > 0) & bool(found)
    ends = ("", "_low", "_high") if predicted.any() else ("_low", "_high")
    blank = [f"{name}{end}" for name in ("depth", "scale_share") for end in ends]
    blanked = {name: np.where(predicted, values[name], np.nan) for name in blank if name in values}
    return {"predicted": predicted.astype(np.float32)} | blanked


def with_simulated(scores: HeldOutScores, simulated: dict[str, np.ndarray], voxels: Voxels, fit: str) -> HeldOutScores:
    """Scores whose limits of depth, scale and hierarchy line have the training in them.

    Args:
        scores: with limits over test images.
        simulated: what :func:`~factortopy.workflow.parametric_bootstrap.fit_simulated` returns; empty without.
        voxels: of the fit.
        fit: which fit it is, the same for all its seeds: what training does is not drawn in pairs with others.
    """
    if not simulated or "drawn_r2" not in scores.values:
        return scores
    seed = int(sha256_text(fit)[:15], 16)
    changed = with_training(scores.values | simulated, voxels.rois, planted_half(voxels), seed)
    told = {TRAINING_TOLD: 1} if changed else {}
    return scores._replace(values=scores.values | simulated | changed, facts=scores.facts | told)


def fit_facts(tokens: TokenStore, subject: Subject, split: Split, settings: FitSettings) -> dict[str, Any]:
    """What :func:`factortopy.mapping._facts` says of a fit, as attributes of a dataset."""
    facts = {
        "network": tokens.network,
        "preprocessing": str(tokens.preprocessing),
        "subject": subject.name,
        "simulated": int(subject.simulated),
        "recipe": settings.recipe,
        "seed": settings.seed,
        "split": split.digest,
        **{f"images_{side}": len(ids) for side, ids in split.to_dict().items()},
    }
    if split.tests_validation:
        facts["scored_on"] = "validation images"
    if subject.scores_of is not None:
        facts["scores_of"] = subject.scores_of
    if split.source:
        facts["split_name"] = "{name} of {pool}".format_map(split.source)
    trials = len(image_of_rows(subject, split.test))
    if trials > len(split.test):
        facts["trials_test"] = trials
    if subject.repeats is not None:
        facts["repeats_test"] = _test_repeats(subject, split).tolist()
    return facts


def ceiling_on_test(subject: Subject, split: Split) -> np.ndarray:
    """The noise ceiling (R^2) on the test images, which may average more or fewer trials than the others."""
    if subject.noise_ceiling is None or subject.repeats is None:
        return np.asarray(subject.noise_ceiling)
    every, test = repeat_counts(subject.repeats), _test_repeats(subject, split)
    return noise_ceiling_at(subject.noise_ceiling, every, test).astype(subject.noise_ceiling.dtype)


def _test_repeats(subject: Subject, split: Split) -> np.ndarray:
    """Number of test responses that average one trial, two trials and so on."""
    return repeat_counts(np.asarray(subject.repeats)[np.isin(subject.image_ids, split.test)])


def score_images(mapping: Mapping, tokens: TokenStore, subject: Subject, *, bootstrap: int = 1_000) -> Mapping:
    """A mapping scored on all images of another recording of the same person, such as NSD-synthetic after NSD.

    These responses are z-scored by themselves: R^2 asks for their scale too, the correlation r does not.

    Args:
        mapping: with trained parameters.
        tokens: of the other images, in the mapping's network.
        subject: responses of the same voxels, and maybe of more; those of the mapping that it lacks get no score.
        bootstrap: draws of images for limits; 0 for none.

    Returns:
        The mapping with the selectors' canonical form, shares, scores, ceiling and limits of these images.

    Raises:
        DataError: if it is the recording that was fitted, another person's, of other voxels, or images lack tokens.

    Example:
        >>> from dataclasses import replace
        >>> again = replace(subject, name="another day", responses=subject.responses + 0.1, provenance={})
        >>> ft.score_images(mapping, tokens, again, bootstrap=0).dataset.attrs["subject"]
        'another day'
    """
    placed, lacking = _in_voxels_of(mapping, subject)
    split = Split((), (), placed.distinct_image_ids)
    image_scenes(tokens, placed)
    model = load_model(mapping)
    if (tokens.network, tokens.layers) != (mapping.dataset.attrs.get("network"), mapping.layers):
        fault = f"holds {len(tokens.layers)} layers of {tokens.network}, the mapping is of {len(mapping.layers)} layers"
        raise DataError.of(tokens.path, f"{fault} of {mapping.dataset.attrs.get('network')}; give tokens of that one")
    test = split_examples(tokens, placed, split)["test"]
    scores = score_model(model, test, placed, split, Machine.choose("cpu"), raw=False, bootstrap=bootstrap)
    simulated = {name: mapping.dataset[name].values for name in SIMULATED if name in mapping.dataset}
    scores = with_simulated(scores, simulated, mapping.voxels, f"{tokens.network} {placed.name} {split.digest}")
    settings = fit_settings(mapping.settings.get("recipe", "default"), seed=mapping.settings.get("seed", 0))
    facts = fit_facts(tokens, placed, split, settings) | scores.facts | {"voxels_not_measured": lacking}
    old = [str(name) for name in mapping.dataset.data_vars if tells_limits(str(name))]
    dataset = with_values(mapping.dataset.drop_vars(["ceiling", *YARDSTICK, *old], errors="ignore"), scores.values)
    left = (
        TRAINING_TOLD,
        "bootstrap",
        "confidence",
        "no_limits",
        "ridge",
        "split_name",
        "scores_of",
        "trials_test",
        "repeats_test",
        "images_train",
        "images_validation",
    )
    kept = {name: value for name, value in dataset.attrs.items() if name not in left}
    dataset.attrs = kept | facts
    provenance = {**mapping.provenance, "subject": placed.provenance, "fitted_to": mapping.provenance.get("subject")}
    return replace(mapping, dataset=dataset, provenance=provenance)


def _in_voxels_of(mapping: Mapping, subject: Subject) -> tuple[Subject, int]:
    """A subject's responses in the voxels of a mapping, in their order, 0 where it lacks one; and how many it lacks."""
    own, other, fitted = mapping.voxels, subject.voxels, mapping.provenance.get("subject", {})
    if subject.name == mapping.dataset.attrs.get("subject"):
        raise DataError(f"{subject.name!r} is what the mapping was fitted to; give other images' responses")
    persons = fitted.get("subject"), subject.provenance.get("subject")
    if None not in persons and persons[0] != persons[1]:
        fault = f"{subject.name!r} is subject {persons[1]}, the mapping is of subject {persons[0]}"
        raise DataError(f"{fault}; give the same one's responses")
    place = {key: row for row, key in enumerate(zip(other.hemisphere.tolist(), other.vertex.tolist(), strict=True))}
    keys = list(zip(own.hemisphere.tolist(), own.vertex.tolist(), strict=True))
    column = np.array([place.get(key, -1) for key in keys])
    here = column >= 0
    if own.surface != other.surface or not here.any() or _far(own, other, here, column):
        fault = f"the voxels of {subject.name!r} ({other.surface or 'a volume'}) are not those of the mapping"
        raise DataError(f"{fault} ({own.surface or 'a volume'}); read it in the space that was fitted")
    responses = np.zeros((len(subject.responses), len(keys)), np.float32)
    responses[:, here] = subject.responses[:, column[here]]
    ceiling = subject.noise_ceiling
    if ceiling is not None:
        ceiling = np.where(here, ceiling[column], 0).astype(np.float32)
    return replace(subject, responses=responses, voxels=own, noise_ceiling=ceiling), int((~here).sum())


def _far(own: Voxels, other: Voxels, here: np.ndarray, column: np.ndarray) -> bool:
    """Whether voxels of one number lie at different places."""
    if own.coordinates is None or other.coordinates is None:
        return False
    return bool(np.abs(own.coordinates[here] - other.coordinates[column[here]]).max() > NEAR)
