"""A trained model on the test images: what it says of them, and the facts that belong to the numbers."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from factortopy.analysis import CONFIDENCE, AlignedBatches, held_out_variables, raw_selectors, region_names
from factortopy.fitting import Examples, FitSettings, image_of_rows
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.model import FactorTopy
from factortopy.subjects import Subject, noise_ceiling_at, repeat_counts
from factortopy.tokens import TokenStore

BATCH = 64
"""Images at a time where the size changes no result."""


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
    values, predictions = held_out_variables(model, aligned, test.all_responses(device), images, rois, bootstrap)
    model.cpu()
    facts: dict[str, Any] = {"gauge": "canonical"}
    if raw:
        values |= raw_selectors(model)
    if subject.noise_ceiling is not None:
        values["ceiling"] = ceiling_on_test(subject, split)
    if "drawn_r2" in values:
        values["region"] = np.array(region_names(rois))
        facts |= {"bootstrap": len(values["drawn_r2"]), "confidence": CONFIDENCE}
    return HeldOutScores(values, facts, predictions)


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
