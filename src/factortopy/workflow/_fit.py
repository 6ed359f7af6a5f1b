"""``fit``: tokens and a subject in, a scored mapping out."""

import json
import time
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from factortopy.analysis import has_limits
from factortopy.cortex import Voxels
from factortopy.fitting import (
    Examples,
    FitSettings,
    History,
    Recipe,
    StandardisedResponses,
    Trained,
    default_split,
    fit_settings,
    image_of_rows,
    ridge_at_edge,
    split_examples,
    train_model,
    unseen_sides,
)
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping, mapping_dataset, voxel_variables
from factortopy.model import FactorTopy, FixedSelectors, Selection
from factortopy.provenance import provenance
from factortopy.storage import Checkpoint, Part, sha256_array, sha256_text
from factortopy.subjects import Subject, subject_digest
from factortopy.tokens import TokenStore
from factortopy.workflow.parametric_bootstrap import Remembered, fit_simulated
from factortopy.workflow.scoring import fit_facts, score_model, with_simulated
from factortopy.workflow.start import donor_facts, train_started
from factortopy.workflow.yardstick import Yardstick

Parts = MappingType[str, Part]


@dataclass(frozen=True)
class Fit:
    """A trained model with its mapping.

    Attributes:
        mapping: what is kept: selectors, shares, scores, parameters, provenance.
        model: the trained model, which takes raw tokens of the network.
        history: what was seen while training.
        split: the images it was trained, stopped and scored on.
        predictions: of the responses to the test images, in the order of ``fitting.split_examples``.
        known: what another fit to the same images and responses need not find out, as :func:`fit_model` takes it.
        checkpoint: where its state was kept, if it was.
    """

    mapping: Mapping
    model: FactorTopy
    history: History
    split: Split
    predictions: Float[np.ndarray, "image voxel"]
    known: Parts
    checkpoint: Checkpoint | None


def fit(
    tokens: TokenStore,
    subject: Subject,
    *,
    split: Split | None = None,
    start: Mapping | Sequence[Mapping] = (),
    recipe: Recipe = "default",
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str | None = None,
    memory_gb: float | None = None,
    checkpoint: str | PathLike[str] | None = None,
    bootstrap: int = 1_000,
    progress: bool = True,
    **changes: Any,
) -> Mapping:
    """Map a network onto a subject: train FactorTopy, then score it on held-out images.

    Args:
        tokens: tokens of (at least) the subject's images.
        subject: responses to images.
        split: which images train, stop and test; by default 8:1:1, scenes kept whole where known.
        start: another subject's mapping on the same surface, several whose mean is taken, or one of another network,
            of which places and scales carry over: validation images choose, voxel by voxel, how far its selectors
            are trusted, and it costs no more than time where they are not (`docs/transfer.md`).
        recipe: ``"default"`` (well-conditioned) or ``"paper"`` (the authors' parametrisation).
        seed: of the split, the start and the order of images.
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``; the best there is if None.
        precision: of the matrix products, ``"bf16"`` or ``"fp32"``; bf16 where computed natively if None.
        memory_gb: GB that tokens may take in main memory, beyond which they are read from disk; half of
            what is free if None.
        checkpoint: folder where the state is kept about once a minute; a fit that was stopped goes on from
            it when called again, and on a CPU ends as one that was not stopped, bit for bit.
        bootstrap: draws of test images from which intervals are computed; 0 for none.
        progress: whether to show progress bars.
        changes: settings that differ from the recipe's; see ``FitSettings``.

    Returns:
        Selectors, shares and scores of every voxel. Responses are z-scored by the training images;
        scores are raw R^2 on the test images.

    Raises:
        DataError: if an image of the subject has no tokens, the fit diverges, the checkpoint is another fit's, or
            the start lies on another surface.
        UnknownNameError: if a setting or recipe does not exist.

    Example:
        >>> mapping = ft.fit(tokens, subject, seed=0, steps=5, progress=False)
        >>> mapping.dataset["layer_share"].sizes["layer"] == len(tokens.layers)
        True
    """
    settings, machine = fit_options(recipe, seed, device, precision, memory_gb, **changes)
    donors = [start] if isinstance(start, Mapping) else start
    kept: dict[str, Any] = {"start": donors, "checkpoint": checkpoint, "bootstrap": bootstrap, "progress": progress}
    return fit_model(tokens, subject, settings, split=split, machine=machine, **kept).mapping


def fit_options(
    recipe: Recipe = "default",
    seed: int = 0,
    device: str | torch.device | None = None,
    precision: str | None = None,
    memory_gb: float | None = None,
    **changes: Any,
) -> tuple[FitSettings, Machine]:
    """Settings and machine from the arguments of :func:`fit` that say how and where to train."""
    return fit_settings(recipe, seed=seed, **changes), Machine.choose(device, precision, memory_gb)


def fit_model(
    tokens: TokenStore,
    subject: Subject,
    settings: FitSettings,
    *,
    split: Split | None = None,
    start: Sequence[Mapping] = (),
    selection: Selection | None = None,
    machine: Machine | None = None,
    checkpoint: str | PathLike[str] | None = None,
    bootstrap: int = 1_000,
    yardstick: bool = True,
    known: Parts | None = None,
    progress: bool = True,
    description: str = "Fit",
) -> Fit:
    """As :func:`fit`, which describes the other arguments, and keep the trained model.

    Args:
        settings: how to train.
        start: mappings to start from.
        selection: space, layer and scale of every voxel that are given and not trained, such as a planted
            truth: what remains to be learnt then is the channels.
        machine: where to compute; the best there is if None.
        yardstick: whether a ridge regression is fitted as well (`docs/training.md`).
        known: what the fit need not find out by itself, by stage; see ``parametric_bootstrap.REMEMBERED``.
        description: what the progress bar calls the training.
    """
    begun = time.perf_counter()
    machine = machine or Machine.choose()
    split = split or default_split(tokens, subject, settings.seed)
    given = subject
    if settings.bounds == "voxels":
        subject = replace(subject, voxels=subject.voxels.bounded_alone())
    placed = subject.voxels.coordinates is not None or selection is not None
    settings = settings.for_data(len(split.train), placed=placed)
    examples = split_examples(tokens, subject, split)
    made_of = fit_identity(tokens, subject, split, settings, selection, machine, start)
    state = None if checkpoint is None else Checkpoint(checkpoint, sha256_text(json.dumps(made_of)))
    data = _Data(tokens, subject, settings, split, machine, examples, state)
    options: dict[str, Any] = {"machine": machine, "checkpoint": state, "refit": not split.tests_validation}
    options |= {"progress": progress, "description": description}
    sides = examples["train"], examples["validation"]
    values, facts = voxel_variables(subject.voxels)
    started: dict[str, Any] = {"subject_hash": subject_digest(given, made_of["responses"])}
    kept = Remembered(state, dict(known or {}))
    if start:
        trained, values["trust"], started["start"] = train_started(start, tokens, subject, settings, sides, **options)
    else:
        trained = _train(subject.voxels, settings, sides, selection, **options | {"checkpoint": kept})
    asked = bootstrap and not start and selection is None and settings.recipe == "default" and has_limits(split.test)
    simulated = data.simulated(trained, options | {"checkpoint": Remembered(parts=kept.parts)}) if asked else {}
    against = data.yardstick(trained) if yardstick else None
    trained = trained._replace(reduced=None)  # tokens of all images
    test = score_model(
        trained.model, examples["test"], subject, split, machine, raw=settings.recipe == "paper", bootstrap=bootstrap
    )
    test = with_simulated(test, simulated, subject.voxels, f"{tokens.network} {subject.name} {split.digest}")
    if isinstance(scale := examples["train"].responses, StandardisedResponses):
        values |= {"response_mean": scale.mean, "response_spread": scale.spread}
    if against is not None:
        rows, draws = image_of_rows(subject, split.test), bootstrap if "drawn_r2" in test.values else 0
        measured, missing = against.variables(test.predictions, rows, subject.voxels.rois, draws)
        values, facts = values | measured, facts | missing
    facts |= fit_facts(tokens, subject, split, settings) | {"global_token": tokens.global_token} | test.facts
    edge = ridge_at_edge(trained.history.ridge)
    facts |= {} if edge is None else {"penalty_at_edge": edge}
    mapping = Mapping(
        dataset=mapping_dataset(test.values | values, tokens.layers, subject.voxels.rois, facts),
        parameters=dict(trained.model.state_dict()),
        settings=settings.model_dump(exclude_none=True),
        provenance=data.provenance(begun, trained.history, made_of["responses"], **started),
    )
    return Fit(mapping, trained.model, trained.history, split, test.predictions, kept.parts, state)


@dataclass(frozen=True, eq=False)
class _Data:
    """What the stages of a fit work on."""

    tokens: TokenStore
    subject: Subject
    settings: FitSettings
    split: Split
    machine: Machine
    examples: dict[str, Examples]
    state: Checkpoint | None

    def simulated(self, trained: Trained, options: dict[str, Any]) -> dict[str, np.ndarray]:
        """Depth and scale of simulated responses, planted and found by a fit with these options."""
        again = options | {"description": "Bootstrap", "rough": True, "reduced": trained.reduced}
        train = partial(_train, selection=None, **again)
        return fit_simulated(trained.model, self.examples, self.subject.voxels, self.settings, train, self.state)

    def yardstick(self, trained: Trained) -> Yardstick:
        """The ridge beside the fit."""
        sides, rois = unseen_sides(self.examples, self.split), list(self.subject.voxels.rois.values())
        scenes = self.tokens.image_groups
        return Yardstick.measure(sides, trained, scenes, rois, self.settings, self.machine, self.state)

    def provenance(self, begun: float, history: History, responses_hash: str, **started: Any) -> dict[str, Any]:
        """What the result is made of and by what; ``begun`` is a moment of ``time.perf_counter``."""
        return provenance(
            fit_seconds=round(time.perf_counter() - begun, 1),
            training=asdict(history),
            tokens=self.tokens.facts,
            subject=self.subject.provenance,
            responses_hash=responses_hash,
            split=self.split.digest,
            split_source=self.split.source,
            device=str(self.machine.device),
            precision=self.machine.precision,
            **started,
        )


def _train(
    voxels: Voxels, settings: FitSettings, sides: tuple[Examples, Examples], selection: Selection | None, **options: Any
) -> Trained:
    """Train from scratch; a selection that is given is not trained."""
    groups = None if voxels.groups is None else np.unique(voxels.groups, return_inverse=True)[1]
    return train_model(
        settings,
        *sides,
        None if voxels.coordinates is None else torch.from_numpy(voxels.coordinates).float(),
        None if voxels.bounds is None else torch.from_numpy(voxels.bounds),
        None if selection is None else FixedSelectors(selection),
        groups=groups,
        **options,
    )


def fit_identity(
    tokens: TokenStore,
    subject: Subject,
    split: Split,
    settings: FitSettings,
    selection: Selection | None,
    machine: Machine,
    start: Sequence[Mapping] = (),
) -> dict[str, Any]:
    """What decides the result of a fit, JSON-ready: see :func:`fit_model` for the arguments."""
    voxels = subject.voxels
    given = [voxels.coordinates, voxels.bounds, voxels.groups]
    given += [] if selection is None else [part if part is None else part.numpy() for part in selection]
    return {
        "settings": settings.model_dump(),
        "split": split.digest,
        "responses": sha256_array(subject.responses),
        "coordinates": sha256_array(*(part for part in given if part is not None)),
        "tokens": [
            *(tokens.network, tokens.weights_hash, vars(tokens.preprocessing), tokens.grid, list(tokens.layers)),
            *(tokens.global_token, tokens.outliers, tokens.precision),
            *(sha256_text(*tokens.image_ids), None if tokens.basis is None else tokens.basis.digest),
        ],
        "machine": [machine.device.type, machine.precision],
        **({"start": donor_facts(start)} if start else {}),
    }
