"""Figures of what a mapping predicts for photographs: those that drive a region, and contrasts of two sets."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from factortopy.analysis import Contrast, Ranking
from factortopy.plot.colours import UNCOLOURED, Palette
from factortopy.plot.keys import BarKey, ListKey
from factortopy.plot.pages import map_page
from factortopy.plot.panels import CortexPanel
from factortopy.plot.style import CHARACTERS, INK, MARGIN, MUTED, PAGE, add_axes, new_figure, shortened, styled, wrap

COLUMNS = 6
GAP, TEXTS, HEADING, FOOT = 3.0, 12.0, 6.0, 8.0
"""Between pictures, for the lines below each, above a block of them, below all; mm."""
SIDE = (PAGE - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS


@styled
def contact_sheet(
    ranking: Ranking, photograph: Callable[[str], Float[np.ndarray, "row column 3"]], count: int = 12
) -> Figure:
    """The photographs that drive a region most and least, each with its predicted response and limits.

    Args:
        ranking: of :func:`factortopy.rank_images`.
        photograph: gives an image, by its id, as the network sees it, RGB in 0..1.
        count: how many at either end; where there are fewer than two such ends, all are shown in one.
    """
    rows = ranking.table.to_dict("records")
    both = len(rows) >= 2 * count
    blocks = (
        {f"Drive {ranking.region} most": rows[:count]} if both else {f"All {len(rows)}, the most driving first": rows}
    )
    if both:
        blocks[f"Drive {ranking.region} least"] = rows[: -count - 1 : -1]
    line = SIDE + TEXTS
    heights = [HEADING + line * -(-len(block) // COLUMNS) for block in blocks.values()]
    left_out = f", {ranking.left_out:,} left out: R² not above chance" if ranking.left_out else ""
    figure = new_figure(
        ranking.mapping, f"Photographs that drive {shortened(ranking.region, 30)}", sum(heights) + FOOT,
        source=f"predicted mean of {ranking.voxels:,} voxels{left_out}",
        alt="; ".join(f"{title}: {', '.join(row['image'] for row in block)}" for title, block in blocks.items()),
    )  # fmt: skip
    top = sum(heights) + FOOT
    for (title, block), height in zip(blocks.items(), heights, strict=True):
        _block(figure, top, title, block, photograph)
        top -= height
    note = f"{len(rows):,} photographs; response in standard deviations of the training responses; {ranking.limits}"
    height = figure.get_size_inches()[1] * 25.4
    figure.text(MARGIN / PAGE, 1.5 / height, wrap(note, CHARACTERS), fontsize=6.5, color=MUTED, va="bottom")
    return figure


def _block(
    figure: Figure,
    top: float,
    title: str,
    rows: Sequence[dict[Any, Any]],
    photograph: Callable[[str], Float[np.ndarray, "row column 3"]],
) -> None:
    height = figure.get_size_inches()[1] * 25.4
    figure.text(MARGIN / PAGE, (top - 4) / height, title, fontsize=8, fontweight="bold", color=INK)
    for number, row in enumerate(rows):
        line, column = divmod(number, COLUMNS)
        left, bottom = MARGIN + column * (SIDE + GAP), top - HEADING - SIDE - line * (SIDE + TEXTS)
        axes = add_axes(figure, left, bottom, SIDE, SIDE)
        axes.imshow(photograph(row["image"]), interpolation="antialiased")
        axes.set(xticks=(), yticks=(), gid="photograph")
        axes.spines[:].set_visible(False)
        low, high = row["response_low"], row["response_high"]
        limits = f"\n{_signed(low)} to {_signed(high)}" if np.isfinite(low) else ""
        text = f"{row['rank']}.  {_signed(row['response'])}{limits}\n{shortened(row['image'], 22)}"
        axes.text(0, -0.04, text, transform=axes.transAxes, va="top", fontsize=6, linespacing=1.4)


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "−")


@styled
def contrast_map(
    contrast: Contrast, names: tuple[str, str] = ("first", "second"), *, palette: Palette = "default"
) -> Figure:
    """The t-map of two sets of photographs; voxels that do not pass the control of false discoveries are pale.

    Args:
        contrast: of :func:`factortopy.contrast`.
        names: of the two sets.

    Raises:
        DataError: if the mapping lies on no surface that can be painted.
    """
    one, other = (shortened(name, 24) for name in names)
    painted = np.where(contrast.significant, contrast.t, np.nan)
    # Limits by all voxels with a t, so that a map without a finding has a key too.
    key = BarKey.diverging(contrast.t, palette, f"t: + {one},\n− {other}")
    rgba = key.colours(painted)
    grey = np.isfinite(contrast.t) & ~contrast.significant
    rgba[grey] = np.append(UNCOLOURED, 1.0)
    counts = contrast.regions().to_dict("records")
    entries = [(None, shortened(row["roi"], 18), f"{row['more']:,}", f"{row['less']:,}") for row in counts]
    used = int(np.isfinite(contrast.t).sum())
    return map_page(
        contrast.mapping, f"Predicted responses to {one} against {other}", [CortexPanel(contrast.mapping, rgba)],
        [key, ListKey(entries, ("more", "less"))],
        source=(
            f"Welch's t over {contrast.images[0]:,} and {contrast.images[1]:,} photographs, false discoveries at most "
            f"5 % of {used:,} voxels (others pale) · {contrast.left_out:,} left out: R² not above chance"
        ),
        alt=f"Map of the cortex; colour shows where {one} or {other} drive voxels more.",
    )  # fmt: skip
