"""Formats carry a version, so that a file of a newer one is told as such and not misread."""

import os
from typing import Any

from factortopy.errors import NewerFormatError


def check_format(path: str | os.PathLike[str], said: Any, known: str) -> None:
    """Refuse a file or folder that a newer version wrote.

    Args:
        path: of it.
        said: the format that it says to be (``"factortopy-mapping-2"``); None where it says none.
        known: the newest format that this version reads.

    Raises:
        NewerFormatError: if it is of the same kind with a larger number.
    """
    kind, _, ours = known.rpartition("-")
    there, _, number = str(said).rpartition("-")
    if there == kind and number.isdecimal() and int(number) > int(ours):
        fault = f"was written by a newer factortopy (its format is {said}, this version reads up to {known})"
        raise NewerFormatError.of(path, f"{fault}; update it: pip install --upgrade factortopy")
