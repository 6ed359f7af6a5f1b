"""Items one after another: one that fails does not stop the others, and all failures are told."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factortopy.errors import FactortopyError, MissingExtraError
from factortopy.paper.item import Item, write_result
from factortopy.paper.study import Study


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
        study.left_out = {}
        try:
            outcome.done[item.name] = write_result(item, item.make(study), study)
        except Exception as error:
            # Whatever goes wrong in one item, the others are still made; the reason is told at the end.
            missing = isinstance(error, MissingExtraError)
            reason = _reason(error)
            (outcome.skipped if missing else outcome.failed)[item.name] = reason
            tell(f"{item.name} {'skipped' if missing else 'failed'}: {reason}")
        outcome.times[item.name] = time.perf_counter() - start
    outcome.fitted, outcome.reused = study.fitted, study.reused
    return outcome


def _reason(error: Exception) -> str:
    """One line; a fault of the program says its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, FactortopyError) else f"{type(error).__name__}: {text}"
