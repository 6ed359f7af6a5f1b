"""Fits that are kept in folders: gone on with where they were stopped, and not made again."""

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from factortopy.cortex import Voxels
from factortopy.errors import DataError
from factortopy.fitting import FitSettings, default_split
from factortopy.images import ImageSet, Split
from factortopy.mapping import Mapping
from factortopy.networks import Network, Preprocessing
from factortopy.storage import sha256_array
from factortopy.subjects import Subject, subject_digest
from factortopy.tokens import TokenStore, extract
from factortopy.workflow._fit import fit_model, fit_options
from factortopy.workflow.start import donor_facts


def fit_to_folder(
    tokens: TokenStore,
    subject: Subject,
    output: str | PathLike[str],
    settings: FitSettings,
    *,
    split: Split | None = None,
    overwrite: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    **options: Any,
) -> Mapping:
    """Fit, and write the mapping to a folder; a fit that was stopped goes on from its checkpoint.

    A mapping of the same tokens, subject (ROIs, noise ceiling and all), split, settings and start that is there already
    is read and returned.

    Args:
        tokens, subject, settings, split, options: as for :func:`fit_model`.
        output: folder of the mapping.
        overwrite: whether a mapping that is there is fitted anew and replaced.
        checkpoint: folder where the state is kept while it runs; ``OUTPUT.checkpoint`` if None.

    Raises:
        DataError: if the folder holds a mapping of something else, or as :func:`fit_model`.
    """
    output = Path(output)
    split = split or default_split(tokens, subject, settings.seed)
    if output.exists() and not overwrite:
        placed = subject.voxels.coordinates is not None or options.get("selection") is not None
        settings = settings.for_data(len(split.train), placed=placed)
        return _same_fit(output, tokens, subject, split, settings, options.get("start", ()))
    checkpoint = checkpoint or output.with_name(f"{output.name}.checkpoint")
    done = fit_model(tokens, subject, settings, split=split, checkpoint=checkpoint, **options)
    done.mapping.save(output)
    if done.checkpoint is not None:
        done.checkpoint.remove()
    return done.mapping


def _same_fit(
    output: Path, tokens: TokenStore, subject: Subject, split: Split, settings: FitSettings, start: Sequence[Mapping]
) -> Mapping:
    mapping = Mapping.load(output)
    facts, own = mapping.provenance, mapping.provenance["tokens"]
    seen = Preprocessing.from_dict(own["preprocessing"])
    fitted = own["weights_hash"], seen, own["grid"], own["outliers"], own["precision"], mapping.layers
    wanted = tokens.weights_hash, tokens.preprocessing, list(tokens.grid), tokens.outliers, tokens.precision
    learnt = facts["split"], json.dumps(mapping.settings), facts.get("start", {}).get("donors", [])
    asked = split.digest, json.dumps(settings.model_dump(exclude_none=True)), donor_facts(start)
    same_fit = (*fitted, *learnt) == (*wanted, tokens.layers, *asked)
    if not (same_fit and _same_subject(mapping, subject)):
        raise DataError(f"{output} is a mapping of something else; choose another OUTPUT, or delete it", path=output)
    return mapping


def _same_subject(mapping: Mapping, subject: Subject) -> bool:
    facts, responses = mapping.provenance, sha256_array(subject.responses)
    if "subject_hash" in facts:
        return bool(facts["subject_hash"] == subject_digest(subject, responses))
    # Earlier versions kept no digest but that of the responses.
    return facts["responses_hash"] == responses and _same_places(mapping.voxels, subject.voxels)


def _same_places(fitted: Voxels, asked: Voxels) -> bool:
    def same(one: np.ndarray | None, other: np.ndarray | None, dtype: type) -> bool:
        return one is other if one is None or other is None else np.array_equal(one.astype(dtype), other.astype(dtype))

    return same(fitted.coordinates, asked.coordinates, np.float32) and same(fitted.groups, asked.groups, str)


def map_before_and_after(
    before: Network,
    after: Network,
    subject: Subject,
    output: str | PathLike[str],
    *,
    images: ImageSet | None = None,
    progress: bool = True,
    **options: Any,
) -> tuple[Mapping, Mapping]:
    """Map a network before and after, with one split; :func:`factortopy.change` says what changed.

    What is there already (tokens, mappings) is not made again.

    Args:
        before: the network with its weights before.
        after: the same network with those after.
        subject: responses.
        output: tokens and mappings go to its folders ``before`` and ``after``.
        images: the photographs that the subject saw; those beside its responses if None.
        progress: whether to show progress bars.
        options: recipe, seed, device, precision, memory_gb and settings of both fits, as for :func:`factortopy.fit`.

    Raises:
        DataError: if the photographs are not known, or a mapping there is of something else.

    Example:
        >>> other = ft.load_network("timm/test_vit", untrained=True, seed=1)
        >>> both = ft.map_before_and_after(network, other, subject, "compared", steps=3, progress=False)
        >>> [mapping.layers == network.layers for mapping in both]
        [True, True]
    """
    settings, machine = fit_options(**options)
    images = images or subject.images
    if images is None:
        raise DataError(f"subject {subject.name!r} has no photographs beside its responses; give them")
    seen, folder = images.subset(subject.distinct_image_ids), Path(output)
    old, new = (
        extract(network, seen, folder / name / "tokens", precision=options.get("precision"), progress=progress)
        for name, network in (("before", before), ("after", after))
    )
    split = default_split(old, subject, settings.seed)
    shared: dict[str, Any] = {"split": split, "machine": machine, "progress": progress}
    first, second = (
        fit_to_folder(tokens, subject, folder / name / "mapping", settings, **shared, description=f"Fit {name}")
        for name, tokens in (("before", old), ("after", new))
    )
    return first, second
