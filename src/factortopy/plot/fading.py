"""Maps that turn pale where the prediction is uncertain, and the names of what they paint."""

import numpy as np
from jaxtyping import Float

from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.style import Which, values_of

PALE = np.array([0.93, 0.93, 0.95])
"""What uncertain vertices fade to."""


def certainty(mapping: Mapping) -> Float[np.ndarray, "voxel"]:
    """How sure it is that a vertex is predicted at all: ``r2_low / r2`` in 0..1, 0 where r2_low <= 0.

    ``r2_low`` is the lower limit of R^2 over test images (`docs/uncertainty.md`).

    Raises:
        DataError: if the mapping was fitted without a bootstrap.
    """
    if "r2_low" not in mapping.dataset:
        raise DataError("fading needs limits of R²: fit with bootstrap=1000, or draw without fade")
    low, r2 = values_of(mapping, "r2_low"), values_of(mapping, "r2")
    sure = np.divide(low, r2, out=np.zeros_like(r2, dtype=float), where=(low > 0) & (r2 > 0))
    return np.asarray(np.clip(sure, 0.0, 1.0))


def fade_out(mapping: Mapping, rgba: Float[np.ndarray, "voxel 4"]) -> Float[np.ndarray, "voxel 4"]:
    """Colours of vertices, paler the less sure their prediction is (:func:`certainty`)."""
    sure = certainty(mapping)[:, None]
    return np.concatenate([sure * rgba[:, :3] + (1 - sure) * PALE, rgba[:, 3:]], axis=1)


def name_of(mapping: Mapping, kind: str, which: Which) -> str:
    """Name of what is painted: a share, or a selector in its gauge."""
    return f"{kind} share" if which == "share" else selector_name(mapping, kind)


def selector_name(mapping: Mapping, kind: str) -> str:
    """A selector and the gauge it stands in: canonical, or as trained in mappings that do not say."""
    gauge = mapping.dataset.attrs.get("gauge")
    return f"{kind} selector, {gauge} gauge" if gauge else f"raw {kind} selector"


def with_fading(name: str, fade: bool) -> str:
    """What a figure's header says of its source."""
    return f"{name}, pale where R² is uncertain" if fade else name
