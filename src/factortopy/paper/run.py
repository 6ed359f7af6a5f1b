"""All items by name, and their making one after another: one that fails does not stop the others."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factortopy.errors import FactortopyError, MissingExtraError, UnknownNameError
from factortopy.paper.fine_tuned import FIGURE7, TABLE3
from factortopy.paper.item import Item, write_result
from factortopy.paper.network_tables import FIGURE4, FIGURE5, TABLE1, TABLE2
from factortopy.paper.single_networks import FIGURE3, FIGURE6, FIGURE8, FIGURE9
from factortopy.paper.study import Study

IN_ORDER = (FIGURE3, FIGURE4, TABLE1, FIGURE5, TABLE2, FIGURE6, FIGURE7, TABLE3, FIGURE8, FIGURE9)
ITEMS = {item.name: item for item in IN_ORDER}


def find_item(name: str) -> Item:
    """An item by its name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in ITEMS:
        raise UnknownNameError("figure or table", name, ["list", "all", *ITEMS])
    return ITEMS[name]


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        done: files of each item that was made.
        failed: reasons by item.
        skipped: items that need a library which is not installed, with the reason.
        times: seconds by item.
        fitted: fits that were run.
        reused: fits that were found done.
    """

    done: dict[str, list[Path]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    fitted: int = 0
    reused: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Counts, reasons and seconds, JSON-ready."""
        return {
            "done": len(self.done),
            "failed": len(self.failed),
            "skipped": len(self.skipped),
            "seconds": round(sum(self.times.values()), 1),
            "items": {name: round(seconds, 1) for name, seconds in self.times.items()},
            "fitted": self.fitted,
            "reused": self.reused,
            "reasons": {**self.failed, **self.skipped},
        }


def run_items(items: Iterable[Item], study: Study, tell: Callable[[str], None] = lambda _line: None) -> Outcome:
    """Make items and write their results to the study's folder.

    Args:
        items: what to make.
        study: tokens and fits, shared by all items.
        tell: called with a line when an item begins or fails.
    """
    outcome = Outcome()
    for item in items:
        tell(f"{item.name}: {item.title}")
        start = time.perf_counter()
        study.left_out, study.read = {}, []
        try:
            outcome.done[item.name] = write_result(item, item.make(study), study)
        except Exception as error:
            # Whatever goes wrong in one item, the others are still made; the reason is told at the end.
            text, missing = " ".join(str(error).split()), isinstance(error, MissingExtraError)
            # A fault of the program says its kind.
            reason = text if isinstance(error, FactortopyError) else f"{type(error).__name__}: {text}"
            (outcome.skipped if missing else outcome.failed)[item.name] = reason
            tell(f"{item.name} {'skipped' if missing else 'failed'}: {reason}")
        outcome.times[item.name] = time.perf_counter() - start
    outcome.fitted, outcome.reused = study.fitted, study.reused
    return outcome
