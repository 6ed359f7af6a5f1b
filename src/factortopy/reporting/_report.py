"""One HTML page that holds everything about one mapping or several: numbers, figures, tables, provenance."""

import os
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from factortopy.analysis import findings
from factortopy.analysis import recovery as compare_with_planted
from factortopy.errors import DataError, FactortopyError
from factortopy.fitting import History
from factortopy.mapping import Mapping, facts_line
from factortopy.page import Picture, picture
from factortopy.plot import Palette, certainty, draw, figure_names, recovery, space_dots, training
from factortopy.reporting.pages import (
    Row,
    captions,
    flat_rows,
    headline,
    image_set_rows,
    inlined,
    limits_note,
    recovery_rows,
    render,
    roi_rows,
    selectors_note,
    yardstick_rows,
)
from factortopy.reporting.summary import commands, key_numbers, summary
from factortopy.storage import check_writable, write_text
from factortopy.subjects import PlantedTruth

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

Item = TypeVar("Item")
Tables = MappingType[str, Sequence[MappingType[str, str]]]

DPI, SMALL_DPI = 150, 100
"""Resolution of the figures on the page: of one or two mappings, and of more, to keep the file small."""


def report(
    mappings: Sequence[Mapping],
    path: str | os.PathLike[str],
    *,
    figures: "Sequence[MappingType[str, Figure]] | None" = None,
    tables: Sequence[Tables] | None = None,
    images: "Sequence[Image | None] | None" = None,
    truths: Sequence[PlantedTruth | None] | None = None,
    histories: Sequence[History | None] | None = None,
    clusters: Sequence[np.ndarray | None] | None = None,
    palette: Palette = "default",
    fade: bool | None = None,
) -> Path:
    """Write one self-contained HTML file: it needs no network and no other file.

    Args:
        mappings: what to report on; a section each. All other sequences hold one entry per mapping.
        path: the HTML file.
        figures: figures by name, ready drawn; all that the mapping allows are drawn here if None.
        tables: further tables by title: rows of column name to text.
        images: an example image under the dots of the space map.
        truths: the planted truth of simulated subjects; adds found against planted.
        histories: what was seen while training; adds the training curves.
        clusters: each voxel's cluster, from 1, 0 for none; a map of the cortex that unfolds.
        palette: ``"default"`` or ``"colour-blind"``.
        fade: draw maps of layers, space and scale pale where R^2 is uncertain; where nothing was found if None.

    Returns:
        The path of the file.

    Raises:
        DataError: if there is no mapping, a sequence has another length, or the file cannot be written.

    Example:
        >>> page = ft.report([mapping], "report.html")
        >>> page.name
        'report.html'
    """
    if not mappings:
        raise DataError("a report needs at least one mapping; none was given")
    _check_target(Path(path))
    count, dpi = len(mappings), DPI if len(mappings) <= 2 else SMALL_DPI
    given = (
        _each("figures", figures, count),
        _each("tables", tables, count),
        _each("images", images, count),
        _each("truths", truths, count),
        _each("histories", histories, count),
    )
    _each("clusters", clusters, count)
    sections: list[dict[str, Any]] = []
    for mapping, drawn, extra, image, truth, history in zip(mappings, *given, strict=True):
        shown = _draw_all(mapping, image, truth, history, palette, fade) if drawn is None else dict(drawn)
        sections.append(_section(len(sections), mapping, _inline(shown, dpi), extra or {}, truth))
    simulated = [mapping.simulated for mapping in mappings]
    page = render(
        "report.html.j2",
        sections=sections,
        picture=_picture(mappings, images, clusters, palette, fade),
        simulated=any(simulated),
        all_simulated=all(simulated),
    )
    return write_text(path, page)


def _picture(
    mappings: Sequence[Mapping],
    images: "Sequence[Image | None] | None",
    clusters: Sequence[np.ndarray | None] | None,
    palette: Palette,
    fade: bool | None,
) -> Picture | None:
    """The cortex that unfolds; none of a mapping whose voxels lie on no surface."""
    try:
        return picture(mappings, images=images, clusters=clusters, palette=palette, fade=fade)
    except DataError:
        return None


def _check_target(path: Path) -> None:
    """Fail before the figures are drawn, not after."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of the HTML file, e.g. {path / 'report.html'}", path=path)
    check_writable(path.parent)


def _each(name: str, values: Sequence[Item] | None, count: int) -> Sequence[Item | None]:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise DataError(f"{name} has {len(values)} entries for {count} mappings; give one per mapping")
    return values


def _draw_all(
    mapping: Mapping,
    image: "Image | None",
    truth: PlantedTruth | None,
    history: History | None,
    palette: Palette,
    fade: bool | None,
) -> "dict[str, Figure]":
    """Every figure that the mapping allows: one without ROIs or shares lacks those that need them."""
    if fade:
        certainty(mapping)  # Without limits of R^2 there is nothing to fade by: an error, no page without maps.
    drawn = {}
    for name in figure_names(mapping):
        try:
            drawn[name] = draw(name, mapping, palette=palette, fade=fade)
        except FactortopyError:
            continue
    if image is not None:
        drawn["space_dots"] = space_dots(mapping, image=image, palette=palette)
    if truth is not None:
        drawn["recovery"] = recovery(mapping, truth, palette=palette)
    if history is not None and history.step:
        drawn["training"] = training(mapping, history, palette=palette)
    return drawn


def _inline(figures: "MappingType[str, Figure]", dpi: int) -> list[dict[str, str]]:
    words = captions()
    return [inlined(figure, dpi, **words.get(name, {"title": name, "caption": ""})) for name, figure in figures.items()]


def _section(
    index: int, mapping: Mapping, figures: list[dict[str, str]], extra: Tables, truth: PlantedTruth | None
) -> dict[str, Any]:
    attributes = mapping.dataset.attrs
    settings: list[Row] = flat_rows(mapping.settings or {"recipe": attributes.get("recipe", "unknown")})
    tables: dict[str, Any] = {"Regions of interest": roi_rows(mapping)}
    beside = yardstick_rows(mapping)
    if beside:
        tables["Beside a plain ridge"] = beside
    sets = image_set_rows(mapping)
    if sets:
        tables["By set of images, never mixed"] = sets
    if truth is not None:
        tables["Found against planted"] = recovery_rows(compare_with_planted(mapping, truth))
    return {
        "anchor": f"mapping-{index + 1}",
        "title": f"{attributes.get('network', 'a network')} onto {attributes.get('subject', 'a subject')}",
        "facts": facts_line(mapping.dataset),
        "simulated": mapping.simulated,
        "token": attributes.get("global_token", "global"),
        "summary": summary(mapping),
        "glance": key_numbers(mapping),
        "limits": f"{limits_note(mapping)} {selectors_note(mapping)}".strip(),
        "numbers": headline(mapping),
        "all_numbers": [{"Name": name, "Value": value} for name, value in headline(mapping).items()],
        "commands": commands(mapping),
        "findings": findings(mapping),
        "figures": figures,
        "tables": tables | dict(extra),
        "settings": settings,
        "provenance": flat_rows({**attributes, **mapping.provenance}),
    }
