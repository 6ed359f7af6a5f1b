"""Takes the figures of examples for the site: factortopy's do not pass through pyplot, where they are looked for."""

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

import factortopy as ft


def scrape(_block: Any, variables: dict[str, Any], configuration: dict[str, Any]) -> str:
    """RST that shows the ``figure`` of a block of an example, where it is a new one."""
    names = variables["example_globals"]
    figure = names.get("figure")
    if not isinstance(figure, Figure) or figure is names.get("_shown"):
        return ""
    names["_shown"] = figure
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=110)
    return figure_rst([path], configuration["src_dir"], ft.plot.alt_text(figure))


def _get_sg_image_scraper() -> Callable[..., str]:
    return scrape
