"""A fit that is kept in a folder: gone on with where it was stopped, and not made again."""

import json
from os import PathLike
from pathlib import Path

from factortopy.errors import DataError
from factortopy.fitting import FitSettings, default_split
from factortopy.images import Split
from factortopy.machine import Machine
from factortopy.mapping import Mapping
from factortopy.storage import remove, sha256_array
from factortopy.subjects import Subject
from factortopy.tokens import TokenStore
from factortopy.workflow._fit import fit_model


def fit_to_folder(
    tokens: TokenStore,
    subject: Subject,
    output: str | PathLike[str],
    settings: FitSettings,
    *,
    split: Split | None = None,
    machine: Machine | None = None,
    bootstrap: int = 1_000,
    overwrite: bool = False,
    progress: bool = True,
    description: str = "Fit",
) -> Mapping:
    """Fit, and write the mapping to a folder; a fit that was stopped goes on from ``OUTPUT.checkpoint``.

    A mapping of the same tokens, responses, split and settings that is there already is read and returned. The
    other arguments are those of :func:`fit_model`.

    Args:
        output: folder of the mapping.
        overwrite: whether a mapping that is there is fitted anew and replaced.

    Raises:
        DataError: if the folder holds a mapping of something else, or as :func:`fit_model`.
    """
    output = Path(output)
    split = split or default_split(tokens, subject, settings.seed)
    if output.exists() and not overwrite:
        return _same_fit(output, tokens, subject, split, settings)
    checkpoint = output.with_name(f"{output.name}.checkpoint")
    mapping = fit_model(
        tokens,
        subject,
        settings,
        split=split,
        machine=machine,
        checkpoint=checkpoint,
        bootstrap=bootstrap,
        progress=progress,
        description=description,
    ).mapping
    mapping.save(output)
    remove(checkpoint)
    return mapping


def _same_fit(output: Path, tokens: TokenStore, subject: Subject, split: Split, settings: FitSettings) -> Mapping:
    mapping = Mapping.load(output)
    facts = mapping.provenance
    fitted = facts["tokens"]["weights_hash"], facts["responses_hash"], facts["split"], json.dumps(mapping.settings)
    dumped = json.dumps(settings.model_dump(exclude_none=True))
    if fitted != (tokens.weights_hash, sha256_array(subject.responses), split.digest, dumped):
        raise DataError(f"{output} is a mapping of something else; choose another OUTPUT, or delete it", path=output)
    return mapping
