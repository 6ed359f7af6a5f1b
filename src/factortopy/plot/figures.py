"""The figures that need nothing but a mapping, by name."""

from typing import TYPE_CHECKING, Protocol

from factortopy.errors import UnknownNameError
from factortopy.mapping import Mapping
from factortopy.plot._hierarchy import hierarchy
from factortopy.plot.charts import space_dots
from factortopy.plot.colours import Palette
from factortopy.plot.maps import layers, rois, scale, scores, space

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FigureFunction(Protocol):
    """Draws one figure of a mapping."""

    def __call__(self, mapping: Mapping, *, palette: Palette = "default") -> "Figure": ...


class FadingFunction(FigureFunction, Protocol):
    """Draws one figure that can be pale where the prediction is uncertain."""

    def __call__(self, mapping: Mapping, *, palette: Palette = "default", fade: bool = False) -> "Figure": ...


def layers_selector(mapping: Mapping, *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Layer map of the selector; see :func:`layers`."""
    return layers(mapping, "selector", palette=palette, fade=fade)


def scale_selector(mapping: Mapping, *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Scale map of the selector; see :func:`scale`."""
    return scale(mapping, "selector", palette=palette, fade=fade)


FADING: dict[str, FadingFunction] = {
    "layers": layers,
    "layers_selector": layers_selector,
    "space": space,
    "scale": scale,
    "scale_selector": scale_selector,
}
"""Figures of what is read, which means little where R^2 is uncertain."""
ALL_FIGURES: dict[str, FigureFunction] = {
    "layers": layers,
    "layers_selector": layers_selector,
    "space": space,
    "space_dots": space_dots,
    "scale": scale,
    "scale_selector": scale_selector,
    "scores": scores,
    "rois": rois,
    "hierarchy": hierarchy,
}
"""Figure functions by name, in the order in which they are best read."""


def draw(name: str, mapping: Mapping, *, palette: Palette = "default", fade: bool = False) -> "Figure":
    """Draw a figure by its name.

    Args:
        name: one of ``ALL_FIGURES``.
        mapping: what to show.
        palette: ``"default"`` or ``"colour-blind"``.
        fade: pale where the prediction is uncertain, in the figures of ``FADING``.

    Raises:
        UnknownNameError: if there is no such figure, or an ROI it needs is missing.
        DataError: if the mapping lacks what the figure shows, or limits of R^2 to fade by.
    """
    if name not in ALL_FIGURES:
        raise UnknownNameError("figure", name, ALL_FIGURES)
    if fade and name in FADING:
        return FADING[name](mapping, palette=palette, fade=True)
    return ALL_FIGURES[name](mapping, palette=palette)
