"""What a data set is to the rest of the house (told from its folder, checked, read), and the report of a check."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, Shaped

from factortopy.errors import DataError, FactortopyError
from factortopy.images import ImageSet, Split
from factortopy.subjects import Recording, Subject

Level = Literal["ok", "note", "problem"]
TYPICAL_SPREAD = (0.2, 50.0)
"""Between these lies the median standard deviation of betas in per cent signal change: a few per cent. The
bounds are a rule of thumb; a wrong factor of 300 falls far outside."""
SAMPLED = 64
"""Rows or voxels of which values are read, spread over a file."""


@dataclass(frozen=True)
class Finding:
    """What was expected of a file, what was found, and what to do.

    It is a ``"problem"`` where the data cannot be used as they are, a ``"note"`` where they can but differ from the
    published ones.
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
        progress: whether a check that takes long shows a bar.
    """

    kind: str
    title: str
    root: Path
    published: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    counts: list[Count] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    progress: bool = True

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
        """Add numbers of what is counted (None where that cannot be said) beside the published ones.

        The first word of ``subject`` is the name of the subject; what else it says is of which of its data.
        """
        published = self.published.get(subject.partition(" ")[0], {})
        self.counts += [Count(subject, what, found, published.get(what)) for what, found in counted.items()]

    def differing(self, subject: str) -> list[str]:
        """What of a subject is there in other numbers than the published ones."""
        of_subject = (count for count in self.counts if count.subject == subject)
        return [count.what for count in of_subject if count.published not in (None, count.found)]

    def as_dict(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "problems": self.problems,
            "counts": [vars(count) for count in self.counts],
            "findings": [vars(finding) | {"file": str(finding.file)} for finding in self.findings],
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class DataSet:
    """A kind of folder: how it is recognised, checked and read.

    Attributes:
        name: short name, e.g. ``"nsd"``; the ``kind`` in reports and provenance.
        title: as tables print it.
        expected: what a message says such a folder holds; empty where it holds no subject.
        recognises: whether a folder is of this kind, by names and small markers alone; see ``holding``.
        subjects: numbers of the subjects of a folder, ascending, none where it is one subject's own; see
            ``numbered``. None where all folders hold one subject.
        load: reads a subject: ``load(path, subject=number, progress=True, **options)``, without ``subject``
            where folders hold one. None where they hold none.
        images: opens the photographs in a folder, of all its subjects where they share a file; gives None, or
            is None, where there are none.
        like: facts of a subject's provenance that are options of ``load`` and say which voxels are read: what another
            recording of the same person is read with to score a mapping on it.
        split: gives a published split by its name: ``split(path, subject, name, seed=0)``, whose ``source`` says from
            which file. None where none are published.
        check: adds counts and findings to a report; an error ends it and becomes a problem.
        counts_file: TOML with what the authors counted: a table a subject.
        paper_options: for ``load``, in the paper's figures and tables.
    """

    name: str
    title: str
    expected: str = ""
    recognises: Callable[[Path], bool]
    subjects: Callable[[Path], tuple[int, ...]] | None = None
    load: Callable[..., Subject] | None = None
    images: Callable[[Path], ImageSet | None] | None = None
    like: tuple[str, ...] = ()
    split: Callable[..., Split] | None = None
    check: Callable[[Path, Report], None]
    counts_file: Path | None = None
    paper_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def published(self) -> dict[str, dict[str, int]]:
        """What the authors counted, by subject."""
        return {} if self.counts_file is None else tomllib.loads(self.counts_file.read_text(encoding="utf-8"))

    def subject_numbers(self, path: Path) -> tuple[int, ...]:
        """Numbers of the subjects among which a folder lets one choose."""
        return () if self.subjects is None else self.subjects(path)


def holding(*patterns: str) -> Callable[[Path], bool]:
    """Whether a folder holds a file or folder of one of these patterns."""
    return lambda path: any(next(path.glob(pattern), None) is not None for pattern in patterns)


def numbered(*patterns: str) -> Callable[[Path], tuple[int, ...]]:
    """The first number in the name of each file of these patterns; 1 where there is none."""

    def subjects(path: Path) -> tuple[int, ...]:
        names = [file.name for pattern in patterns for file in path.glob(pattern)]
        return tuple(sorted({int(match[0]) for name in names if (match := re.search(r"\d+", name))})) or (1,)

    return subjects


def spread_over(count: int) -> Int[np.ndarray, "sample"]:
    """Up to 64 indices below ``count``, from the first to the last."""
    return np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).astype(int))


def check_spread(report: Report, file: Path, betas: Shaped[np.ndarray, "trial voxel"], divisor: int = 1) -> None:
    """Whether sampled betas are on the scale of per cent signal change, after division by ``divisor``.

    They are as the reader would give them; NaN and constant voxels are left out.
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
    """Whether some voxels of a part of the first session have values, on the scale of per cent signal change."""
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
