"""Figures of channels: clusters of voxels by them (figure 8), and what regions respond to in images (figure 9)."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import dendrogram

from factortopy.analysis import COLOUR_PERCENTILES, ChannelClusters, ChannelImages, Estimate, cluster_table
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping
from factortopy.plot.colours import CLUSTER_COLOURS, UNCOLOURED, Palette, class_colours, scalar_colormap
from factortopy.plot.keys import colour_bar
from factortopy.plot.pages import map_page
from factortopy.plot.panels import CortexPanel
from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, add_axes, new_figure, shortened, styled

WAYS = {
    "paper": "channel selectors as trained, the paper's way",
    "gauge-free": "channels by what they predict, free of the gauge",
}
LINE, HEAD, FOOT = 3.6, 15.0, 15.0
"""Of clusters, mm: height of a line, above and below the lines."""
TREE, MATRIX, TEXTS, ROIS = 6.0, 41.0, 113.0, 141.0
"""Left sides of tree, similarity, numbers and ROIs, mm."""
MOST_ROIS = 9

Kind = Literal["components", "response"]
MOST_REGIONS, MOST_IMAGES = 8, 8
GAP, BELOW, LARGEST = 1.5, 13.0, 34.0
"""Of images, mm: between pictures, below the grid, and a picture's side at most."""
LOW, HIGH = COLOUR_PERCENTILES
TITLES = {
    "components": "What regions tell apart in images: their three principal channels",
    "response": "What regions respond to in images: their mean channels",
}
NOTES = {
    "components": (
        "red, green, blue: 1st, 2nd, 3rd principal channel of the region's voxels, all dark at the "
        f"{LOW:.0f}th and bright at the {HIGH:.0f}th percentile\nof the three over the images shown; "
        "in the heading, the share of the channels' squares that the three hold"
    ),
    "response": (
        "response in standard deviations, without its constant; colours from the "
        f"{LOW:.0f}th to the {HIGH:.0f}th percentile over the images shown"
    ),
}


@styled
def clusters(mapping: Mapping, clustering: ChannelClusters, *, palette: Palette = "default") -> Figure:
    """Channel clusters on the flat map; below, their tree, similarity, voxels, depth, score and ROIs.

    Raises:
        DataError: if the clusters are of other voxels, or the mapping lies on no surface that can be painted.
    """
    if len(clustering.labels) != mapping.dataset.sizes["voxel"]:
        raise DataError(
            f"the clusters are of {len(clustering.labels)} voxels and the mapping has "
            f"{mapping.dataset.sizes['voxel']}; give the mapping that was clustered"
        )
    colours = class_colours(clustering.count, palette, CLUSTER_COLOURS)
    rgba = np.vstack([np.append(UNCOLOURED, 1.0), colours])[clustering.labels]
    rows = cluster_table(mapping, clustering).to_dict("records")
    figure = map_page(
        mapping, f"Voxels in {clustering.count} clusters of channels",
        [CortexPanel(mapping, rgba, labels=clustering.labels)], [], source=WAYS[clustering.way],
        below=HEAD + LINE * clustering.count + FOOT,
        alt=f"Map of the cortex in {clustering.count} colours, the clusters' tree, similarity and table. "
        + "; ".join(f"cluster {row['cluster']}: {row['voxels']} voxels" for row in rows),
    )  # fmt: skip
    _draw_tree(figure, clustering, colours)
    _draw_similarity(figure, clustering)
    _write_numbers(figure, rows)
    _draw_rois(figure, mapping, rows)
    return figure


def _panel(figure: Figure, count: int, left: float, width: float, title: str) -> Axes:
    """Axes whose rows are the clusters, 1 on top."""
    axes = add_axes(figure, left, FOOT, width, LINE * count)
    axes.set(ylim=(count + 0.5, 0.5), yticks=())
    axes.spines[:].set_visible(False)
    # At a height of its own: names of columns would push it up.
    axes.set_title(title, loc="left", y=1, pad=17, fontsize=7)
    return axes


def _draw_tree(figure: Figure, clustering: ChannelClusters, colours: Float[np.ndarray, "cluster 4"]) -> None:
    axes = _panel(figure, clustering.count, TREE, 24, "Ward's tree")
    axes.set_gid("tree")
    drawn = dendrogram(clustering.tree, no_plot=True)
    for rows, heights in zip(drawn["icoord"], drawn["dcoord"], strict=True):
        axes.plot(heights, (np.array(rows) + 5) / 10, color=INK, linewidth=0.7, clip_on=False)
    axes.set_xlim(1.02 * clustering.tree[-1, 2], 0)
    axes.locator_params(axis="x", nbins=3)
    axes.set_xlabel("height")
    axes.spines["bottom"].set_visible(True)
    names = _panel(figure, clustering.count, TREE + 25, 9, "")
    names.set(xlim=(0, 9), xticks=())
    for number, colour in enumerate(colours, start=1):
        names.plot(1.5, number, "s", color=colour, markersize=6.5, markeredgecolor=MUTED, markeredgewidth=0.3)
        names.text(7.2, number, str(number), ha="right", va="center", fontsize=6.5)


def _draw_similarity(figure: Figure, clustering: ChannelClusters) -> None:
    count = clustering.count
    axes = _panel(figure, count, MATRIX, LINE * count, "Mean cosine between voxels of two clusters")
    axes.set_gid("similarity")
    edges = (0.5, count + 0.5, count + 0.5, 0.5)
    image = axes.imshow(
        clustering.similarity,
        cmap=scalar_colormap("difference", "colour-blind"),
        vmin=-1,
        vmax=1,
        extent=edges,
        aspect="auto",
        interpolation="nearest",
    )
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, count + 1), [str(number) for number in range(1, count + 1)], fontsize=5)
    axes.tick_params(length=0, pad=1)
    key = add_axes(figure, MATRIX, 9, min(40.0, LINE * count), 2)
    colour_bar(key, image.get_cmap(), Normalize(-1, 1), label="cosine").set_ticks([-1, 0, 1])


def _write_numbers(figure: Figure, rows: list[dict[str, Any]]) -> None:
    axes = _panel(figure, len(rows), TEXTS, 26, "")
    axes.set(xlim=(0, 26), xticks=(), gid="numbers")
    for x, title, name in ((8, "voxels", "voxels"), (16.5, "depth", "depth"), (24.5, "R²", "r2")):
        axes.text(x, 0.2, title, ha="right", va="bottom", fontsize=6.5, color=MUTED)
        for row in rows:
            value = f"{row[name]:,}" if name == "voxels" else Estimate.in_row(row, name).text(2)
            axes.text(x, row["cluster"], value, ha="right", va="center", fontsize=6.5)
    axes.text(
        0, len(rows) + 0.8, "depth by layer share:\n0 first, 1 last layer;\nR² raw, held-out images",
        va="top", fontsize=6, color=MUTED,
    )  # fmt: skip


def _draw_rois(figure: Figure, mapping: Mapping, rows: list[dict[str, Any]]) -> None:
    """Share of each cluster's voxels in each ROI, per cent; the largest ROIs if there are many."""
    sizes = {name: int(inside.sum()) for name, inside in mapping.rois.items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:MOST_ROIS]
    names = [name for name in sizes if name in largest and sizes[name]]
    if not names:
        return
    axes = _panel(figure, len(rows), ROIS, PAGE - ROIS - MARGIN, "% of voxels in ROI")
    axes.set_gid("rois")
    share = np.array([[row[f"in_{name}"] for name in names] for row in rows])
    edges = (0.5, len(names) + 0.5, len(rows) + 0.5, 0.5)
    axes.imshow(share, cmap="Greys", vmin=0, vmax=1.3, extent=edges, aspect="auto", interpolation="nearest")
    for (line, column), value in np.ndenumerate(share):
        text, colour = f"{100 * value:.0f}", "white" if value > 0.7 else INK
        if value >= 0.005:
            axes.text(column + 1, line + 1, text, ha="center", va="center", fontsize=5.5, color=colour)
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(1, len(names) + 1),
        [shortened(name, 16) for name in names],
        fontsize=5.5,
        rotation=60,
        ha="left",
        rotation_mode="anchor",
    )
    axes.tick_params(length=0, pad=0)


@styled
def channel_images(
    mapping: Mapping,
    maps: ChannelImages,
    photographs: Sequence[Float[np.ndarray, "row column 3"]],
    kind: Kind = "components",
    *,
    canonical: bool = False,
    palette: Palette = "default",
) -> Figure:
    """Photographs and, beside each, what every region responds to in it.

    Args:
        mapping: whose regions they are.
        maps: the maps; resampled bilinearly over the photographs.
        photographs: as the network sees them, RGB in 0..1, in the order of ``maps.images``.
        kind: ``"components"`` are the region's three principal channels as red, green and blue, as in the
            paper; ``"response"`` is the response of its mean channels, with a colour bar for each region.
        canonical: whether the model was in the canonical gauge, or as trained; the header says which.
        palette: of responses.

    Raises:
        UnknownNameError: if there is no such kind.
        DataError: if photographs and maps differ in number, or there are too many for a page.
    """
    if kind not in TITLES:
        raise UnknownNameError("kind", kind, TITLES)
    images, regions = len(maps.images), len(maps.regions)
    if len(photographs) != images or images > MOST_IMAGES or regions > MOST_REGIONS:
        raise DataError(
            f"{len(photographs)} photographs, maps of {images} images and {regions} regions: give one "
            f"photograph an image, at most {MOST_IMAGES} images and {MOST_REGIONS} regions a figure"
        )
    side = min((PAGE - 2 * MARGIN - regions * GAP) / (regions + 1), LARGEST)
    two_lines = kind == "components"
    figure = new_figure(
        mapping, TITLES[kind], (9.0 if two_lines else 5.0) + images * (side + GAP) + BELOW,
        source="selectors in the canonical gauge" if canonical else "selectors as trained",
        alt=f"A grid of {images} photographs and, beside each, maps of {', '.join(maps.regions)}.",
    )  # fmt: skip
    bottoms = [BELOW + (images - 1 - row) * (side + GAP) for row in range(images)]
    for bottom, photograph in zip(bottoms, photographs, strict=True):
        _picture(figure, (MARGIN, bottom, side, side), photograph, "photograph", "antialiased")
    for column, name in enumerate(shortened(region, 24) for region in maps.regions):
        left = MARGIN + (column + 1) * (side + GAP)
        pictures = maps.colours[:, column]
        if kind == "response":
            pictures = _responses(figure, (left + 2, 9.5, side - 4, 1.6), maps.response[:, column], palette)
        drawn = [
            _picture(figure, (left, bottom, side, side), picture, "map", "bilinear")
            for bottom, picture in zip(bottoms, pictures, strict=True)
        ]
        heading = f"{name}\n{maps.explained[column].sum():.0%}" if two_lines else name
        drawn[0].set_title(heading, fontsize=7, pad=3)
    height = (5.5 if two_lines else 3.0) / (figure.get_size_inches()[1] * 25.4)
    figure.text(MARGIN / PAGE, height, NOTES[kind], fontsize=6.5, color=MUTED, va="center")
    return figure


def channel_pages(maps: ChannelImages) -> list[ChannelImages]:
    """Parts that fit a figure each: the first images, and as many regions a page as there is room for."""
    images, regions = range(min(MOST_IMAGES, len(maps.images))), range(len(maps.regions))
    return [maps.part(images, regions[first : first + MOST_REGIONS]) for first in regions[::MOST_REGIONS]]


def _picture(
    figure: Figure, box: tuple[float, float, float, float], picture: np.ndarray, gid: str, interpolation: str
) -> Axes:
    axes = add_axes(figure, *box)
    axes.imshow(picture, extent=(-1, 1, -1, 1), interpolation=interpolation)
    axes.set(xticks=(), yticks=(), gid=gid)
    axes.spines[:].set_visible(False)
    return axes


def _responses(
    figure: Figure, box: tuple[float, float, float, float], responses: np.ndarray, palette: Palette
) -> Float[np.ndarray, "image row column 4"]:
    """Colours of a region's responses, and their colour bar in the box."""
    low, high = (float(limit) for limit in np.percentile(responses, COLOUR_PERCENTILES))
    colormap = scalar_colormap("scale", palette)
    bar = colour_bar(add_axes(figure, *box), colormap, Normalize(low, high))
    bar.set_ticks([low, high], labels=[f"{limit:.2f}".replace("-", "−") for limit in (low, high)])
    for label, edge in zip(bar.ax.get_xticklabels(), ("left", "right"), strict=True):
        label.set(ha=edge, fontsize=5.5)
    bar.ax.tick_params(pad=1)
    # Clipped first: below its limits the colour map would say that something is wrong.
    return np.asarray(colormap(Normalize(low, high, clip=True)(responses)))
