"""The one form of a number with its limits, in the package, in tables and in print."""

import math
from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from factortopy.analysis.regions import finite_mean
from factortopy.errors import DataError

CONFIDENCE = 0.95
OVER_IMAGES, OVER_SUBJECTS, OVER_SEEDS = "test images", "subjects", "seeds"


@dataclass(frozen=True)
class Estimate:
    """A number with its limits, as far as they are known.

    Attributes:
        value: the number; NaN if there is none.
        low: lower limit; NaN if not known.
        high: upper limit; NaN if not known.
        over: what the limits are over: ``"test images"``, ``"subjects"`` or ``"seeds"``; empty without limits.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    over: str = ""

    @classmethod
    def of_draws(
        cls,
        value: float,
        draws: Float[np.ndarray, "draw"] | None,
        *,
        confidence: float = CONFIDENCE,
        over: str = OVER_IMAGES,
    ) -> "Estimate":
        """A number with the percentiles of its draws as limits.

        Args:
            value: the number.
            draws: the number in every draw; where there are none, or one is NaN, there are no limits.
            confidence: part of the draws between the limits, in 0..1.
            over: what was drawn.
        """
        return cls(value) if draws is None else cls._within(value, percentiles(draws, confidence), over)

    @classmethod
    def of_sample(cls, values: Float[np.ndarray, "fit"], over: str, confidence: float = CONFIDENCE) -> "Estimate":
        """The mean of independent fits, with Student's limits of it; NaN values are left out.

        Args:
            values: of every fit, one at least.
            over: what is repeated: ``"subjects"`` or ``"seeds"``.
            confidence: of the limits, in 0..1.
        """
        return cls._within(finite_mean(values), student_limits(values, confidence), over)

    @classmethod
    def in_row(cls, row: MappingType[str, Any], name: str) -> "Estimate":
        """The estimate that a row of a table holds as ``NAME``, ``NAME_low`` and ``NAME_high``.

        Args:
            row: of :func:`factortopy.analysis.table_of`.
            name: of the number.
        """
        value, low, high = (math.nan if row.get(column) is None else float(row[column]) for column in columns_of(name))
        return cls(value, low, high, str(row.get("limits", "")))

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)

    @property
    def limited(self) -> bool:
        """Whether there are limits."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def text(self, digits: int = 3, *, sign: bool = False) -> str:
        """As it is printed, such as ``0.123 [0.101, 0.140]``; a dash where there is no number.

        Args:
            digits: decimals.
            sign: whether a plus is written.
        """
        if not self.known:
            return "–"
        form = f"{'+' if sign else ''}.{digits}f"
        return f"{self.value:{form}}" + (f" [{self.low:{form}}, {self.high:{form}}]" if self.limited else "")

    def __neg__(self) -> "Estimate":
        return Estimate(-self.value, -self.high, -self.low, self.over)

    @classmethod
    def _within(cls, value: float, limits: Iterable[np.ndarray], over: str) -> "Estimate":
        """With limits where all three are known, else without."""
        low, high = map(float, limits)
        limited = cls(value, low, high, over)
        return limited if limited.known and limited.limited else cls(value)


def columns_of(name: str) -> tuple[str, str, str]:
    """Columns of an estimate in a table: ``NAME``, ``NAME_low``, ``NAME_high``; of ``value`` just ``low``, ``high``."""
    prefix = "" if name == "value" else f"{name}_"
    return name, f"{prefix}low", f"{prefix}high"


def percentiles(
    values: Float[np.ndarray, "draw *rest"], confidence: float = CONFIDENCE
) -> Float[np.ndarray, "2 *rest"]:
    """Lower and upper limit of the middle part of the draws.

    Raises:
        DataError: if the confidence is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise DataError(f"the confidence must be between 0 and 1, got {confidence}")
    return np.asarray(np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0))


def student_limits(
    values: Float[np.ndarray, "fit *rest"], confidence: float = CONFIDENCE
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Student's limits of the mean over subjects or seeds, NaN left out; NaN where fewer than two are known.

    Args:
        values: of every fit.
        confidence: of the limits, in 0..1.
    """
    from scipy.stats import t

    count = np.isfinite(values).sum(axis=0)
    mean = finite_mean(values, axis=0)
    squares = np.nansum(np.square(values - mean), axis=0)
    error = np.sqrt(np.divide(squares, (count - 1) * count, out=np.full(count.shape, np.nan), where=count > 1))
    reach = t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * error
    return np.asarray(mean - reach), np.asarray(mean + reach)
