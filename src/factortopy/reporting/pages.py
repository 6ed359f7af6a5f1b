"""Pages that need no network and no other file: figures stand in them as data."""

import base64
from typing import TYPE_CHECKING, Any

from factortopy.plot import alt_text, to_png
from factortopy.provenance import package_versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(template: str, **content: Any) -> str:
    """A page from a template of this package, with the version that wrote it.

    Args:
        template: its file name.
        content: what the template shows; text is escaped.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("factortopy.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    version = package_versions(("factortopy",)).get("factortopy", "development")
    return environment.get_template(template).render(version=version, **content)


def inlined(figure: "Figure", dpi: int, caption: str, title: str = "") -> dict[str, str]:
    """A figure as templates take it.

    Args:
        figure: the figure.
        dpi: resolution.
        caption: what it shows.
        title: of the figure.
    """
    source = f"data:image/png;base64,{base64.b64encode(to_png(figure, dpi)).decode()}"
    return {"title": title, "caption": caption, "alt": alt_text(figure), "source": source}
