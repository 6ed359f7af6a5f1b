"""What a data set is to the rest of the house: told from its folder, checked, and read."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factortopy.datasets.findings import Report
from factortopy.images import ImageSet
from factortopy.subjects import Subject


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
