"""Figure of token norms: where in the map they are large, layer by layer, and how many are outliers."""

from typing import TYPE_CHECKING

import numpy as np

from factortopy.plot.style import INK, MARGIN, MUTED, PAGE, WARNING, add_axes, styled
from factortopy.tokens import OUTLIER_RATIO, TokenNorms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 12
MAP = 12.2
"""Width of a map, mm."""
GAP = 1.8
ROW = MAP + 6.5
TOP, CHART = 17.0, 34.0
LARGEST_RATIO = 5.0
"""Norm over the layer's median from which on the colour no longer changes."""


@styled
def token_norms(norms: TokenNorms) -> "Figure":
    """Mean norm by place over the layer's median, and the share of outliers, for each layer.

    Args:
        norms: of a store, see :func:`factortopy.tokens.token_norms`.
    """
    from matplotlib.figure import Figure

    layers = len(norms.layers)
    rows = -(-layers // COLUMNS)
    height = TOP + rows * ROW + CHART + 14
    figure = Figure(figsize=(PAGE / 25.4, height / 25.4), facecolor="white")
    share = norms.outliers.mean(axis=(1, 2))
    _write_header(figure, norms, share, height)
    for index in range(layers):
        left = MARGIN + (index % COLUMNS) * (MAP + GAP)
        bottom = height - TOP - (index // COLUMNS + 1) * ROW + 5
        _draw_map(add_axes(figure, left, bottom, MAP, MAP), norms, index)
    _draw_key(figure)
    _draw_share(add_axes(figure, 16, 12, 100, CHART - 8), norms, share)
    return figure


def _write_header(figure: "Figure", norms: TokenNorms, share: np.ndarray, height: float) -> None:
    title = "Norms of local tokens"
    facts = f"network {norms.network} · {norms.images:,} images · maps as stored"
    worst = int(share.argmax())
    figure.set_label(
        f"{title}. {facts}. Maps of the mean norm by layer; outliers are most frequent in layer "
        f"{norms.layers[worst]}, {share[worst]:.2%} of its tokens."
    )
    left = MARGIN / PAGE
    figure.text(left, 1 - 3.5 / height, title, fontsize=9.5, fontweight="bold", va="top", gid="title", color=INK)
    figure.text(left, 1 - 9 / height, facts, fontsize=7, color=MUTED, va="top", gid="facts")


def _draw_map(axes: "Axes", norms: TokenNorms, index: int) -> None:
    ratio = norms.mean[index] / max(float(norms.median[index]), 1e-12)
    axes.imshow(ratio, cmap="magma", vmin=0, vmax=LARGEST_RATIO, interpolation="nearest")
    axes.set(xticks=(), yticks=())
    axes.set_title(norms.layers[index], fontsize=5.5, fontweight="normal", pad=1.5)
    axes.set_xlabel(f"median {norms.median[index]:.3g}", fontsize=4.8, labelpad=1.5, color=MUTED)


def _draw_key(figure: "Figure") -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    axes = add_axes(figure, 130, 24, 42, 2.2)
    mappable = ScalarMappable(Normalize(0, LARGEST_RATIO), "magma")
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.set_ticks([0, 1, 3, LARGEST_RATIO], labels=["0", "1", "3", f"≥ {LARGEST_RATIO:g}"])
    bar.set_label("mean norm / median of the layer")


def _draw_share(axes: "Axes", norms: TokenNorms, share: np.ndarray) -> None:
    places = np.arange(len(share))
    axes.bar(places, 100 * share, color=WARNING, width=0.7)
    step = -(-len(share) // COLUMNS)
    axes.set_xticks(places[::step], norms.layers[::step], rotation=30, ha="right", fontsize=5.5)
    axes.set(ylabel="outliers, % of tokens", xlim=(-0.6, len(share) - 0.4))
    axes.set_title(f"Tokens above {OUTLIER_RATIO:g} times the median norm of their map", loc="left")
    axes.set_ylim(0, max(1.0, 115 * float(share.max())))
