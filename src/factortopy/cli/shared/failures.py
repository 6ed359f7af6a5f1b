"""What commands print: bad input and interruptions as one line, and only characters that the terminal knows."""

import codecs
import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from factortopy.errors import FactortopyError

STOPPED = "stopped by Ctrl-C: what was finished is kept and nothing half-written is left; run the same command again"
MACHINE_ERRORS = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EACCES: "allow access",
    errno.EPERM: "allow access",
    errno.EROFS: "choose another place",
    errno.ENOTDIR: "choose another place",
}
"""Errors of the disk that a user can mend, with the remedy."""
PLAIN = {
    "²": "2",
    "–": "-",
    "−": "-",
    "…": "...",
    "·": "-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "×": "x",
    "■": "#",
    "●": "*",
}
"""For characters of our own texts that a terminal lacks; all others are written as Python writes them (``\\xe9``)."""


def print_readably() -> None:
    """Let standard output and error replace characters that their encoding lacks, where they would raise."""
    codecs.register_error("factortopy", _replace)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a notebook or a test stands for it
            stream.reconfigure(errors="factortopy")


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    one = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    return (PLAIN[character], one.end) if character in PLAIN else codecs.backslashreplace_errors(one)


class Commands(TyperGroup):
    """The commands; whatever a user can mend leaves them as one line and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command asked for."""
        try:
            return super().invoke(ctx)
        except BaseException as error:
            line = failure_line(error)
            if line is None:
                raise
            print(line, file=sys.stderr)
            raise typer.Exit(2) from error


def failure_line(error: BaseException) -> str | None:
    """The line that tells a user what to mend; None for a fault of the program or an ordinary exit."""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED
    if isinstance(error, FactortopyError):
        return _line(str(error))
    if _out_of_memory(error):
        return _line("memory is full; take a smaller batch size, fewer layers or fewer voxels")
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        file = f"{error.filename}: " if error.filename else ""
        return _line(f"{file}{error.strerror}; {MACHINE_ERRORS[error.errno]}")
    return None


def _out_of_memory(error: BaseException) -> bool:
    # PyTorch has no common class for a full memory: on a GPU its own, on a CPU RuntimeError.
    name, text = type(error).__name__, str(error)
    return isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in text


def _line(text: str) -> str:
    return f"error: {' '.join(text.split())}"
