"""The picture in a notebook: what is selected and how it is looked at can be read and set from Python."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from factortopy.cortex import HEMISPHERES
from factortopy.errors import DataError, import_extra
from factortopy.mapping import Mapping
from factortopy.page._page import contents, static
from factortopy.plot import Palette

if TYPE_CHECKING:
    from PIL.Image import Image


def view(
    *mappings: Mapping,
    images: "Sequence[Image | None] | None" = None,
    clusters: Sequence[np.ndarray | None] | None = None,
    palette: Palette = "default",
    height: int = 640,
) -> Any:
    """Show mappings in a notebook, as :func:`write_page` does in a file.

    Args:
        mappings: what is shown, one or several.
        images, clusters, palette: as in :func:`write_page`.
        height: of the picture, pixels.

    Returns:
        A widget of the library anywidget (extra ``widget``). ``selected`` lists the pinned vertices, each a hemisphere
        and its vertex; ``camera`` holds ``unfold`` (0 pial, 1 inflated, 2 flat), ``yaw``, ``pitch``, ``open``
        (degrees), ``zoom``, ``panX`` and ``panY``; ``map`` is the name of the map. All go both ways.

    Raises:
        MissingExtraError: if anywidget is not installed.
        DataError: as in :func:`write_page`; and where ``selected`` is set to what names no hemisphere and vertex.

    Example:
        >>> view = ft.view(mapping)  # the last line of a cell shows it
        >>> view.selected = [("left", 12)]
        >>> view.camera = {"unfold": 2}
    """
    header, numbers = contents(mappings, images, clusters, palette, fade=None)
    return _widget()(_header=header, _numbers=numbers, height=height)


def _vertices(widget: Any, proposal: dict[str, Any]) -> list[Any]:  # noqa: ARG001
    """What was selected, if every vertex is named as the program takes it; for traitlets."""
    for named in proposal["value"]:
        if not isinstance(named, list | tuple) or len(named) != 2 or named[0] not in HEMISPHERES:
            raise DataError(f"selected holds {named!r}; give the hemisphere and its vertex, such as ('left', 12)")
    return list(proposal["value"])


@cache
def _widget() -> type:
    """The widget's class; made on first use, as its library is an extra."""
    anywidget = import_extra("anywidget", "widget", "a view in a notebook needs anywidget")
    traitlets = import_extra("traitlets", "widget")
    traits = {
        "_esm": f"{static('viewer.js')}\nexport default {{ render: factortopyViewer.render }};",
        "_css": static("viewer.css"),
        "_header": traitlets.Unicode().tag(sync=True),
        "_numbers": traitlets.Bytes().tag(sync=True),
        "height": traitlets.Int(640).tag(sync=True),
        "map": traitlets.Unicode("").tag(sync=True),
        "camera": traitlets.Dict().tag(sync=True),
        "selected": traitlets.List().tag(sync=True),
        "_vertices": traitlets.validate("selected")(_vertices),
        "__doc__": "A picture of mappings; see :func:`factortopy.view`.",
    }
    return type("View", (anywidget.AnyWidget,), traits)
