"""What a look at a data set's folder finds: counts beside the published ones, faults and remedies."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from factortopy.errors import FactortopyError

Level = Literal["ok", "note", "problem"]
TYPICAL_SPREAD = (0.2, 50.0)
"""Between these lies the median standard deviation of betas in per cent signal change: a few per cent. The
bounds are a rule of thumb; a wrong factor of 300 falls far outside."""


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        level: ``"problem"`` where the data cannot be used as they are, ``"note"`` where they can but differ
            from the published ones.
        file: what it is about.
        message: what was expected and what was found.
        fix: what to do.
    """

    level: Level
    file: Path
    message: str
    fix: str = ""


@dataclass(frozen=True)
class Count:
    """A number of a subject beside the published one.

    Attributes:
        subject: name of the subject.
        what: what is counted.
        found: how many; None where that cannot be said.
        published: how many there should be; None where no table says so.
    """

    subject: str
    what: str
    found: int | None
    published: int | None = None


@dataclass
class Report:
    """All that was found in a folder.

    Attributes:
        kind: kind of data set.
        root: the folder.
        counts, findings: what was found.
    """

    kind: str
    root: Path
    counts: list[Count] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """Number of problems."""
        return sum(finding.level == "problem" for finding in self.findings)

    def add(self, level: Level, file: Path, message: str, fix: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(level, file, message, fix))

    def failed(self, file: Path, error: FactortopyError) -> None:
        """Add a problem from a reader's error, which names the file and the remedy itself."""
        message = " ".join(str(error).split())
        for name in (str(file), file.name):
            message = message.removeprefix(name).lstrip(": ")
        self.findings.append(Finding("problem", file, message))

    def count(self, subject: str, what: str, found: int | None, published: int | None = None) -> None:
        """Add a count."""
        self.counts.append(Count(subject, what, found, published))

    def as_dict(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "problems": self.problems,
            "counts": [vars(count) for count in self.counts],
            "findings": [vars(finding) | {"file": str(finding.file)} for finding in self.findings],
        }


def check_spread(report: Report, file: Path, betas: np.ndarray, divisor: int = 1) -> None:
    """Whether sampled betas are on the scale of per cent signal change.

    Args:
        report: where the finding goes.
        file: where the sample comes from.
        betas: (trial, voxel), as the reader would give them; NaN and constant voxels are left out.
        divisor: what the file's numbers were divided by.
    """
    spread = np.nanstd(np.where(np.isfinite(betas).all(axis=0), betas, 0).astype(np.float64), axis=0)
    spread = spread[spread > 0]
    if not spread.size:
        report.add("problem", file, "all values sampled are constant, 0 or NaN", "get the file again")
        return
    median, (low, high) = float(np.median(spread)), TYPICAL_SPREAD
    scale = f"median standard deviation {median:.3g}" + (f" after division by {divisor}" if divisor > 1 else "")
    if median < low:
        remedy = "multiply by 300: betas in .mgh are per cent already, those in .hdf5 are divided once"
        report.add("problem", file, f"{scale}, expected a few per cent: divided by 300 by mistake?", remedy)
    elif median > high:
        remedy = "divide by 300 once: int16 betas are 300 times the per cent signal change"
        report.add("problem", file, f"{scale}, expected a few per cent: not divided by 300?", remedy)
    else:
        report.add("ok", file, f"{scale}: per cent signal change")
