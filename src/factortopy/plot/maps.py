"""Figures that paint a mapping on the cortex, and all figures of a mapping by name.

All raise :class:`DataError` where the mapping lacks what is painted, or lies on no surface that can be painted.
``views`` says how the cortex is shown: flat, and inflated from one side or more (:func:`map_page`).
``fade=True`` makes voxels pale whose prediction is uncertain (:func:`certainty`); it is so where nothing was found.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from factortopy.analysis import above_chance, nothing_found
from factortopy.errors import DataError, UnknownNameError
from factortopy.mapping import Mapping
from factortopy.plot._hierarchy import hierarchy
from factortopy.plot.charts import space_dots
from factortopy.plot.colours import UNCOLOURED, Palette, class_colours
from factortopy.plot.keys import BarKey, Key, LayerKey, ListKey, SpaceKey, round_up
from factortopy.plot.pages import FLAT, map_page
from factortopy.plot.painting.inflated import View
from factortopy.plot.panels import CortexPanel
from factortopy.plot.style import Which, chosen, styled, values_of


@styled
def layers(
    mapping: Mapping,
    which: Which = "share",
    *,
    palette: Palette = "default",
    fade: bool | None = None,
    views: Sequence[View] = FLAT,
) -> Figure:
    """Layer map: hue is the layer of largest weight, brightness the confidence, with a key of both.

    Args:
        which: ``"share"`` for the layer share on held-out images, ``"selector"`` for the selector.
    """
    weights, name = chosen(mapping, "layer", which)
    key = LayerKey(mapping.layers, palette)
    return _page(
        mapping, key.colours(weights), key, fade, views, f"Which layer each vertex reads (layer {which})", source=name,
        alt=f"Map of the cortex; hue: the layer of largest {name}; brightness: its confidence.",
    )  # fmt: skip


@styled
def space(
    mapping: Mapping, *, palette: Palette = "default", fade: bool | None = None, views: Sequence[View] = FLAT
) -> Figure:
    """Space map: the place in the image that each vertex reads, in the colours of a square key."""
    key = SpaceKey(palette)
    return _page(
        mapping, key.colours(values_of(mapping, "space")), key, fade, views,
        "Where in the image each vertex reads (space selector)", source="space selector",
        alt="Map of the cortex; colour shows the place in the image that each vertex reads.",
    )  # fmt: skip


@styled
def scale(
    mapping: Mapping,
    which: Which = "share",
    *,
    palette: Palette = "default",
    fade: bool | None = None,
    views: Sequence[View] = FLAT,
) -> Figure:
    """Scale map: how much of each vertex's prediction comes from the global token.

    Args:
        which: ``"share"`` for the scale share on held-out images, ``"selector"`` for the selector.
    """
    values, name = chosen(mapping, "scale", which)
    token = mapping.dataset.attrs.get("global_token", "global")
    key = BarKey.scalar(values, (0.0, 1.0), "scale", palette, f"scale {which}\n0 local, 1 global ({token} token)")
    return _page(
        mapping, key.colours(values), key, fade, views, f"Local or global: the scale each vertex reads (scale {which})",
        source=name, alt=f"Map of the cortex; colour shows the {name} from local (0) to global (1).",
    )  # fmt: skip


@styled
def size(
    mapping: Mapping, *, palette: Palette = "default", fade: bool | None = None, views: Sequence[View] = FLAT
) -> Figure:
    """Size map: how much of the image each vertex reads around its place, where it reads a Gaussian pool.

    Raises:
        DataError: if the mapping has no sizes.
    """
    values = values_of(mapping, "size")
    label = "size, standard deviation\n1 is half the image"
    key = BarKey.scalar(
        values, (0.0, round_up(float(np.nanpercentile(values, 99)), least=0.1)), "score", palette, label
    )
    return _page(
        mapping, key.colours(values), key, fade, views, "How much of the image each vertex reads (size)", source="size",
        alt="Map of the cortex; colour shows the size of the part of the image that each vertex reads.",
    )  # fmt: skip


@styled
def scores(mapping: Mapping, *, palette: Palette = "default", views: Sequence[View] = FLAT) -> Figure:
    """Brain score: raw R^2 on held-out images, and the noise ceiling beside it where it is known.

    Raises:
        DataError: if no R² is known.
    """
    shown = {"R² on held-out images": values_of(mapping, "r2")}
    if not np.isfinite(shown["R² on held-out images"]).any():
        raise DataError("no R² is known: the weights were imported without responses; import them with some")
    if "ceiling" in mapping.dataset:
        shown["noise ceiling (largest possible R²)"] = values_of(mapping, "ceiling")
    largest = round_up(max(float(np.nanpercentile(values, 99)) for values in shown.values()), least=0.05)
    everything = np.stack(list(shown.values()))
    key = BarKey.scalar(everything, (0.0, largest), "score", palette, "R², fraction of variance")
    panels = [CortexPanel(mapping, key.colours(values), name) for name, values in shown.items()]
    return map_page(
        mapping, "Brain score: variance predicted", panels, [key], source="R² raw, not divided by the ceiling",
        alt=f"Maps of the cortex; colour shows {' and '.join(shown)} of each vertex.", views=views,
    )  # fmt: skip


@styled
def rois(mapping: Mapping, *, palette: Palette = "default", views: Sequence[View] = FLAT) -> Figure:
    """Regions of interest of the subject, with their number of vertices.

    Raises:
        DataError: if the mapping has no ROIs.
    """
    if not mapping.rois:
        raise DataError("this mapping has no ROIs to show; give the subject's ROIs when it is loaded")
    left = mapping.dataset["hemisphere"].values == "left"
    rgba = np.tile(np.append(UNCOLOURED, 1.0), (len(left), 1))
    entries = []
    for colour, (name, inside) in zip(class_colours(len(mapping.rois), palette), mapping.rois.items(), strict=True):
        rgba[inside] = colour
        entries.append((colour, name, (inside & left).sum(), (inside & ~left).sum()))
    alt = f"Map of the cortex with the regions {', '.join(mapping.rois)}."
    key = ListKey(entries, ("left", "right"))
    return map_page(mapping, "Regions of interest", [CortexPanel(mapping, rgba)], [key], alt=alt, views=views)


def certainty(mapping: Mapping) -> Float[np.ndarray, "voxel"]:
    """How sure it is that a vertex is predicted at all: ``r2_low / r2`` in 0..1, 0 where r2_low <= 0.

    ``r2_low`` is the lower limit of R^2 over test images (`docs/uncertainty.md`). Where nothing was found and there
    are no limits, no vertex is sure.

    Raises:
        DataError: if something was found, and the mapping was fitted without a bootstrap.
    """
    if "r2_low" not in mapping.dataset:
        if nothing_found(mapping):
            return np.zeros(mapping.dataset.sizes["voxel"])
        why = mapping.dataset.attrs.get("no_limits", "fit with bootstrap=1000")
        raise DataError(f"fading needs limits of R²: {why}, or draw without fade")
    low, r2 = values_of(mapping, "r2_low"), values_of(mapping, "r2")
    sure = np.divide(low, r2, out=np.zeros_like(r2, dtype=float), where=above_chance(mapping))
    return np.asarray(np.clip(sure, 0.0, 1.0))


def fade_out(mapping: Mapping, rgba: Float[np.ndarray, "voxel 4"]) -> Float[np.ndarray, "voxel 4"]:
    """Colours of vertices, paler the less sure their prediction is (:func:`certainty`)."""
    sure = certainty(mapping)[:, None]
    return np.concatenate([sure * rgba[:, :3] + (1 - sure) * UNCOLOURED, rgba[:, 3:]], axis=1)


def _page(
    mapping: Mapping,
    rgba: Float[np.ndarray, "voxel 4"],
    key: Key,
    fade: bool | None,
    views: Sequence[View],
    title: str,
    *,
    source: str,
    alt: str,
) -> Figure:
    """One map of what each voxel reads, pale where that is uncertain if ``fade`` is set; how many have none is said."""
    if nothing_found(mapping) if fade is None else fade:
        rgba, source = fade_out(mapping, rgba), f"{source}, pale where R² is uncertain"
    blank = int((rgba[:, 3] == 0).sum())
    if blank:
        source += f"; no colour: {blank:,} of {len(rgba):,} without a prediction"
    return map_page(mapping, title, [CortexPanel(mapping, rgba)], [key], source=source, alt=alt, views=views)


ALL_FIGURES: dict[str, Callable[..., Figure]] = {
    "layers": layers,
    "layers_selector": partial(layers, which="selector"),
    "space": space,
    "space_dots": space_dots,
    "size": size,
    "scale": scale,
    "scale_selector": partial(scale, which="selector"),
    "scores": scores,
    "rois": rois,
    "hierarchy": hierarchy,
}
"""Figures that need nothing but a mapping, by name, in the order in which they are best read."""
FADING = ("layers", "layers_selector", "space", "size", "scale", "scale_selector")
"""Figures of what is read, which means little where R^2 is uncertain."""
MAPS = (*FADING, "scores", "rois")
"""Figures that paint the cortex, in any views."""


def figure_names(mapping: Mapping) -> list[str]:
    """Names of ``ALL_FIGURES`` without those of what only some fits select: sizes."""
    return [name for name in ALL_FIGURES if name != "size" or name in mapping.dataset]


def draw(
    name: str, mapping: Mapping, *, palette: Palette = "default", fade: bool | None = None, views: Sequence[View] = FLAT
) -> Figure:
    """Draw a figure by its name.

    Args:
        name: one of ``ALL_FIGURES``.
        mapping: what to show.
        palette: its colours.
        fade: in the figures of ``FADING``; where nothing was found if None.
        views: in the figures of ``MAPS``: ``"flat"``, and inflated ``"lateral"``, ``"medial"``, ``"ventral"``,
            ``"posterior"``.

    Raises:
        UnknownNameError: if there is no such figure or view, or an ROI it needs is missing.
    """
    if name not in ALL_FIGURES:
        raise UnknownNameError("figure", name, ALL_FIGURES)
    options: dict[str, Any] = {"fade": fade} if name in FADING else {}
    if name in MAPS:
        options["views"] = views
    return ALL_FIGURES[name](mapping, palette=palette, **options)
