"""Errors a user can mend: each message names the thing, what was expected and the remedy.

What code may want to know of an error (the file, the extra, the nearest names) is an attribute; no code reads
a message.
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Self


class FactortopyError(Exception):
    """Base of all errors caused by input; the command line prints it in one line and exits with 2."""


class DataError(FactortopyError, ValueError):
    """Data that cannot be used: a missing or truncated file, NaN values, counts that differ.

    Args:
        message: what is wrong, what was expected and the remedy; names the file, if there is one.
        path: the file or folder at fault; None if the data are in memory.
    """

    def __init__(self, message: str, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else Path(path)

    @classmethod
    def of(cls, path: str | os.PathLike[str], fault: str) -> Self:
        """The error of a file or folder: ``fault`` follows its path in the message ("has 3 rows, expected 4")."""
        return cls(f"{path} {fault}", path=path)

    def at(self, path: str | os.PathLike[str]) -> Self:
        """The same error, at ``path`` if it names no file of its own."""
        return self if self.path is not None else type(self)(f"{path}: {self}", path=path)


class NewerFormatError(DataError):
    """A file or folder that a newer version of this package wrote."""


class ShapeError(DataError):
    """An array whose shape is not the one expected."""


class UnavailableError(FactortopyError, RuntimeError):
    """Something that must be had from elsewhere (weights, a hub, an extra) cannot be had."""


class MissingExtraError(UnavailableError):
    """A library is not installed, but an extra of this package brings it.

    Args:
        extra: name of the extra.
        need: what needs which library.
        otherwise: what to do instead of installing it; empty if nothing helps.
    """

    def __init__(self, extra: str, need: str, otherwise: str = "") -> None:
        super().__init__(f"{need}: pip install 'factortopy[{extra}]'{otherwise and f', or {otherwise}'}")
        self.extra = extra


class UnknownNameError(FactortopyError, LookupError):
    """A name (network, layer, ROI, figure) that does not exist; the nearest ones are offered.

    Args:
        kind: what the name stands for, e.g. ``"layer"``.
        name: the name given.
        known: the names that exist.

    Attributes:
        kind, name: as given.
        nearest: up to three existing names, the most similar first.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = list(known)
        similar = get_close_matches(name, known, n=3, cutoff=0.5)
        self.kind, self.name = kind, name
        self.nearest = similar or get_close_matches(name, known, n=3, cutoff=0.0)
        if similar:
            hint = f"did you mean {' or '.join(map(repr, similar))}?"
        elif len(known) <= 24:
            hint = f"known: {', '.join(known)}"
        else:
            hint = f"{len(known)} are known, the nearest {', '.join(map(repr, self.nearest))}"
        super().__init__(f"unknown {kind} {name!r}; {hint}")


def import_extra(module: str, extra: str, need: str = "", otherwise: str = "") -> Any:
    """Import a module of a library that an extra of this package brings.

    Args:
        module: its full name.
        extra, need, otherwise: as in ``MissingExtraError``; that it is not installed if ``need`` is empty.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        need = need or f"{error.name} is not installed; install it"
        raise MissingExtraError(extra, need, otherwise) from None


def first_line(error: BaseException) -> str:
    """The first line of another library's message, or the name of its class if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
