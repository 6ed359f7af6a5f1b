"""The one form of a number with its limits, in the package, in tables, in JSON and in print."""

import math
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas
from jaxtyping import Float

from factortopy.analysis.quantities import finite_mean
from factortopy.errors import DataError

CONFIDENCE = 0.95
OVER_TRAINING = "test images and training"
OVER_IMAGES, OVER_SUBJECTS, OVER_SEEDS, OVER_FOLDS = "test images", "subjects", "seeds", "folds"


@dataclass(frozen=True)
class Estimate:
    """A number with its limits, as far as they are known.

    Attributes:
        value: the number; NaN if there is none.
        low: lower limit; NaN if not known.
        high: upper limit; NaN if not known.
        over: what the limits are over: ``"test images"``, ``"test images and training"``, ``"subjects"`` or
            ``"seeds"``; empty without limits.
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


def over_fits(values: Sequence[float], over: str = OVER_SUBJECTS, confidence: float = CONFIDENCE) -> Estimate:
    """Mean of independent fits, such as subjects or seeds, with Student's interval of the mean.

    Args:
        values: of every fit.
        over: what the fits are of: ``"subjects"`` or ``"seeds"``.
        confidence: of the limits, in 0..1.

    Raises:
        DataError: if there are fewer than two.

    Example:
        >>> ft.over_fits([0.2, 0.3, 0.4]).text(2)
        '0.30 [0.05, 0.55]'
    """
    if len(values) < 2:
        raise DataError(f"an interval over fits needs two or more, got {len(values)}")
    return Estimate.of_sample(np.asarray(values, dtype=float), over, confidence)


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
    """Student's limits of the mean over subjects or seeds, NaN left out; NaN where fewer than two are known."""
    from scipy.stats import t

    count = np.isfinite(values).sum(axis=0)
    mean = finite_mean(values, axis=0)
    squares = np.nansum(np.square(values - mean), axis=0)
    error = np.sqrt(np.divide(squares, (count - 1) * count, out=np.full(count.shape, np.nan), where=count > 1))
    reach = t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1)) * error
    return np.asarray(mean - reach), np.asarray(mean + reach)


def table_of(rows: Iterable[Any]) -> pandas.DataFrame:
    """Rows as a table, an estimate in the columns ``NAME``, ``NAME_low`` and ``NAME_high``; NaN what is missing.

    Args:
        rows: dataclasses, or numbers, texts and estimates by name.

    Example:
        >>> list(ft.table_of([{"roi": "V1", "r2": ft.over_fits([0.2, 0.3, 0.4])}]).columns)
        ['roi', 'r2', 'r2_low', 'r2_high']
    """
    return pandas.DataFrame([_flat(row) for row in rows])


def record_of(row: Any) -> dict[str, Any]:
    """A row as JSON takes it: estimates in columns as in a table, and None for NaN.

    Args:
        row: a dataclass, or values by name; rows within it become lists of records.
    """
    return {name: _plain(value) for name, value in _flat(row).items()}


def records_of(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """All rows of a table as JSON takes them."""
    return [record_of(row) for row in table.to_dict("records")]


def text_in_row(row: MappingType[str, Any], name: str, form: str = ".3f") -> str:
    """A value of a row as it is printed: a number with its limits, if it has any; a dash for what is missing.

    Args:
        row: values by name; ``NAME_low`` and ``NAME_high`` are limits of ``NAME``.
        name: of the value.
        form: of a number that is not whole, such as ``"+.3f"`` or ``".0%"``.
    """
    value = row.get(name)
    if value is None:
        return "–"
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if form.endswith("f"):
        return Estimate.in_row(row, name).text(int(form[-2]), sign=form.startswith("+"))
    return f"{value:{form}}" if math.isfinite(value) else "–"


def _flat(row: Any) -> dict[str, Any]:
    pairs = {item.name: getattr(row, item.name) for item in fields(row)} if is_dataclass(row) else dict(row)
    flat: dict[str, Any] = {}
    for name, value in pairs.items():
        if isinstance(value, Estimate):
            flat |= zip(columns_of(name), (value.value, value.low, value.high), strict=True)
        else:
            flat[name] = value
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) or isinstance(value, MappingType):
        return record_of(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
