"""Figures that are no flat maps: dots over an image, recovery of a planted truth, training, norms of tokens."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from PIL.Image import Image

from factortopy.analysis import layer_position
from factortopy.cortex import HEMISPHERES
from factortopy.errors import DataError
from factortopy.fitting import History
from factortopy.mapping import Mapping, best_layer
from factortopy.plot.colours import Palette, layer_colours, scalar_colormap
from factortopy.plot.keys import LayerKey, colour_bar
from factortopy.plot.style import (
    GRID,
    INK,
    LINE_COLOUR,
    MARGIN,
    MUTED,
    PAGE,
    WARNING,
    add_axes,
    chosen,
    new_figure,
    styled,
    values_of,
)
from factortopy.subjects import PlantedTruth
from factortopy.tokens import OUTLIER_RATIO, TokenNorms

DENSEST = 100
"""Vertices in a cell of the recovery figure from which on the colour no longer changes."""
MAP_COLUMNS = 12
MAP = 12.2
"""Width of a map, mm."""
GAP = 1.8
ROW = MAP + 6.5
CHART = 34.0
LARGEST_RATIO = 5.0
"""Norm over the layer's median from which on the colour no longer changes."""


@styled
def space_dots(mapping: Mapping, *, image: Image | None = None, palette: Palette = "default") -> Figure:
    """Every vertex as a dot where it reads the image, coloured by the layer of largest share.

    Args:
        mapping: what to show; the selector gives the colours where the mapping holds no layer share.
        image: an example as the network sees it (square); a plain field if None.
    """
    weights, name = chosen(mapping, "layer", "share" if "layer_share" in mapping.dataset else "selector")
    figure = new_figure(
        mapping, "Where in the image each vertex reads, by layer", 80, source=f"space selector, {name}",
        alt=f"Dots over an image, one for each vertex; colour shows the layer of largest {name}.",
    )  # fmt: skip
    colours = layer_colours(best_layer(weights), palette=palette)
    space = values_of(mapping, "space")
    sides = mapping.dataset["hemisphere"].values
    for column, side in enumerate(HEMISPHERES if np.isin(HEMISPHERES, sides).any() else [""]):
        axes = add_axes(figure, 13 + column * 67, 12, 61, 61)
        here = sides == side
        _draw_dots(axes, space[here], colours[here], image)
        axes.set(
            yticks=(-1, 0, 1) if column == 0 else (),
            title=f"{side} hemisphere, {here.sum():,} vertices" if side else f"{here.sum():,} units",
        )
    figure.axes[0].set_ylabel("y in the image (down +)")
    LayerKey(mapping.layers, palette=palette, confidence=False).draw(figure, 147, 66, 28, 4)
    return figure


@styled
def recovery(mapping: Mapping, truth: PlantedTruth, *, palette: Palette = "default") -> Figure:
    """Found against planted for depth, place and scale of a simulated subject.

    Args:
        mapping: what was found.
        truth: what was planted, voxel by voxel as in the mapping.

    Raises:
        DataError: if the truth has another number of voxels.
    """
    if len(truth.scale) != mapping.dataset.sizes["voxel"]:
        raise DataError(
            f"the planted truth has {len(truth.scale)} voxels and the mapping "
            f"{mapping.dataset.sizes['voxel']}; give the truth of the subject that was fitted"
        )
    space = values_of(mapping, "space")
    depth = layer_position(truth.layer_share), layer_position(values_of(mapping, "layer_share"))
    pairs = {
        "depth (layer share)": depth,
        "x in the image": (truth.space[:, 0], space[:, 0]),
        "y in the image": (truth.space[:, 1], space[:, 1]),
        "scale (scale share)": (truth.scale_share, values_of(mapping, "scale_share")),
    }
    # A voxel whose prediction is constant has no share.
    finite = {name: np.stack(pair)[:, np.isfinite(pair).all(axis=0)] for name, pair in pairs.items()}
    correlations = {name: float(np.corrcoef(pair)[0, 1]) for name, pair in finite.items()}
    figure = new_figure(
        mapping, "Found against planted", 66, source="layer share, space selector, scale share",
        alt="; ".join(f"{name}: correlation {r:.3f}" for name, r in correlations.items()),
    )  # fmt: skip
    for column, (name, (planted, fitted)) in enumerate(finite.items()):
        axes = add_axes(figure, 13 + column * 43, 23, 32, 32)
        _draw_agreement(axes, planted, fitted, scalar_colormap("scale", palette).reversed())
        axes.set_title(f"{name}\nr = {correlations[name]:.3f}")
        axes.set_xlabel("planted")
    figure.axes[0].set_ylabel("found")
    _density_key(figure, palette)
    return figure


@styled
def training(mapping: Mapping, history: History, *, palette: Palette = "default") -> Figure:
    """Training loss and validation R^2 of what was trained on against the step; the header is the mapping's.

    Parcels are predicted better than voxels, so the voxels' R^2 by solved channels is printed beside.

    Raises:
        DataError: if the history is empty.
    """
    if not history.step:
        raise DataError("the training history is empty; nothing to plot")
    best = f"kept: step {history.best_step}, R² {max(history.validation_r2):.3f}"
    best += f", {history.components} components" if history.components is not None else ""
    if history.solved_r2 is not None:
        best += f"\nvoxels, by channels solved at last: R² {history.solved_r2:.3f}"
    name = "mean validation R²" + (f" of {history.units}" if history.units else "")
    figure = new_figure(
        mapping, "Training", 72, source="validation R² raw",
        alt=f"Training loss and {name} by step; {best}.".replace("\n", "; "),
    )  # fmt: skip
    curves = {"training loss": history.loss, name: history.validation_r2}
    for column, (name, values) in enumerate(curves.items()):
        axes = add_axes(figure, 16 + column * 86, 13, 72, 45)
        axes.plot(history.step, values, marker=".", markersize=3, color=INK, linewidth=1.1)
        axes.axvline(history.best_step, color=LINE_COLOUR[palette], linewidth=0.9, linestyle="--")
        axes.set(xlabel="step", title=name)
        axes.grid(axis="y", color=GRID, linewidth=0.5)
    figure.axes[1].set_title(f"{figure.axes[1].get_title()}\n{best}")
    return figure


@styled
def token_norms(norms: TokenNorms) -> Figure:
    """Mean norm by place over the layer's median, and the share of outliers, for each layer."""
    layers, share = len(norms.layers), norms.outliers.mean(axis=(1, 2))
    worst = int(share.argmax())
    height = -(-layers // MAP_COLUMNS) * ROW + CHART + 14
    figure = new_figure(
        f"network {norms.network} · {norms.images:,} images · maps as stored", "Norms of local tokens", height,
        alt="Maps of the mean norm by layer; outliers are most frequent in layer "
        f"{norms.layers[worst]}, {share[worst]:.2%} of its tokens.",
    )  # fmt: skip
    for index in range(layers):
        left = MARGIN + (index % MAP_COLUMNS) * (MAP + GAP)
        bottom = height - (index // MAP_COLUMNS + 1) * ROW + 5
        _draw_norms(add_axes(figure, left, bottom, MAP, MAP), norms, index)
    bar = colour_bar(
        add_axes(figure, 130, 24, 42, 2.2),
        "magma",
        Normalize(0, LARGEST_RATIO),
        label="mean norm / median of the layer",
    )
    bar.set_ticks([0, 1, 3, LARGEST_RATIO], labels=["0", "1", "3", f"≥ {LARGEST_RATIO:g}"])
    _draw_share(add_axes(figure, 16, 12, 100, CHART - 8), norms, share)
    return figure


def _draw_dots(axes: Axes, space: np.ndarray, colours: np.ndarray, image: Image | None) -> None:
    if image is not None:
        # Half way to white, so that the dots stand out from the photograph.
        axes.imshow(0.5 + 0.5 * np.asarray(image.convert("RGB")) / 255, extent=(-1, 1, 1, -1), aspect="auto")
    dots = axes.scatter(space[:, 0], space[:, 1], c=colours, s=7, linewidths=0.25, edgecolors=MUTED)
    dots.set(rasterized=True, gid="dots")
    axes.axhline(0, color=INK, linewidth=0.4)
    axes.axvline(0, color=INK, linewidth=0.4)
    axes.set(xlim=(-1, 1), ylim=(1, -1), xticks=(-1, 0, 1), xlabel="x in the image (right +)")
    axes.spines[["top", "right"]].set_visible(True)


def _draw_agreement(axes: Axes, planted: np.ndarray, fitted: np.ndarray, colormap: Colormap) -> None:
    low, high = float(min(planted.min(), fitted.min())), float(max(planted.max(), fitted.max()))
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    axes.hexbin(
        planted, fitted, gridsize=28, extent=(low, high, low, high), mincnt=1, bins="log", linewidths=0.1,
        cmap=colormap, vmin=1, vmax=DENSEST,
    )  # fmt: skip
    axes.plot([low, high], [low, high], "--", color=INK, linewidth=0.8)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.locator_params(nbins=4)


def _density_key(figure: Figure, palette: Palette) -> None:
    axes = add_axes(figure, PAGE - MARGIN - 42, 5, 36, 2)
    bar = colour_bar(axes, scalar_colormap("scale", palette).reversed(), LogNorm(1, DENSEST))
    bar.set_ticks([1, 10, DENSEST], labels=["1", "10", f"≥ {DENSEST}"])
    bar.ax.minorticks_off()
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.set_ylabel("vertices per cell  ", rotation=0, ha="right", va="center")


def _draw_norms(axes: Axes, norms: TokenNorms, index: int) -> None:
    ratio = norms.mean[index] / max(float(norms.median[index]), 1e-12)
    axes.imshow(ratio, cmap="magma", vmin=0, vmax=LARGEST_RATIO, interpolation="nearest")
    axes.set(xticks=(), yticks=())
    axes.set_title(norms.layers[index], fontsize=5.5, fontweight="normal", pad=1.5)
    axes.set_xlabel(f"median {norms.median[index]:.3g}", fontsize=4.8, labelpad=1.5, color=MUTED)


def _draw_share(axes: Axes, norms: TokenNorms, share: np.ndarray) -> None:
    layers = np.arange(len(share))
    axes.bar(layers, 100 * share, color=WARNING, width=0.7)
    step = -(-len(share) // MAP_COLUMNS)
    axes.set_xticks(layers[::step], norms.layers[::step], rotation=30, ha="right", fontsize=5.5)
    axes.set(ylabel="outliers, % of tokens", xlim=(-0.6, len(share) - 0.4))
    axes.set_title(f"Tokens above {OUTLIER_RATIO:g} times the median norm of their map", loc="left")
    axes.set_ylim(0, max(1.0, 115 * float(share.max())))
