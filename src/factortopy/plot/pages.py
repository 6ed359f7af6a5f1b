"""Pages of maps of the cortex: flat and inflated, of one mapping or many, with keys that fill what is left free."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from matplotlib.figure import Figure

from factortopy.cortex import Surface
from factortopy.errors import DataError
from factortopy.plot.keys import Key
from factortopy.plot.painting.inflated import View, view_extent
from factortopy.plot.painting.raster import CortexPicture
from factortopy.plot.panels import (
    FOOT,
    CortexPanel,
    best_seen,
    draw_foot,
    draw_inset,
    draw_picture,
    paint_mapping,
    picture_height,
    surfaces_of,
)
from factortopy.plot.style import MARGIN, MUTED, PAGE, Described, add_axes, new_figure, wrap

ROOM = PAGE - 2 * MARGIN
MAP_WIDTH, KEY_LEFT, KEY_WIDTH = 122.0, 139.0, 35.0
"""Of a page of one map, mm."""
GAP, LINE, KEYS, SMALL = 3.0, 3.0, 30.0, 70.0
"""Between many maps, of a line of their titles, of keys below, mm; width below which maps carry fewer words."""
KEY_ROOM = 42.0, 40.0
"""Width and height of a key between maps, with its labels, mm."""
LETTER = 1.75
"""Width of a letter of a map's title, mm."""
BESIDE, INSET = 86.0, 34.0
"""Least height beside the keys of one map, and of its inset with its title, mm."""
MOST_COLUMNS = 4
CAPTION = 5.0
"""Height of the words under an inflated view, mm."""
FLAT: tuple[View, ...] = ("flat",)
ALL_VIEWS: tuple[View, ...] = ("flat", "lateral", "medial", "ventral", "posterior")
SIDES = {"ventral": ("R", "L")}
"""Hemispheres from left to right where the left one is not on the left."""


class Tile(NamedTuple):
    """A picture in a block: its left side and top from the block's upper left corner, and its width, mm."""

    view: View
    picture: CortexPicture
    left: float
    top: float
    width: float


class Block(NamedTuple):
    """All pictures of one map, and their height, mm."""

    tiles: list[Tile]
    height: float


def map_page(
    header: Described,
    title: str,
    panels: Sequence[CortexPanel],
    keys: Sequence[Key],
    *,
    source: str = "",
    alt: str,
    columns: int | None = None,
    below: float = 0.0,
    names: bool = True,
    views: Sequence[View] = FLAT,
) -> Figure:
    """A page of maps: one with its keys on the right, or rows of several, with their keys where cells are left free.

    Args:
        header: whose facts the header states.
        title: of the page.
        panels: the maps; at least one.
        keys: what the colours mean.
        source: what the values are taken from.
        alt: description for readers who cannot see the figure.
        columns: maps a row, where there are several; as many as fill the page if None.
        below: free space to leave under a single map, mm.
        names: write the ROIs' names; small maps have them on the first one only.
        views: how each map is shown: ``"flat"``, and inflated ``"lateral"``, ``"medial"``, ``"ventral"``,
            ``"posterior"``.

    Raises:
        DataError: if a mapping lies on no surface that can be painted, no voxel has a colour, or there is no view.
        UnknownNameError: if there is no such view.
    """
    if not views:
        raise DataError("no view was named; name at least one, e.g. flat")
    if tuple(views) != FLAT:
        alt += f" Views: {', '.join(views)}."
    surfaces, single = surfaces_of(panels), len(panels) == 1
    columns = 1 if single else columns or best_columns(len(panels), len(keys))
    width = MAP_WIDTH if single else (ROOM - (columns - 1) * GAP) / columns
    wide = ROOM if single and "flat" in views else width
    blocks = [
        lay_out(panel, surface, views, width, wide, foot=width > SMALL or number == 0)
        for number, (panel, surface) in enumerate(zip(panels, surfaces, strict=True))
    ]
    if not any(seen.any() for block in blocks for tile in block.tiles for seen in tile.picture.measured.values()):
        raise DataError("no voxel has a colour: none has a value of what is shown")
    if single:
        return _single(header, title, panels[0], surfaces[0], blocks[0], keys, source, alt, below, names)
    panels = [replace(panel, title=wrap(panel.title, int(width / LETTER))) for panel in panels]
    starts = range(0, len(panels), columns)
    titles = [5 + LINE * max(panel.title.count("\n") for panel in panels[at : at + columns]) for at in starts]
    tallest = [max(block.height for block in blocks[at : at + columns]) for at in starts]
    rows = [title + block for title, block in zip(titles, tallest, strict=True)]
    free = -len(blocks) % columns
    spots = _key_spots(len(keys), free * (width + GAP), rows[-1])
    height = sum(rows) + (0.0 if spots else KEYS)
    figure = new_figure(header, title, height, source=source, alt=alt)
    for number, (panel, surface, block) in enumerate(zip(panels, surfaces, blocks, strict=True)):
        row, column = divmod(number, columns)
        corner = MARGIN + column * (width + GAP), height - sum(rows[:row]) - titles[row]
        big = width > SMALL or number == 0
        _draw_block(figure, panel, surface, block, corner, names=names and big, foot=big)
    edge = PAGE - MARGIN - free * (width + GAP)
    for number, key in enumerate(keys):
        if spots:
            left, top = spots[number]
            key.draw(figure, edge + left, rows[-1] - top, 32, 24)
        else:
            slot = ROOM / len(keys)
            key.draw(figure, MARGIN + (number + 0.5) * slot - 18, KEYS - 4, 36, 13)
    return figure


def best_columns(panels: int, keys: int) -> int:
    """Maps a row that leave the fewest cells white, as keys may stand in free ones; of equals, the squarest page."""
    possible = range(2 if panels <= 6 else 3, max(2, min(panels, MOST_COLUMNS)) + 1)
    return min(possible, key=lambda count: (max(0, -panels % count - keys), abs(count - panels**0.5 - 0.5)))


def lay_out(
    panel: CortexPanel, surface: Surface, views: Sequence[View], width: float, wide: float, *, foot: bool
) -> Block:
    """Paint a map in all views: flat at a width, below it the inflated ones in rows as wide as ``wide``, mm."""
    tiles, top = [], 0.0
    if "flat" in views:
        flat = paint_mapping(panel.mapping, surface, panel.rgba, "flat", width)
        tiles.append(Tile("flat", flat, 0.0, 0.0, width))
        top = picture_height(flat, width) + (FOOT if foot else 0.0)
    sizes: dict[View, tuple[float, float]] = {}
    for view in dict.fromkeys(views):
        if view != "flat":
            left, right, lower, upper = view_extent(surface, view)
            sizes[view] = right - left, upper - lower
    rows = _paired(sizes)
    if not rows:
        return Block(tiles, top)
    # One scale for all of them, so that a millimetre is a millimetre in each.
    scale = min((wide - GAP * (len(row) - 1)) / sum(sizes[view][0] for view in row) for row in rows)
    for row in rows:
        left, space = 0.0, (wide - scale * sum(sizes[view][0] for view in row)) / max(1, len(row) - 1)
        for view in row:
            across = scale * sizes[view][0]
            picture = paint_mapping(panel.mapping, surface, panel.rgba, view, across)
            tiles.append(Tile(view, picture, left if len(row) > 1 else space / 2, top + GAP, across))
            left += across + space
        top += GAP + scale * max(sizes[view][1] for view in row) + CAPTION
    return Block(tiles, top)


def _paired(sizes: dict[View, tuple[float, float]]) -> list[list[View]]:
    """Rows of two views, a wide one beside a narrow one, so that rows are of like width."""
    by_width = sorted(sizes, key=lambda view: -sizes[view][0])
    half = (len(by_width) + 1) // 2
    return [[*by_width[row : row + 1], *by_width[half:][::-1][row : row + 1]] for row in range(half)]


def _key_spots(count: int, width: float, height: float) -> list[tuple[float, float]]:
    """Left side and top of so many keys, from the upper left corner of a free space, mm; none if they do not fit."""
    across, high = KEY_ROOM
    per_row = min(count, int(width // across))
    if not per_row or -(-count // per_row) * high > height:
        return []
    above = (height + (2 - -(-count // per_row)) * high) / 2 - high + 8
    spots = [divmod(number, per_row) for number in range(count)]
    return [((column + 0.5) * width / per_row - 13, above + row * high) for row, column in spots]


def _single(
    header: Described,
    title: str,
    panel: CortexPanel,
    surface: Surface,
    block: Block,
    keys: Sequence[Key],
    source: str,
    alt: str,
    below: float,
    names: bool,
) -> Figure:
    """A page of one map: on the left, or flat on the left above its inflated views; the keys on the right."""
    first = block.tiles[0]
    above = picture_height(first.picture, first.width) + FOOT if first.view == "flat" else block.height
    # What stands beside the keys is as high as they need, which drawing them elsewhere tells.
    needed = -_draw_keys(Figure((PAGE / 25.4, 1)), keys, 0.0) + (INSET if first.picture.zoomed else 0.0)
    beside = max(BESIDE, needed)
    added = max(0.0, beside - above)
    height = below + block.height + added + 2
    figure = new_figure(header, title, height, source=source, alt=alt)
    shifted = [
        tile._replace(top=tile.top + (added / 2 if number == 0 or first.view != "flat" else added))
        for number, tile in enumerate(block.tiles)
    ]
    _draw_block(figure, panel, surface, Block(shifted, block.height), (MARGIN, height - 1), names=names, foot=True)
    _draw_keys(figure, keys, height)
    if first.picture.zoomed:
        bottom = height - max(above, beside) + 3
        draw_inset(figure, panel, surface, (KEY_LEFT - 6, bottom, KEY_WIDTH + 8))
    return figure


def _draw_keys(figure: Figure, keys: Sequence[Key], top: float) -> float:
    """Draw keys below each other at the right; returns where the next one would begin, mm."""
    for key in keys:
        top = key.draw(figure, KEY_LEFT, top - 8, KEY_WIDTH, KEY_WIDTH) + 3
    return top


def _draw_block(
    figure: Figure,
    panel: CortexPanel,
    surface: Surface,
    block: Block,
    corner: tuple[float, float],
    *,
    names: bool,
    foot: bool,
) -> None:
    """Draw a map's pictures, their upper left corner at so many mm from the left and from below."""
    flat = block.tiles[0].view == "flat"
    seen = best_seen(panel.mapping, surface, [tile.picture for tile in block.tiles]) if names and not flat else []
    for number, tile in enumerate(block.tiles):
        tall = picture_height(tile.picture, tile.width)
        axes = add_axes(figure, corner[0] + tile.left, corner[1] - tile.top - tall, tile.width, tall)
        inflated = tile.view != "flat"
        # An ROI is named once: on the flat map, else where most of it is seen.
        named = (seen[number] if seen else not inflated) if names else False
        draw_picture(axes, panel, surface, tile.picture, names=named)
        if inflated:
            one, other = SIDES.get(tile.view, ("L", "R"))
            words = f"{one} · {tile.view} · {other}"
            axes.text(0.5, -0.5 / tall, words, transform=axes.transAxes, ha="center", va="top", color=MUTED, fontsize=7)
        elif foot:
            draw_foot(axes, panel.mapping, surface, tile.picture, tile.width)
        if number == 0 and panel.title:
            axes.set_title(panel.title, fontsize=7.5, pad=2)
