"""Errors a user can mend: each message names the thing, what was expected and the remedy."""

from collections.abc import Iterable
from difflib import get_close_matches


class FactortopyError(Exception):
    """Base of all errors caused by input; the command line prints it in one line and exits with 2."""


class DataError(FactortopyError, ValueError):
    """Data that cannot be used: a missing or truncated file, NaN values, counts that differ."""


class ShapeError(DataError):
    """An array whose shape is not the one expected."""


class UnavailableError(FactortopyError, RuntimeError):
    """Something that must be had from elsewhere (weights, a hub, an extra) cannot be had."""


class UnknownNameError(FactortopyError, LookupError):
    """A name (network, layer, ROI, figure) that does not exist; the nearest ones are offered.

    Args:
        kind: what the name stands for, e.g. ``"layer"``.
        name: the name given.
        known: the names that exist.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        nearest = get_close_matches(name, known, n=3, cutoff=0.5)
        if nearest:
            hint = f"did you mean {' or '.join(map(repr, nearest))}?"
        elif len(known) <= 24:
            hint = f"known: {', '.join(known)}"
        else:
            nearest = get_close_matches(name, known, n=3, cutoff=0.0)
            hint = f"{len(known)} are known, the nearest {', '.join(map(repr, nearest))}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
