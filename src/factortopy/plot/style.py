"""What all figures share: sizes, fonts, the header that says what is shown, the mark of simulations, files."""

import io
import os
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, get_args

import numpy as np
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping, facts_line, patches_fact
from factortopy.storage import atomic_path

Which = Literal["share", "selector"]
Format = Literal["png", "svg", "pdf"]
Parameters = ParamSpec("Parameters")
Drawn = TypeVar("Drawn")

PAGE = 180.0
"""Width of a figure in mm: a page of two columns."""
HEADER = 17.0
"""Height of a title and two lines of facts, mm."""
LINE = 3.2
CHARACTERS = 124
"""Of a line of facts."""
TITLE, TITLE_LINE, MARK = 9.5, 4.2, 38.0
"""Size of a title, points; height of its lines and width of the mark of simulations beside it, mm."""
MARGIN = 4.0
INK, MUTED, WARNING = "#1a1d21", "#555b63", "#a63a00"
GRID = "#e3e5e8"
LINE_COLOUR = {"default": "#c8322f", "colour-blind": "#d55e00"}
"""Of a fitted line, by palette."""
COUNTED = ("network", "subject", "recipe", "split", "seed")
"""Facts of which a header says how many there are where mappings differ."""
DPI = 300
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    # A dollar sign in a name is a dollar sign.
    "text.parse_math": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": DPI,
    "svg.fonttype": "none",
    "svg.hashsalt": "factortopy",
    # TrueType, so that text in a PDF is text: found, copied and edited.
    "pdf.fonttype": 42,
}


def styled(function: Callable[Parameters, Drawn]) -> Callable[Parameters, Drawn]:
    """Run a function that draws under the house style and leave matplotlib's settings as they were."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Drawn:
        with rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


class Described(Protocol):
    """What a figure's header is made of: a mapping, or a comparison of methods."""

    @property
    def dataset(self) -> xr.Dataset: ...
    @property
    def simulated(self) -> bool: ...


@dataclass(frozen=True)
class Header:
    """Facts of a figure that is of several mappings.

    Attributes:
        dataset: whose attributes are the facts.
        simulated: whether any subject was simulated.
    """

    dataset: xr.Dataset
    simulated: bool

    @classmethod
    def of(cls, mappings: Sequence[Mapping]) -> "Header":
        """What the mappings, at least one, have in common, else how many there are."""
        facts: dict[str, Any] = {}
        for name in dict.fromkeys(str(name) for mapping in mappings for name in mapping.dataset.attrs):
            values = [mapping.dataset.attrs.get(name) for mapping in mappings]
            distinct = [value for index, value in enumerate(values) if value not in values[:index]]
            if len(distinct) == 1:
                facts[name] = distinct[0]
            elif name in COUNTED:
                facts[name] = f"{len(distinct)} in all"
            elif name.startswith("images_"):
                facts[name] = " / ".join(map(str, distinct))
        facts |= patches_fact(mapping.dataset for mapping in mappings)
        return cls(xr.Dataset(attrs=facts), any(mapping.simulated for mapping in mappings))


def new_figure(header: Described | str, title: str, height: float, *, source: str = "", alt: str) -> Figure:
    """An empty figure with its header: title, what was mapped, and a mark if the subject was simulated.

    Args:
        header: whose facts the header states (:func:`factortopy.mapping.facts`), a mapping or a comparison; or
            those facts in words.
        title: what the figure shows.
        height: height below the header, mm.
        source: what the values are taken from, e.g. ``"layer share"``.
        alt: description for readers who cannot see the figure; kept as the figure's label.
    """
    line = header if isinstance(header, str) else facts_line(header.dataset, source)
    # Lines break between facts, not inside one.
    unbroken = line.replace(" ", "\xa0").replace("\xa0·\xa0", " · ")
    lines = [part.replace("\xa0", " ") for part in textwrap.wrap(unbroken, CHARACTERS, break_on_hyphens=False)]
    simulated = not isinstance(header, str) and header.simulated
    heading = _in_width(title, PAGE - 2 * MARGIN - MARK * simulated)
    below = TITLE_LINE * heading.count("\n")
    total = height + HEADER + below + LINE * max(0, len(lines) - 2)
    figure = Figure(figsize=(PAGE / 25.4, total / 25.4), facecolor="white")
    figure.set_label(f"{title}. {line}. {alt}")
    left = MARGIN / PAGE
    figure.text(left, 1 - 3.5 / total, heading, fontsize=TITLE, fontweight="bold", va="top", gid="title")
    figure.text(
        left, 1 - (9 + below) / total, "\n".join(lines), fontsize=7, color=MUTED, va="top", linespacing=1.3, gid="facts"
    )  # fmt: skip
    if simulated:
        box = {"boxstyle": "round,pad=0.35", "facecolor": WARNING, "edgecolor": "none"}
        figure.text(
            1 - 1.6 * MARGIN / PAGE, 1 - 3.7 / total, "SIMULATED SUBJECT", fontsize=7, fontweight="bold",
            color="white", ha="right", va="top", bbox=box, gid="simulated",
        )  # fmt: skip
    return figure


def add_axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Axes whose left side and bottom are given in mm from the lower left corner of the figure, with their size."""
    page_width, page_height = figure.get_size_inches() * 25.4
    return figure.add_axes((left / page_width, bottom / page_height, width / page_width, height / page_height))


def values_of(mapping: Mapping, variable: str) -> np.ndarray:
    """A variable of the mapping as an array; a DataError if the mapping does not hold it."""
    if variable not in mapping.dataset:
        raise DataError(
            f"this mapping holds no {variable!r} (it holds {', '.join(map(str, mapping.dataset))}); "
            "compute it first, or plot the selector with which='selector'"
        )
    return mapping.found(variable)


def chosen(mapping: Mapping, kind: Literal["layer", "scale"], which: str) -> tuple[np.ndarray, str]:
    """Values of the share or the selector, and their name: a selector's says in which gauge it is.

    Raises:
        UnknownNameError: if ``which`` is neither ``"share"`` nor ``"selector"``.
        DataError: if the mapping does not hold it.
    """
    if which not in ("share", "selector"):
        raise UnknownNameError("source", which, ("share", "selector"))
    if which == "share":
        return values_of(mapping, f"{kind}_share"), f"{kind} share"
    return values_of(mapping, kind), selector_name(mapping, kind)


def selector_name(mapping: Mapping, kind: str) -> str:
    """A selector and the gauge it stands in: canonical, or as trained in mappings that do not say."""
    gauge = mapping.dataset.attrs.get("gauge")
    return f"{kind} selector, {gauge} gauge" if gauge else f"raw {kind} selector"


def wrap(label: str, characters: int) -> str:
    """A label in lines of so many characters; lines that it has stay apart."""
    return "\n".join("\n".join(textwrap.wrap(line, characters)) or line for line in label.split("\n"))


def shortened(name: str, longest: int = 44) -> str:
    """A name of no more than so many characters; a longer one without its middle."""
    half = longest // 2
    return name if len(name) <= longest else f"{name[: half - 2]}…{name[-half:]}"


def fitted(name: str, room: float, size: float = 7) -> str:
    """A name no wider than so many mm; a longer one without its middle."""
    shorter = (shortened(name, longest) for longest in range(len(name), 3, -1))
    return next((short for short in shorter if text_width(short, size) <= room), shortened(name, 4))


def text_width(words: str, size: float, weight: str = "normal") -> float:
    """Width of a line on the page, mm."""
    return size * sum(_letter_width(letter, weight) for letter in words)


@cache
def _letter_width(letter: str, weight: str) -> float:
    """Width of a letter of one point with the space around it, mm."""
    with_it, without = (
        TextPath((0, 0), words, size=100, prop=FontProperties(weight=weight)).get_extents().width
        for words in (f"n{letter}n", "nn")
    )
    return float(with_it - without) / 100 / 72 * 25.4


def _in_width(title: str, room: float) -> str:
    """A title in as few lines as are no wider than so many mm."""
    for characters in range(len(title), 1, -1):
        lines = textwrap.wrap(title, characters, break_on_hyphens=False)
        if all(text_width(line, TITLE, "bold") <= room for line in lines):
            return "\n".join(lines)
    return title


def network_names(mappings: Iterable[Mapping]) -> list[str]:
    """Names of the networks of mappings, long ones shortened."""
    return [shortened(str(mapping.dataset.attrs.get("network", "unnamed"))) for mapping in mappings]


def alt_text(figure: Figure) -> str:
    """What the figure shows, in words, for readers who cannot see it."""
    return str(figure.get_label())


def to_png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG bytes, its description inside; the same figure gives the same bytes."""
    return _render(figure, "png", dpi, transparent=False)


def save(
    figure: Figure, path: str | os.PathLike[str], formats: Sequence[Format] | None = None, *, transparent: bool = False
) -> tuple[Path, ...]:
    """Write a figure as PNG (300 dpi), SVG and PDF (text stays text, maps are pictures) and return the paths.

    Args:
        figure: what to write.
        path: where to write; a suffix ``.png``, ``.svg`` or ``.pdf`` is replaced by that of each format.
        formats: ``"png"``, ``"svg"`` and ``"pdf"``; PDF where ``path`` ends in ``.pdf``, else PNG and SVG, if None.
        transparent: no white behind the figure.

    Raises:
        DataError: if the files cannot be written or the suffix is of another format.
        UnknownNameError: if there is no such format.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg", ".eps", ".tif", ".tiff"):
        raise DataError(
            f"cannot write {path}: figures are written as .png, .svg and .pdf; leave the suffix out", path=path
        )
    known = get_args(Format)
    stem = path.with_suffix("") if suffix.removeprefix(".") in known else path
    written = []
    for kind in formats or (("pdf",) if suffix == ".pdf" else ("png", "svg")):
        if kind not in known:
            raise UnknownNameError("format", kind, known)
        target = stem.with_name(f"{stem.name}.{kind}")
        data = _render(figure, kind, DPI, transparent=transparent)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
        written.append(target)
    return tuple(written)


def _render(figure: Figure, kind: Format, dpi: int, *, transparent: bool) -> bytes:
    """The bytes of a file, which holds the figure's description and nothing that changes from day to day."""
    words = alt_text(figure)
    if kind == "png":
        metadata: dict[str, str | None] = {"Description": words, "Software": None}
    elif kind == "svg":
        metadata = {"Title": words, "Date": None, "Creator": "factortopy"}
    else:
        metadata = {"Subject": words, "CreationDate": None, "Creator": "factortopy"}
    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, transparent=transparent)
    return buffer.getvalue()
