"""Keys of colours: each gives values their colours, and draws beside the maps what the colours mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure

from factortopy.errors import DataError
from factortopy.mapping import best_layer, layer_confidence
from factortopy.plot.colours import Palette, Quantity, layer_colours, scalar_colormap, scalar_colours, space_colours
from factortopy.plot.style import INK, MUTED, add_axes, fitted, text_width

Extend = Literal["neither", "min", "max", "both"]
BAR = 3.5
"""Height of a colour bar, mm."""
LINE = 4.4
"""Height of a line of a list, mm."""
WORDS, COLUMN_GAP = 4.1, 2.0
"""Of a list: left side of its words, space between its columns, mm."""
TEXT = 3.3
"""Height of a line of text, mm."""


class Key(Protocol):
    """What a page of maps asks of a key."""

    def draw(self, figure: Figure, left: float, top: float, width: float, room: float) -> float:
        """Draw it, its axes no higher than ``room``; returns the lower edge of its labels. All lengths in mm."""


@dataclass(frozen=True)
class LayerKey:
    """Layers along x by hue and, unless switched off, confidence along y by brightness.

    Brightness means the same confidence in every figure, so that maps of different networks can be compared.

    Attributes:
        layers: names of the layers; empty where maps of several networks share the key.
        palette: of the hues.
        confidence: whether brightness is drawn.
    """

    layers: Sequence[str] = ()
    palette: Palette = "default"
    confidence: bool = True

    def colours(self, weights: Float[np.ndarray, "voxel layer"]) -> Float[np.ndarray, "voxel 4"]:
        """Hue of the layer of largest weight, brightness of its confidence."""
        return layer_colours(best_layer(weights), layer_confidence(weights), self.palette)

    def draw(self, figure: Figure, left: float, top: float, width: float, room: float) -> float:
        """See :class:`Key`."""
        height, low = min(room, 30.0), room < 20
        count, rows = len(self.layers) or 48, 64 if self.confidence else 1
        position, share = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, rows))
        shift = 4 if low and self.confidence else 0
        axes = add_axes(figure, left + shift, top - height, width - shift, height)
        axes.imshow(
            layer_colours(position, share if self.confidence else None, self.palette),
            origin="lower", aspect="auto", extent=(0.5, count + 0.5, 0.0, 1.0), interpolation="nearest",
            gid="key",
        )  # fmt: skip
        if self.layers:
            axes.set_xticks(np.unique(np.linspace(1, count, min(count, 5)).round().astype(int)))
            axes.set_xlabel(f"layer\n1: {_short(self.layers[0])}\n{count}: {_short(self.layers[-1])}")
        else:
            axes.set_xticks([0.5, count + 0.5], ["first", "last layer"])
        bottom = top - height - (4 if self.layers else 2) * TEXT
        if not self.confidence:
            axes.set_yticks([])
            return bottom
        axes.set_yticks([0, 1] if low else [0, 0.5, 1], ["0", "1"] if low else ["0", "0.5", "1"])
        axes.set_ylabel("confidence")
        return bottom


@dataclass(frozen=True)
class SpaceKey:
    """The image, each place in its colour."""

    palette: Palette = "default"

    def colours(self, space: Float[np.ndarray, "voxel 2"]) -> Float[np.ndarray, "voxel 4"]:
        """Colour of the place that each voxel reads."""
        return space_colours(space, self.palette)

    def draw(self, figure: Figure, left: float, top: float, width: float, room: float) -> float:
        """See :class:`Key`."""
        side = min(width, room)
        axes = add_axes(figure, left + (width - side) / 2, top - side, side, side)
        middle = np.linspace(-1, 1, 129)[:-1] + 1 / 128
        axes.imshow(
            space_colours(np.stack(np.meshgrid(middle, middle), axis=-1), self.palette),
            extent=(-1, 1, 1, -1), gid="key", interpolation="bilinear",
        )  # fmt: skip
        axes.axhline(0, color="white", linewidth=0.6)
        axes.axvline(0, color="white", linewidth=0.6)
        axes.plot(0, 0, "+", color=INK, markersize=6, markeredgewidth=1)
        if side > 20:
            labels = {"xlabel": "x in the image (right +)", "ylabel": "y in the image (down +)"}
            axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1), **labels)
        else:
            axes.set(xticks=(), yticks=(), xlabel="x in the image", ylabel="y")
            axes.xaxis.labelpad = axes.yaxis.labelpad = 2
        return top - side - 2.5 * TEXT


@dataclass(frozen=True, eq=False)
class BarKey:
    """A colour bar; its ends are pointed where values lie beyond.

    Attributes:
        colormap: the colours.
        limits: values of the first and the last colour; signs are shown where they lie around 0.
        label: what the values are.
        values: all that is painted.
    """

    colormap: Colormap
    limits: tuple[float, float]
    label: str
    values: Float[np.ndarray, "*map voxel"]

    @classmethod
    def scalar(
        cls,
        values: Float[np.ndarray, "*map voxel"],
        limits: tuple[float, float],
        quantity: Quantity,
        palette: Palette,
        label: str,
    ) -> "BarKey":
        """The key of a scalar; the label says how many voxels lie below the limits."""
        below = (np.atleast_2d(values) < limits[0]).any(axis=0)
        if below.any():
            share = f"{below.mean():.0%}" if below.mean() >= 0.005 else "under 1%"
            label += f"\n{share} of vertices below {limits[0]:g}:\nslate grey"
        return cls(scalar_colormap(quantity, palette), limits, label, values)

    @classmethod
    def diverging(cls, values: Float[np.ndarray, "*map voxel"], palette: Palette, label: str) -> "BarKey":
        """The key of differences, around 0 in white; the largest shown is the 98th percentile, rounded up.

        Raises:
            DataError: if no value is known.
        """
        if not np.isfinite(values).any():
            raise DataError("no voxel has this quantity in both mappings; there is no difference to paint")
        largest = max(float(np.nanpercentile(np.abs(values), 98)), 1e-3)
        step = 10.0 ** np.floor(np.log10(largest)) / 2
        largest = float(np.ceil(largest / step) * step)
        return cls(scalar_colormap("difference", palette), (-largest, largest), label, values)

    def colours(self, values: Float[np.ndarray, "voxel"]) -> Float[np.ndarray, "voxel 4"]:
        """Colours of values; NaN is transparent."""
        return scalar_colours(values, self.limits, self.colormap)

    def draw(self, figure: Figure, left: float, top: float, width: float, room: float) -> float:  # noqa: ARG002
        """See :class:`Key`."""
        low, high = self.limits
        below, above = np.nanmin(self.values) < low, np.nanmax(self.values) > high
        extend: Extend = ("both" if above else "min") if below else ("max" if above else "neither")
        axes = add_axes(figure, left, top - BAR, width, BAR)
        bar = colour_bar(axes, self.colormap, Normalize(low, high), extend=extend, label=self.label)
        labels = [f"−{high:g}", "0", f"+{high:g}"] if low == -high else None
        bar.set_ticks([low, (low + high) / 2, high], labels=labels)
        return top - BAR - (2 + self.label.count("\n")) * TEXT


@dataclass(frozen=True, eq=False)
class ListKey:
    """Colours with words, and numbers in columns beside them.

    Attributes:
        entries: colour, words and numbers of each line; no colour is drawn where it is None.
        heads: of the columns of numbers.
    """

    entries: Sequence[tuple[Any, ...]]
    heads: tuple[str, ...] = ()

    def draw(self, figure: Figure, left: float, top: float, width: float, room: float) -> float:  # noqa: ARG002
        """See :class:`Key`."""
        entries = [(None, "", *self.heads), *self.entries] if any(self.heads) else self.entries
        bottom, width = top - LINE * len(entries), width + 6
        axes = add_axes(figure, left - 3, bottom, width, top - bottom)
        axes.set(xlim=(0, width), ylim=(len(entries) - 0.5, -0.5))
        axes.set_axis_off()
        axes.set_gid("key")
        edges = _column_edges(entries, width)
        for row, (colour, words, *numbers) in enumerate(entries):
            if colour is not None:
                axes.plot(1.2, row, "s", color=colour, markersize=6, markeredgecolor=MUTED, markeredgewidth=0.4)
            free = width
            for edge, number in zip(edges, map(str, numbers), strict=False):
                axes.text(edge, row, number, ha="right", va="center", fontsize=7)
                free = min(free, edge - text_width(number, 7) - COLUMN_GAP)
            axes.text(WORDS, row, fitted(words, free - WORDS), va="center", fontsize=7)
        return bottom


def _column_edges(entries: Sequence[tuple[Any, ...]], width: float) -> list[float]:
    """Right sides of the columns of numbers, each as wide as its widest, the last one's at the right, mm."""
    columns = zip_longest(*(map(str, numbers) for _, _, *numbers in entries), fillvalue="")
    widths = [max(text_width(number, 7) for number in column) for column in columns]
    return [width - sum(widths[place + 1 :]) - COLUMN_GAP * (len(widths) - 1 - place) for place in range(len(widths))]


def colour_bar(
    axes: Axes, colormap: Colormap | str, norm: Normalize, *, label: str = "", extend: Extend = "neither"
) -> Any:
    """matplotlib's horizontal colour bar, filling its axes; ``extend`` names the ends that are pointed."""
    axes.set_gid("key")
    bar = Colorbar(axes, ScalarMappable(norm, colormap), orientation="horizontal", extend=extend)
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]
    bar.set_label(label, labelpad=2)
    return bar


def round_up(value: float, least: float) -> float:
    """A limit of colours: rounded up to a multiple of 0.05, and at least so much."""
    return max(least, float(np.ceil(value * 20) / 20))


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"…{name[-11:]}"
