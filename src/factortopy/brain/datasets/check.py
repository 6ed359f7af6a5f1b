"""One look at any folder of data: recognised, counted and checked, by the function for its kind."""

import os
from collections.abc import Callable
from pathlib import Path

from factortopy.brain.datasets.check_algonauts import check_algonauts
from factortopy.brain.datasets.check_arrays import check_arrays
from factortopy.brain.datasets.check_bold5000 import check_bold5000
from factortopy.brain.datasets.check_nsd import check_nsd
from factortopy.brain.datasets.check_things import check_things
from factortopy.brain.datasets.findings import Level, Report
from factortopy.brain.datasets.recognise import known_layout

CHECKS: dict[str, Callable[[Path], Report]] = {
    "algonauts": check_algonauts,
    "nsd": check_nsd,
    "things": check_things,
    "bold5000": check_bold5000,
    "arrays": check_arrays,
}


def check_path(path: str | os.PathLike[str]) -> Report:
    """Check a folder of a data set, of own arrays, or of tokens.

    Data sets are looked at in seconds; a store of tokens is read whole, as each chunk has a checksum.

    Args:
        path: the folder.

    Raises:
        DataError: if it holds no known data set.
    """
    layout = known_layout(path)
    if layout.kind == "tokens":
        return _check_tokens(layout.root)
    return CHECKS[layout.kind](layout.root)


def _check_tokens(root: Path) -> Report:
    from factortopy.tokens.check import check_store

    report = Report("tokens", root)
    levels: dict[str, Level] = {"ok": "ok", "warning": "note", "error": "problem"}
    for level, message in check_store(root):
        report.add(levels[level], root, message)
    return report
