"""Figures as files: PNG for reading, SVG for editing, the same bytes each time."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from factortopy.errors import DataError
from factortopy.plot.style import STYLE
from factortopy.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300


def alt_text(figure: "Figure") -> str:
    """What the figure shows, in words, for readers who cannot see it."""
    return str(figure.get_label())


def to_png(figure: "Figure", dpi: int = DPI) -> bytes:
    """The figure as PNG bytes, its description inside; the same figure gives the same bytes.

    Args:
        figure: the figure.
        dpi: pixels per inch.
    """
    return _render(figure, "png", dpi, {"Description": alt_text(figure), "Software": None})


def save(figure: "Figure", path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a figure as PNG (300 dpi) and SVG (text stays text) beside each other.

    Args:
        figure: the figure.
        path: where to write; its suffix, if any, is replaced by ``.png`` and ``.svg``.

    Returns:
        The paths of the PNG and the SVG.

    Raises:
        DataError: if the files cannot be written or the suffix is of another format.
    """
    path = Path(path)
    known = path.suffix.lower() in (".png", ".svg")
    if path.suffix.lower() in (".pdf", ".jpg", ".jpeg", ".eps", ".tif", ".tiff"):
        raise DataError(f"cannot write {path}: figures are written as .png and .svg; leave the suffix out", path=path)
    stem = path.with_suffix("") if known else path
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    title = {"Title": alt_text(figure), "Date": None, "Creator": "factortopy"}
    for target, data in ((png, to_png(figure)), (svg, _render(figure, "svg", DPI, title))):
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
    return png, svg


def _render(figure: "Figure", kind: str, dpi: int, metadata: dict[str, str | None]) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata)
    return buffer.getvalue()
