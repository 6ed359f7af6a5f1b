"""One figure or table of the paper: what it needs, how it is made, and how its results are written."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from factortopy.analysis import table_of
from factortopy.paper.numbers import Row
from factortopy.paper.study import Job, Study
from factortopy.plot import alt_text, save
from factortopy.provenance import provenance
from factortopy.storage import write_table, write_text


@dataclass(frozen=True)
class Result:
    """What an item gives.

    Attributes:
        figures: pictures by name; the item's own name for the main one.
        tables: lines of numbers by name; the item's own name for the main one.
        notes: what a reader must know to read them.
    """

    figures: dict[str, Figure]
    tables: dict[str, list[Row]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A figure or table.

    Attributes:
        name: as on the command line, ``"figure3"``.
        title: what it shows.
        jobs: the fits that it is made from.
        make: makes it.
        more: what it needs beside tokens and fits, in words.
        fine_tuned: how many networks it fine-tunes, each with a fit before and one after.
    """

    name: str
    title: str
    jobs: Callable[[Study], Sequence[Job]]
    make: Callable[[Study], Result]
    more: str = ""
    fine_tuned: Callable[[Study], int] = lambda _: 0


SIMULATED_NOTE = (
    "SIMULATED subjects: responses were made from the tokens of CLIP B/16 (OpenAI); numbers are not "
    "comparable to the paper's and stand beside them only to show the form"
)


SHOWN_NOTES = {
    "authors": "networks saw photographs as the paper's authors showed them: the whole picture, bilinear, ImageNet's "
    "mean and standard deviation; diffusion in its own way",
    None: "every network saw photographs as it was trained to; the paper's authors showed all of them in one way",
}


KEPT_NOTE = "the fits were made before, such as by a sweep: how is written in each one's provenance"


def _notes(study: Study) -> list[str]:
    simulated = [SIMULATED_NOTE] if study.plan.simulated else []
    simulated += ["SIMULATED subjects: numbers are not comparable to the paper's"] if study.simulated else []
    return [*simulated[:1], KEPT_NOTE if study.plan.kept else SHOWN_NOTES[study.plan.shown]]


def _how(study: Study) -> dict[str, Any]:
    """How the fits were made, or which were read."""
    if study.plan.kept:
        return {"fits": list(map(str, dict.fromkeys(study.read)))}
    settings = study.plan.settings().model_dump(exclude_none=True)
    return {"preprocessing": study.plan.shown or "own", "settings": settings}


def write_result(item: Item, result: Result, study: Study) -> list[Path]:
    """Write pictures as PNG and SVG, tables as CSV, and all in words and numbers as JSON, to ``work/<item>``."""
    folder = study.plan.work / item.name
    paths = [path for name, figure in result.figures.items() for path in save(figure, folder / name)]
    paths += [write_table(folder / f"{name}.csv", table_of(rows)) for name, rows in result.tables.items()]
    facts = provenance(
        item=item.name,
        title=item.title,
        simulated=study.simulated,
        notes=[*_notes(study), *result.notes],
        left_out=study.left_out,
        subjects=study.subjects,
        **_how(study),
        pictures={name: alt_text(figure) for name, figure in result.figures.items()},
        tables=result.tables,
    )
    paths.append(write_text(folder / f"{item.name}.json", json.dumps(facts, indent=2, default=float)))
    return paths
