"""What all figures share: sizes, fonts, the header that says what is shown, and the mark of simulations."""

import textwrap
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol

import numpy as np

from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping, facts_line

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Which = Literal["share", "selector"]
Parameters = ParamSpec("Parameters")

PAGE = 180.0
"""Width of a figure in mm: a page of two columns."""
HEADER = 17.0
"""Height of a title and two lines of facts, mm."""
LINE = 3.2
CHARACTERS = 124
"""Of a line of facts."""
MARGIN = 4.0
INK, MUTED, WARNING = "#1a1d21", "#555b63", "#a63a00"
LINE_COLOUR = {"default": "#c8322f", "colour-blind": "#d55e00"}
"""Of a fitted line, by palette."""
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
    "savefig.dpi": 300,
    "svg.fonttype": "none",
    "svg.hashsalt": "factortopy",
}


def styled(function: Callable[Parameters, "Figure"]) -> "Callable[Parameters, Figure]":
    """Run a figure function under the house style and leave matplotlib's settings as they were."""

    @wraps(function)
    def wrapper(*args: Parameters.args, **kwargs: Parameters.kwargs) -> "Figure":
        from matplotlib import rc_context

        with rc_context(STYLE):
            return function(*args, **kwargs)

    return wrapper


class Described(Protocol):
    """What a figure's header is made of: a mapping, or a comparison of methods."""

    @property
    def dataset(self) -> "xr.Dataset": ...
    @property
    def simulated(self) -> bool: ...


def new_figure(mapping: Described, title: str, height: float, *, source: str = "", alt: str) -> "Figure":
    """An empty figure with its header: title, what was mapped, and a mark if the subject was simulated.

    Args:
        mapping: whose facts the header states (:func:`factortopy.mapping._facts`); a mapping or a comparison.
        title: what the figure shows.
        height: height below the header, mm.
        source: what the values are taken from, e.g. ``"layer share"``.
        alt: description for readers who cannot see the figure; kept as the figure's label.
    """
    from matplotlib.figure import Figure

    line = facts_line(mapping.dataset, source)
    # Lines break between facts, not inside one.
    unbroken = line.replace(" ", "\xa0").replace("\xa0·\xa0", " · ")
    lines = [part.replace("\xa0", " ") for part in textwrap.wrap(unbroken, CHARACTERS, break_on_hyphens=False)]
    total = height + HEADER + LINE * max(0, len(lines) - 2)
    figure = Figure(figsize=(PAGE / 25.4, total / 25.4), facecolor="white")
    figure.set_label(f"{title}. {line}. {alt}")
    left = MARGIN / PAGE
    figure.text(left, 1 - 3.5 / total, title, fontsize=9.5, fontweight="bold", va="top", gid="title")
    figure.text(left, 1 - 9 / total, "\n".join(lines), fontsize=7, color=MUTED, va="top", linespacing=1.3, gid="facts")
    if mapping.simulated:
        box = {"boxstyle": "round,pad=0.35", "facecolor": WARNING, "edgecolor": "none"}
        figure.text(
            1 - 1.6 * MARGIN / PAGE, 1 - 3.7 / total, "SIMULATED SUBJECT", fontsize=7, fontweight="bold",
            color="white", ha="right", va="top", bbox=box, gid="simulated",
        )  # fmt: skip
    return figure


def add_axes(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Axes at a place given in mm from the lower left corner of the figure."""
    page_width, page_height = figure.get_size_inches() * 25.4
    return figure.add_axes((left / page_width, bottom / page_height, width / page_width, height / page_height))


def values_of(mapping: Mapping, variable: str) -> np.ndarray:
    """A variable of the mapping as an array.

    Raises:
        DataError: if the mapping does not hold it.
    """
    if variable not in mapping.dataset:
        raise DataError(
            f"this mapping holds no {variable!r} (it holds {', '.join(map(str, mapping.dataset))}); "
            "compute it first, or plot the selector with which='selector'"
        )
    return np.asarray(mapping.dataset[variable].values)


def chosen(which: str, names: tuple[str, str]) -> str:
    """The variable that ``which`` stands for.

    Args:
        which: ``"share"`` or ``"selector"``.
        names: variable of the share and of the selector.

    Raises:
        UnknownNameError: if ``which`` is neither.
    """
    if which not in ("share", "selector"):
        raise UnknownNameError("source", which, ("share", "selector"))
    return names[0] if which == "share" else names[1]
