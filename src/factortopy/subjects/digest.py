"""One digest of all that a mapping holds of a subject, so that none is taken for that of another, or of what it was."""

import json
from typing import Any

import numpy as np

from factortopy.storage import sha256_array, sha256_text
from factortopy.subjects.subject import Subject, arrays_of

WIDTHS = {"f": np.float32, "i": np.int64, "u": np.int64, "b": np.bool_}
"""Numbers are digested in the types in which subjects are read."""


def subject_digest(subject: Subject, responses: str) -> str:
    """SHA-256 of responses, images, places, ROIs, noise ceilings and whatever else a mapping holds, as 64 hex digits.

    A subject that was written and read again has the same one. Photographs are not in it, nor where it comes from.

    Args:
        subject: the subject.
        responses: digest of its responses, which may be large, as :func:`factortopy.storage.sha256_array` gives it.
    """
    parts: dict[str, Any] = {
        name: _digest(array) for name, array in arrays_of(subject).items() if name not in ("responses", "groups")
    }
    parts |= {
        "responses": responses,
        "image_ids": sha256_text(*subject.image_ids),
        "groups": None if subject.voxels.groups is None else _digest(subject.voxels.groups.astype(str)),
        "rois": {name: _digest(mask) for name, mask in subject.voxels.rois.items()},
        "surface": subject.voxels.surface,
    }
    parts |= {name: bool(getattr(subject, name)) for name in ("single_trials", "group_mean", "simulated")}
    parts |= {"name": str(subject.name), "scores_of": subject.scores_of}
    return sha256_text(json.dumps(parts, sort_keys=True))


def _digest(array: np.ndarray) -> str:
    width = WIDTHS.get(array.dtype.kind)
    return sha256_text(*map(str, array.tolist())) if width is None else sha256_array(array.astype(width, copy=False))
