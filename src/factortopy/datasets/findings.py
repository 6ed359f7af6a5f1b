"""What a look at a data set's folder finds: counts beside the published ones, faults and remedies."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, Shaped

from factortopy.errors import DataError, FactortopyError
from factortopy.subjects import Recording

Level = Literal["ok", "note", "problem"]
TYPICAL_SPREAD = (0.2, 50.0)
"""Between these lies the median standard deviation of betas in per cent signal change: a few per cent. The
bounds are a rule of thumb; a wrong factor of 300 falls far outside."""
SAMPLED = 64
"""Rows or voxels of which values are read, spread over a file."""


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
        kind: name of the data set.
        title: its name as tables print it.
        root: the folder.
        published: counts that the authors published, by subject.
        counts, findings: what was found.
    """

    kind: str
    title: str
    root: Path
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> int:
        """Number of problems."""
        return sum(finding.level == "problem" for finding in self.findings)

    def add(self, level: Level, file: Path, message: str, fix: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(level, file, message, fix))

    @contextmanager
    def problems_at(self, file: Path) -> Iterator[None]:
        """Turn an error inside into a problem of the file that it names, or of this one; what follows it is skipped."""
        try:
            yield
        except FactortopyError as error:
            named = error.path if isinstance(error, DataError) and error.path is not None else file
            message = " ".join(str(error).split())
            for name in (str(named), named.name):
                message = message.removeprefix(name).lstrip(": ")
            self.add("problem", named, message)

    def count(self, subject: str, counted: Mapping[str, int | None]) -> None:
        """Add counts of a subject beside the published ones of its name, which is the first word of ``subject``.

        Args:
            subject: name of the subject, and what of it is counted.
            counted: numbers by what they count; None where that cannot be said.
        """
        published = self.published.get(subject.partition(" ")[0], {})
        self.counts += [Count(subject, what, found, published.get(what)) for what, found in counted.items()]

    def differing(self, subject: str) -> list[str]:
        """What of a subject is there in other numbers than the published ones."""
        return [
            count.what
            for count in self.counts
            if count.subject == subject and count.published not in (None, count.found)
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "problems": self.problems,
            "counts": [vars(count) for count in self.counts],
            "findings": [vars(finding) | {"file": str(finding.file)} for finding in self.findings],
        }


def spread_over(count: int) -> Int[np.ndarray, "sample"]:
    """Up to 64 indices below ``count``, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).astype(int))


def check_spread(report: Report, file: Path, betas: Shaped[np.ndarray, "trial voxel"], divisor: int = 1) -> None:
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


def check_recorded(report: Report, file: Path, recording: Recording, part: str) -> None:
    """Whether some voxels of a part of the first session have values, on the scale of per cent signal change.

    Args:
        report: where the findings go.
        file: where the betas lie.
        recording: the betas.
        part: e.g. ``"left"``.
    """
    columns = recording.columns(part)
    if not len(columns):
        return
    columns = columns[spread_over(len(columns))]
    with report.problems_at(file):
        betas = recording.read(recording.sessions[0], part, columns) / recording.divisor
        unmeasured = int((~np.isfinite(betas)).any(axis=0).sum())
        if unmeasured:
            share = f"{unmeasured} of {len(columns)} voxels sampled hold NaN"
            report.add("note", file, f"{share}: voxels without values are left out and remembered")
        check_spread(report, file, betas, recording.divisor)
