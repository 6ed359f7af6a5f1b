"""Figure of channel clusters (figure 8): where they lie, how alike they are, what each holds."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from factortopy.analysis import ChannelClusters, Estimate, cluster_table
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.plot.colours import UNCOLOURED, Palette, cluster_colours
from factortopy.plot.keys import colour_bar
from factortopy.plot.panels import FlatPanel, map_page
from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, add_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCES = {
    "paper": "channel selectors as trained, the paper's way",
    "gauge-free": "channels by what they predict, free of the gauge",
}
LINE, HEAD, FOOT = 3.6, 15.0, 15.0
TREE, MATRIX, TEXTS, ROIS = 6.0, 41.0, 113.0, 141.0
"""Left sides of tree, similarity, numbers and ROIs, mm."""
MOST_ROIS = 9


@styled
def clusters(mapping: Mapping, clustering: ChannelClusters, *, palette: Palette = "default") -> "Figure":
    """Channel clusters on the flat map; below, their tree, similarity, voxels, depth, score and ROIs.

    Args:
        mapping: whose voxels were clustered.
        clustering: the clusters.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the clusters are of other voxels, or the mapping lies on no surface that can be painted.
    """
    if len(clustering.labels) != mapping.dataset.sizes["voxel"]:
        raise DataError(
            f"the clusters are of {len(clustering.labels)} voxels and the mapping has "
            f"{mapping.dataset.sizes['voxel']}; give the mapping that was clustered"
        )
    colours = cluster_colours(clustering.count, palette)
    rgba = np.vstack([np.append(UNCOLOURED, 1.0), colours])[clustering.labels]
    rows = cluster_table(mapping, clustering).to_dict("records")
    figure = map_page(
        mapping, f"Voxels in {clustering.count} clusters of channels",
        [FlatPanel(mapping, rgba, labels=clustering.labels)], [], source=SOURCES[clustering.way],
        below=HEAD + LINE * clustering.count + FOOT,
        alt=f"Flat map of the cortex in {clustering.count} colours, the clusters' tree, similarity and table. "
        + "; ".join(f"cluster {row['cluster']}: {row['voxels']} voxels" for row in rows),
    )  # fmt: skip
    _draw_tree(figure, clustering, colours)
    _draw_similarity(figure, clustering)
    _write_numbers(figure, rows)
    _draw_rois(figure, mapping, rows)
    return figure


def _panel(figure: "Figure", count: int, left: float, width: float, title: str) -> "Axes":
    """Axes whose rows are the clusters, 1 on top."""
    axes = add_axes(figure, left, FOOT, width, LINE * count)
    axes.set(ylim=(count + 0.5, 0.5), yticks=())
    axes.spines[:].set_visible(False)
    # At a height of its own: names of columns would push it up.
    axes.set_title(title, loc="left", y=1, pad=17, fontsize=7)
    return axes


def _draw_tree(figure: "Figure", clustering: ChannelClusters, colours: Float[np.ndarray, "cluster 4"]) -> None:
    from scipy.cluster.hierarchy import dendrogram

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


def _draw_similarity(figure: "Figure", clustering: ChannelClusters) -> None:
    from matplotlib.colors import Normalize

    count = clustering.count
    axes = _panel(figure, count, MATRIX, LINE * count, "Mean cosine between voxels of two clusters")
    axes.set_gid("similarity")
    edges = (0.5, count + 0.5, count + 0.5, 0.5)
    image = axes.imshow(
        clustering.similarity, cmap="PuOr_r", vmin=-1, vmax=1, extent=edges, aspect="auto", interpolation="nearest"
    )
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, count + 1), [str(number) for number in range(1, count + 1)], fontsize=5)
    axes.tick_params(length=0, pad=1)
    key = add_axes(figure, MATRIX, 9, min(40.0, LINE * count), 2)
    colour_bar(key, image.get_cmap(), Normalize(-1, 1), label="cosine").set_ticks([-1, 0, 1])


def _write_numbers(figure: "Figure", rows: list[dict[str, Any]]) -> None:
    axes = _panel(figure, len(rows), TEXTS, 26, "")
    axes.set(xlim=(0, 26), xticks=())
    axes.set_gid("numbers")
    for x, name in ((8, "voxels"), (16.5, "depth"), (24.5, "R²")):
        axes.text(x, 0.2, name, ha="right", va="bottom", fontsize=6.5, color=MUTED)
    for row in rows:
        values = (f"{row['voxels']:,}", *(Estimate.in_row(row, name).text(2) for name in ("depth", "r2")))
        for x, value in zip((8, 16.5, 24.5), values, strict=True):
            axes.text(x, row["cluster"], value, ha="right", va="center", fontsize=6.5)
    axes.text(
        0, len(rows) + 0.8, "depth by layer share:\n0 first, 1 last layer;\nR² raw, held-out images",
        va="top", fontsize=6, color=MUTED,
    )  # fmt: skip


def _draw_rois(figure: "Figure", mapping: Mapping, rows: list[dict[str, Any]]) -> None:
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
    for line, column in zip(*np.nonzero(share >= 0.005), strict=True):
        value = share[line, column]
        axes.text(
            column + 1, line + 1, f"{100 * value:.0f}", ha="center", va="center", fontsize=5.5,
            color="white" if value > 0.7 else INK,
        )  # fmt: skip
    axes.xaxis.tick_top()
    axes.set_xticks(range(1, len(names) + 1), names, fontsize=5.5, rotation=60, ha="left", rotation_mode="anchor")
    axes.tick_params(length=0, pad=0)
