"""Figure of ROI channel images (figure 9): photographs, and beside each what regions respond to in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from factortopy.analysis import COLOUR_PERCENTILES, ChannelImages
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping
from factortopy.plot.colours import Palette, scalar_colormap
from factortopy.plot.keys import colour_bar
from factortopy.plot.style import MARGIN, MUTED, PAGE, add_axes, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["components", "response"]
MOST_REGIONS, MOST_IMAGES = 8, 8
GAP, FOOT, LARGEST = 1.5, 13.0, 34.0
"""Lengths in mm: between pictures, below the grid, and of a picture's side at most."""
TITLE = {"components": 9.0, "response": 5.0}
"""Above the grid, mm: headings of two lines or of one."""


GAUGES = {False: "selectors as trained", True: "selectors in the canonical gauge"}


@styled
def channel_images(
    mapping: Mapping,
    maps: ChannelImages,
    photographs: Sequence[Float[np.ndarray, "row column 3"]],
    kind: Kind = "components",
    *,
    canonical: bool = False,
    palette: Palette = "default",
) -> "Figure":
    """Photographs and, beside each, what every region responds to in it.

    Args:
        mapping: whose regions they are.
        maps: the maps; resampled bilinearly over the photographs.
        photographs: as the network sees them, RGB in 0..1, in the order of ``maps.images``.
        kind: ``"components"`` are the region's three principal channels as red, green and blue, as in the
            paper; ``"response"`` is the response of its mean channels, with a colour bar for each region.
        canonical: whether the model was in the canonical gauge, or as trained; the header says which.
        palette: of responses, ``"default"`` or ``"colour-blind"``.

    Raises:
        UnknownNameError: if there is no such kind.
        DataError: if photographs and maps differ in number, or there are too many for a page.
    """
    if kind not in ("components", "response"):
        raise UnknownNameError("kind", kind, ("components", "response"))
    images, regions = len(maps.images), len(maps.regions)
    if len(photographs) != images or images > MOST_IMAGES or regions > MOST_REGIONS:
        raise DataError(
            f"{len(photographs)} photographs, maps of {images} images and {regions} regions: give one "
            f"photograph an image, at most {MOST_IMAGES} images and {MOST_REGIONS} regions a figure"
        )
    side = min((PAGE - 2 * MARGIN - regions * GAP) / (regions + 1), LARGEST)
    title = {
        "components": "What regions tell apart in images: their three principal channels",
        "response": "What regions respond to in images: their mean channels",
    }[kind]
    figure = new_figure(
        mapping, title, TITLE[kind] + images * (side + GAP) + FOOT, source=GAUGES[canonical],
        alt=f"A grid of {images} photographs and, beside each, maps of {', '.join(maps.regions)}.",
    )  # fmt: skip
    for row, photograph in enumerate(photographs):
        _draw_row(figure, maps, photograph, row, side, kind, palette)
    if kind == "response":
        for column in range(regions):
            _colour_bar(figure, maps, column, side, palette)
    _write_note(figure, kind)
    return figure


def channel_pages(maps: ChannelImages) -> list[ChannelImages]:
    """Parts that fit a figure each: the first images, and as many regions a page as there is room for."""
    images, regions = range(min(MOST_IMAGES, len(maps.images))), range(len(maps.regions))
    return [maps.part(images, regions[first : first + MOST_REGIONS]) for first in regions[::MOST_REGIONS]]


def _draw_row(
    figure: "Figure",
    maps: ChannelImages,
    photograph: Float[np.ndarray, "row column 3"],
    row: int,
    side: float,
    kind: Kind,
    palette: Palette,
) -> None:
    bottom = FOOT + (len(maps.images) - 1 - row) * (side + GAP)
    axes = _picture(figure, 0, bottom, side)
    axes.imshow(photograph, extent=(-1, 1, -1, 1), interpolation="antialiased")
    axes.set_gid("photograph")
    for column in range(len(maps.regions)):
        axes = _picture(figure, column + 1, bottom, side)
        axes.set_gid("map")
        _draw(axes, maps, row, column, kind, palette)
        if row == 0:
            axes.set_title(_heading(maps, column, kind), fontsize=7, pad=3)


def _write_note(figure: "Figure", kind: Kind) -> None:
    low, high = COLOUR_PERCENTILES
    note, height = {
        "components": (
            "red, green, blue: 1st, 2nd, 3rd principal channel of the region's voxels, dark at the "
            f"{low:.0f}th and bright at the {high:.0f}th percentile over\nthe images shown; "
            "in the heading, the share of the channels' variance that the three hold",
            5.5,
        ),
        "response": (
            "response in standard deviations, without its constant; colours from the "
            f"{low:.0f}th to the {high:.0f}th percentile over the images shown",
            3.0,
        ),
    }[kind]
    position = MARGIN / PAGE, height / (figure.get_size_inches()[1] * 25.4)
    figure.text(*position, note, fontsize=6.5, color=MUTED, va="center")


def _picture(figure: "Figure", column: int, bottom: float, side: float) -> "Axes":
    axes = add_axes(figure, MARGIN + column * (side + GAP), bottom, side, side)
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_visible(False)
    return axes


def _limits(maps: ChannelImages, column: int) -> tuple[float, float]:
    low, high = np.percentile(maps.response[:, column], COLOUR_PERCENTILES)
    return float(low), float(high)


def _draw(axes: "Axes", maps: ChannelImages, row: int, column: int, kind: str, palette: Palette) -> None:
    from matplotlib.colors import Normalize

    options = {"extent": (-1, 1, -1, 1), "interpolation": "bilinear"}
    if kind == "components":
        axes.imshow(maps.colours[row, column], **options)  # type: ignore[arg-type]
        return
    # Clipped first: below its limits the colour map would say that something is wrong.
    values = Normalize(*_limits(maps, column), clip=True)(maps.response[row, column])
    axes.imshow(scalar_colormap("scale", palette)(values), **options)  # type: ignore[arg-type]


def _heading(maps: ChannelImages, column: int, kind: str) -> str:
    name = maps.regions[column]
    return f"{name}\n{maps.explained[column].sum():.0%}" if kind == "components" else name


def _colour_bar(figure: "Figure", maps: ChannelImages, column: int, side: float, palette: Palette) -> None:
    from matplotlib.colors import Normalize

    axes = add_axes(figure, MARGIN + (column + 1) * (side + GAP) + 2, 9.5, side - 4, 1.6)
    limits = _limits(maps, column)
    bar = colour_bar(axes, scalar_colormap("scale", palette), Normalize(*limits))
    bar.set_ticks(list(limits), labels=[f"{limit:.2f}".replace("-", "−") for limit in limits])
    for label, edge in zip(bar.ax.get_xticklabels(), ("left", "right"), strict=True):
        label.set(ha=edge, fontsize=5.5)
    bar.ax.tick_params(pad=1)
