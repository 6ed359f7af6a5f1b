"""Figures that are no flat maps: dots over an image, recovery of a planted truth, training."""

from typing import TYPE_CHECKING

import numpy as np

from factortopy.analysis import layer_position
from factortopy.cortex import HEMISPHERES
from factortopy.errors import DataError
from factortopy.fitting import History
from factortopy.mapping import Mapping, best_layer
from factortopy.plot.colours import Palette, layer_colours, scalar_colormap
from factortopy.plot.fading import name_of
from factortopy.plot.panels import draw_layer_key
from factortopy.plot.style import (
    INK,
    LINE_COLOUR,
    MARGIN,
    MUTED,
    PAGE,
    Which,
    add_axes,
    chosen,
    new_figure,
    styled,
    values_of,
)
from factortopy.subjects import PlantedTruth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image


@styled
def space_dots(mapping: Mapping, *, image: "Image | None" = None, palette: Palette = "default") -> "Figure":
    """Every vertex as a dot where it reads the image, coloured by the layer of largest share.

    Args:
        mapping: what to show; the selector gives the colours where the mapping holds no layer share.
        image: an example as the network sees it (square); a plain field if None.
        palette: ``"default"`` or ``"colour-blind"``.
    """
    which: Which = "share" if "layer_share" in mapping.dataset else "selector"
    variable, name = chosen(which, ("layer_share", "layer")), name_of(mapping, "layer", which)
    figure = new_figure(
        mapping, "Where in the image each vertex reads, by layer", 88, source=f"space selector, {name}",
        alt=f"Dots over an image, one for each vertex; colour shows the layer of largest {name}.",
    )  # fmt: skip
    colours, places = (
        layer_colours(best_layer(values_of(mapping, variable)), palette=palette),
        values_of(mapping, "space"),
    )
    for column, side in enumerate(HEMISPHERES):
        axes = add_axes(figure, 13 + column * 67, 12, 61, 61)
        here = mapping.dataset["hemisphere"].values == side
        _draw_dots(axes, places[here], colours[here], image)
        axes.set(yticks=(-1, 0, 1) if column == 0 else (), title=f"{side} hemisphere, {here.sum():,} vertices")
    figure.axes[0].set_ylabel("y in the image (down +)")
    draw_layer_key(add_axes(figure, 147, 62, 28, 4), mapping, 1.0, palette, confidence=False)
    return figure


@styled
def recovery(mapping: Mapping, truth: PlantedTruth, *, palette: Palette = "default") -> "Figure":
    """Found against planted for depth, place and scale of a simulated subject.

    Args:
        mapping: what was found.
        truth: what was planted, voxel by voxel as in the mapping.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the truth has another number of voxels.
    """
    if len(truth.scale) != mapping.dataset.sizes["voxel"]:
        raise DataError(
            f"the planted truth has {len(truth.scale)} voxels and the mapping "
            f"{mapping.dataset.sizes['voxel']}; give the truth of the subject that was fitted"
        )
    space = values_of(mapping, "space")
    pairs = {
        "depth (layer share)": (
            layer_position(truth.layer_share),
            layer_position(values_of(mapping, "layer_share")),
        ),
        "x in the image": (truth.space[:, 0], space[:, 0]),
        "y in the image": (truth.space[:, 1], space[:, 1]),
        "scale (scale share)": (truth.scale_share, values_of(mapping, "scale_share")),
    }
    # A voxel whose prediction is constant has no share.
    known = {name: np.stack(pair)[:, np.isfinite(pair).all(axis=0)] for name, pair in pairs.items()}
    found = {name: float(np.corrcoef(pair)[0, 1]) for name, pair in known.items()}
    figure = new_figure(
        mapping, "Found against planted", 66, source="layer share, space selector, scale share",
        alt="; ".join(f"{name}: correlation {r:.3f}" for name, r in found.items()),
    )  # fmt: skip
    for column, (name, (planted, fitted)) in enumerate(known.items()):
        axes = add_axes(figure, 13 + column * 43, 23, 32, 32)
        _draw_agreement(axes, planted, fitted, palette)
        axes.set_title(f"{name}\nr = {found[name]:.3f}")
        axes.set_xlabel("planted")
    figure.axes[0].set_ylabel("found")
    _density_key(figure, palette)
    return figure


@styled
def training(mapping: Mapping, history: History, *, palette: Palette = "default") -> "Figure":
    """Training loss and validation R^2 against the step.

    Args:
        mapping: what came out, for the header.
        history: what was seen while training.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        DataError: if the history is empty.
    """
    if not history.step:
        raise DataError("the training history is empty; nothing to plot")
    best = f"kept: step {history.best_step}, R² {max(history.validation_r2):.3f}"
    figure = new_figure(
        mapping, "Training", 68, source="validation R² raw",
        alt=f"Training loss and validation R² by step; {best}.",
    )  # fmt: skip
    curves = {"training loss": history.loss, "validation R², mean over vertices": history.validation_r2}
    for column, (name, values) in enumerate(curves.items()):
        axes = add_axes(figure, 16 + column * 86, 13, 72, 45)
        axes.plot(history.step, values, marker=".", markersize=3, color=INK, linewidth=1.1)
        axes.axvline(history.best_step, color=LINE_COLOUR[palette], linewidth=0.9, linestyle="--")
        axes.set(xlabel="step", title=name)
        axes.grid(axis="y", color="#e3e5e8", linewidth=0.5)
    figure.axes[1].set_title(f"{figure.axes[1].get_title()}\n{best}")
    return figure


def _draw_dots(axes: "Axes", places: np.ndarray, colours: np.ndarray, image: "Image | None") -> None:
    if image is not None:
        # Half way to white, so that the dots stand out from the photograph.
        axes.imshow(0.5 + 0.5 * np.asarray(image.convert("RGB")) / 255, extent=(-1, 1, 1, -1), aspect="auto")
    dots = axes.scatter(places[:, 0], places[:, 1], c=colours, s=7, linewidths=0.25, edgecolors=MUTED)
    dots.set(rasterized=True, gid="dots")
    axes.axhline(0, color=INK, linewidth=0.4)
    axes.axvline(0, color=INK, linewidth=0.4)
    axes.set(xlim=(-1, 1), ylim=(1, -1), xticks=(-1, 0, 1), xlabel="x in the image (right +)")
    axes.spines[["top", "right"]].set_visible(True)


def _draw_agreement(axes: "Axes", planted: np.ndarray, found: np.ndarray, palette: Palette) -> None:
    low, high = float(min(planted.min(), found.min())), float(max(planted.max(), found.max()))
    margin = 0.04 * (high - low)
    low, high = low - margin, high + margin
    axes.hexbin(
        planted, found, gridsize=28, extent=(low, high, low, high), mincnt=1, bins="log", linewidths=0.1,
        cmap=scalar_colormap("scale", palette).reversed(), vmin=1, vmax=DENSEST,
    )  # fmt: skip
    axes.plot([low, high], [low, high], "--", color=INK, linewidth=0.8)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.locator_params(nbins=4)


DENSEST = 100
"""Vertices in a cell of the recovery figure from which on the colour no longer changes."""


def _density_key(figure: "Figure", palette: Palette) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    axes = add_axes(figure, PAGE - MARGIN - 42, 5, 36, 2)
    axes.set_gid("key")
    mappable = ScalarMappable(LogNorm(1, DENSEST), scalar_colormap("scale", palette).reversed())
    bar = figure.colorbar(mappable, cax=axes, orientation="horizontal")
    bar.set_ticks([1, 10, DENSEST], labels=["1", "10", f"≥ {DENSEST}"])
    bar.ax.minorticks_off()
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.set_ylabel("vertices per cell  ", rotation=0, ha="right", va="center")
