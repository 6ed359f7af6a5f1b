"""Mappings as one HTML file, or as the parts of one that another page takes up."""

import base64
import gzip
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Images

from factortopy.analysis import nothing_found
from factortopy.cortex import SURFACES, Surface
from factortopy.errors import DataError
from factortopy.mapping import Mapping
from factortopy.page.codec import Blob
from factortopy.page.colours import colour_tables
from factortopy.page.contents import on_one_scale, write_mapping
from factortopy.page.geometry import write_geometry
from factortopy.plot import LayerKey, Palette, SpaceKey, certainty, paint, surface_of, to_vertices
from factortopy.provenance import package_versions
from factortopy.storage import check_writable, write_text

if TYPE_CHECKING:
    from PIL.Image import Image

STILL = 900
"""Width of the still picture, pixels."""


@dataclass(frozen=True)
class Picture:
    """The parts of an HTML page that make the picture; text in them is safe to stand there.

    Attributes:
        markup: elements that hold what is shown and the still picture in its place until then.
        style: of the elements.
        script: the program.
        sources: Content-Security-Policy's sources of scripts that let this program run and no other.
    """

    markup: str
    style: str
    script: str
    sources: str


def write_page(
    mappings: Sequence[Mapping],
    path: str | os.PathLike[str],
    *,
    images: "Sequence[Image | None] | None" = None,
    clusters: Sequence[np.ndarray | None] | None = None,
    palette: Palette = "default",
    fade: bool | None = None,
) -> Path:
    """Write one HTML file in which mappings are seen on a cortex that unfolds; it needs no network.

    Args:
        mappings: what is shown, one or several; all other sequences hold one entry per mapping.
        path: the HTML file.
        images: an example image, on which the place that a vertex reads is drawn.
        clusters: each voxel's cluster, from 1, 0 for none.
        palette: the colours at first; the page has both.
        fade: pale at first where R^2 is uncertain, the page has both; where nothing was found if None.

    Returns:
        The path of the file.

    Raises:
        DataError: if there is no mapping, one lies on no surface that can be painted or has no limits of R^2 to fade
            by, a sequence has another length, or the file cannot be written.

    Example:
        >>> ft.write_page([mapping], "page.html").name
        'page.html'
    """
    if Path(path).is_dir():
        raise DataError(f"{path} is a folder; give the path of the HTML file, e.g. {Path(path) / 'page.html'}")
    check_writable(Path(path).parent)
    made = picture(mappings, images=images, clusters=clusters, palette=palette, fade=fade)
    return write_text(path, _whole(made, _title(mappings)))


def picture(
    mappings: Sequence[Mapping],
    *,
    images: "Sequence[Image | None] | None" = None,
    clusters: Sequence[np.ndarray | None] | None = None,
    palette: Palette = "default",
    fade: bool | None = None,
) -> Picture:
    """The parts of :func:`write_page`, for a page with more on it; arguments and errors are the same."""
    header, numbers = contents(mappings, images, clusters, palette, fade)
    script = static("viewer.js")
    return Picture(
        markup=_MARKUP.format(
            still=_still(mappings[0], palette), header=header, data=base64.b64encode(numbers).decode()
        ),
        style=static("viewer.css"),
        script=script,
        sources=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
    )


def contents(
    mappings: Sequence[Mapping],
    images: "Sequence[Image | None] | None",
    clusters: Sequence[np.ndarray | None] | None,
    palette: Palette,
    fade: bool | None,
) -> tuple[str, bytes]:
    """What the program reads: a header in JSON that can stand in HTML, and numbers, packed by gzip."""
    if not mappings:
        raise DataError("a page needs at least one mapping; none was given")
    for name, given in (("images", images), ("clusters", clusters)):
        if given is not None and len(given) != len(mappings):
            raise DataError(f"{name} has {len(given)} entries for {len(mappings)} mappings; give one per mapping")
    for mapping in mappings if fade else ():
        certainty(mapping)  # Without limits of R^2 there is nothing to fade by.
    surface = _common_surface(mappings)
    blob = Blob()
    nothing: list[None] = [None] * len(mappings)
    written = [
        write_mapping(mapping, surface, blob, image, cluster)
        for mapping, image, cluster in zip(mappings, images or nothing, clusters or nothing, strict=True)
    ]
    content = {
        "title": _title(mappings),
        "version": package_versions(("factortopy",)).get("factortopy", "development"),
        "palette": palette,
        "fade": any(map(nothing_found, mappings)) if fade is None else fade,
        "surface": write_geometry(surface, blob),
        "mappings": on_one_scale(written),
        "colours": colour_tables(
            (len(mapping.layers) for mapping in mappings), (one["clusters"] for one in written if one["clusters"])
        ),
    }
    return _as_json(content), gzip.compress(b"".join(blob.parts), 6, mtime=0)


_MARKUP = """<div class="factortopy" data-factortopy>
<img class="ft-still" alt="The mapping on the flattened cortex, a still picture" src="{still}">
<script type="application/json" data-part="header">{header}</script>
<script type="application/octet-stream" data-part="numbers">{data}</script>
</div>"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; media-src blob:; style-src 'unsafe-inline'; script-src {sources}">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="ft-alone">
<main>
{markup}
</main>
<script>{script}</script>
</body>
</html>
"""  # noqa: E501


def _whole(made: Picture, title: str) -> str:
    from html import escape

    return _PAGE.format(
        sources=made.sources, title=escape(title), style=made.style, markup=made.markup, script=made.script
    )


def _title(mappings: Sequence[Mapping]) -> str:
    if len(mappings) > 1:
        return f"{len(mappings)} mappings of networks onto brains"
    attributes = mappings[0].dataset.attrs
    return f"{attributes.get('network', 'a network')} onto {attributes.get('subject', 'a subject')}"


def _common_surface(mappings: Sequence[Mapping]) -> Surface:
    """The coarsest of the mappings' surfaces, whose vertices are the first ones of the finer."""
    return min((surface_of(mapping) for mapping in mappings), key=lambda surface: SURFACES.index(surface.name))


def _still(mapping: Mapping, palette: Palette) -> str:
    """A small flat map, for readers without WebGL 2 and for the time until it is drawn."""
    data, surface = mapping.dataset, surface_of(mapping)
    if "layer_share" in data:
        colours = LayerKey(palette=palette).colours(data["layer_share"].values)
    else:
        colours = SpaceKey(palette).colours(data["space"].values)
    painted = paint(surface, to_vertices(mapping, surface, colours), zoom=bool((colours[:, 3] > 0).any()), width=STILL)
    image = Images.fromarray(np.rint(painted.image * 255).astype(np.uint8), "RGBA")
    stored = io.BytesIO()
    image.save(stored, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(stored.getvalue()).decode()}"


def static(name: str) -> str:
    """A file of the program."""
    return files("factortopy.page").joinpath("static", name).read_text(encoding="utf-8")


def _as_json(content: dict[str, Any]) -> str:
    """JSON that can stand inside an HTML element: no name in it can end that."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
