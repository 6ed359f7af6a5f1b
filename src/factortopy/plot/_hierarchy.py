"""Figure of the hierarchy: layer position of each ROI against its ideal level, and the fitted line."""

from collections.abc import Mapping as MappingType
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from jaxtyping import Float

from factortopy.analysis import PAPER_LEVELS, Estimate, hierarchy_slope, layer_position, percentiles
from factortopy.mapping import Mapping
from factortopy.plot.colours import Palette, layer_colours
from factortopy.plot.style import INK, LINE_COLOUR, MUTED, PAGE, add_axes, new_figure, selector_name, styled, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

SOURCES = {"share": "layer_share", "selector": "layer"}
ASIDE = 0.05
"""How far right of its level the mean of an ROI stands, so that it does not hide the quartiles."""

TOP = 1.45
"""Of the panels: room for the legend above the last layer."""


class Slope(Protocol):
    """A line ``depth = slope * level + b0``; b1 is its value at level 1."""

    @property
    def slope(self) -> float: ...
    @property
    def b0(self) -> float: ...
    @property
    def b1(self) -> float: ...


@styled
def hierarchy(
    mapping: Mapping,
    slopes: MappingType[str, Slope] | None = None,
    *,
    levels: MappingType[str, float] = PAPER_LEVELS,
    palette: Palette = "default",
) -> "Figure":
    """Layer position of the vertices of each ROI against its ideal level, with the fitted line (table 2).

    Limits over test images stand at the means of ROIs by share, around the line by share and with its
    numbers, where the mapping has draws of them.

    Args:
        mapping: what to show.
        slopes: lines by source, ``"share"`` and ``"selector"``, shown without limits; fitted here if None.
        levels: ideal level in 0..1 of the ROIs.
        palette: ``"default"`` or ``"colour-blind"``.

    Raises:
        UnknownNameError: if an ROI of ``levels`` is not among the mapping's.
        DataError: if fewer than two levels have voxels.
    """
    drawn = _drawn_line(mapping) if slopes is None and levels == PAPER_LEVELS else {}
    if slopes is None:
        slopes = {
            source: hierarchy_slope(mapping, variable, levels)
            for source, variable in SOURCES.items()
            if variable in mapping.dataset
        }
    texts = {name: _line_text(line, drawn if name == "share" else {}) for name, line in slopes.items()}
    limits = ["95 % limits over test images"] if drawn else []
    figure = new_figure(
        mapping, "Does depth in the network follow the visual hierarchy?", 84,
        source="; ".join(["layer share", selector_name(mapping, "layer"), *limits]),
        alt=f"Layer position by ROI. {'; '.join(f'{name}: {text}' for name, text in texts.items())}.",
    )  # fmt: skip
    width = (PAGE - 30) / 2
    for column, (source, line) in enumerate(slopes.items()):
        axes = add_axes(figure, 14 + column * (width + 10), 16, width, 58)
        share = source == "share"
        _draw_levels(axes, mapping, layer_position(values_of(mapping, SOURCES[source])), levels, palette)
        if share:
            _draw_means(axes, mapping, levels)
        _draw_slope(axes, line, texts[source], drawn if share else {}, palette)
        name = "layer share (identifiable)" if share else selector_name(mapping, "layer")
        axes.set_title(name)
    figure.axes[0].set_ylabel("layer position (0 first layer, 1 last)")
    return figure


def _drawn_line(mapping: Mapping) -> dict[str, Float[np.ndarray, "draw"]]:
    """The line by share in every draw of test images; empty where the mapping has no draws of it."""
    names = {name: f"drawn_{name}" for name in ("slope", "b0", "b1")}
    if not all(variable in mapping.dataset for variable in names.values()):
        return {}
    return {name: mapping.dataset[variable].values for name, variable in names.items()}


def _line_text(line: Slope, drawn: MappingType[str, np.ndarray]) -> str:
    said = []
    for name in ("slope", "b0", "b1"):
        said.append(f"{name} {Estimate.of_draws(getattr(line, name), drawn.get(name)).text(2)}")
    return ", ".join(said)


def _draw_slope(axes: "Axes", line: Slope, text: str, drawn: MappingType[str, np.ndarray], palette: Palette) -> None:
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=0.8, label="ideal")
    if drawn:
        x = np.linspace(0, 1, 21)
        low, high = percentiles(drawn["b0"][:, None] + drawn["slope"][:, None] * x)
        band = axes.fill_between(x, low, high, color=LINE_COLOUR[palette], alpha=0.25, linewidth=0)
        band.set_gid("line-limits")
    fitted = axes.plot([0, 1], [line.b0, line.b1], color=LINE_COLOUR[palette], linewidth=1.4)
    # With limits the numbers need two lines.
    fitted[0].set(gid="fitted-line", label=text.replace(", b0", "\nb0") if drawn else text)
    axes.legend(loc="upper left", borderaxespad=0.1)


def _draw_levels(
    axes: "Axes",
    mapping: Mapping,
    depth: Float[np.ndarray, "voxel"],
    levels: MappingType[str, float],
    palette: Palette,
) -> None:
    """The distribution of depth in each ROI as a violin with quartiles, coloured by the ideal level."""
    counts = {}
    for name, level in levels.items():
        inside = mapping.rois[name] & np.isfinite(depth)
        counts[name] = int(inside.sum())
        if counts[name] < 2:
            continue
        colour = layer_colours(np.array(level), palette=palette)
        violin = axes.violinplot([depth[inside]], positions=[level], widths=0.2, showextrema=False)
        for body in cast("list[PolyCollection]", violin["bodies"]):
            body.set(facecolor=colour, edgecolor=MUTED, alpha=0.75, linewidth=0.5)
        low, middle, high = np.percentile(depth[inside], (25, 50, 75))
        axes.plot([level, level], [low, high], color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.plot(level, middle, "o", color="white", markeredgecolor=INK, markersize=3.5, markeredgewidth=0.8)
    axes.set_xticks(list(levels.values()), [f"{name}\n{level:g}\nn={counts[name]}" for name, level in levels.items()])
    low, high = min(-0.05, float(np.nanmin(depth))), max(TOP, float(np.nanmax(depth)))
    axes.set(xlim=(-0.15, 1.15), ylim=(low, high))
    axes.set(xlabel="ROI and its ideal level", yticks=(0, 0.25, 0.5, 0.75, 1))


def _draw_means(axes: "Axes", mapping: Mapping, levels: MappingType[str, float]) -> None:
    """Mean depth of each ROI with its limits over test images, beside the violin."""
    if not {"drawn_depth", "depth"} <= set(mapping.dataset):
        return
    names = [str(name) for name in mapping.dataset["region"].values]
    for name, level in levels.items():
        mean = np.nanmean(mapping.dataset["depth"].values[mapping.rois[name]])
        low, high = percentiles(mapping.dataset["drawn_depth"].values[:, names.index(name)])
        label = "mean of the ROI" if name == next(iter(levels)) else None
        bar = axes.errorbar(
            level + ASIDE, mean, [[mean - min(low, mean)], [max(high, mean) - mean]], fmt="D", color=INK,
            markersize=2.6, linewidth=0.9, capsize=2, zorder=5, label=label,
        )  # fmt: skip
        bar.lines[0].set_gid("roi-mean")
