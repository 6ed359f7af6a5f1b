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


CAPTIONS: dict[str, tuple[str, str]] = {
    "layers": (
        "Layers, by share",
        "Hue: the layer that contributes most to the predicted responses of a vertex on held-out images "
        "(its share of the prediction's variance). Brightness: confidence, 1 - H / log L, with H the entropy "
        "of the shares (negative shares count as 0); dark means that many layers contribute alike. Grey "
        "cortex was not measured.",
    ),
    "layers_selector": (
        "Layers, by selector",
        "The same map from the layer selector itself, in the canonical gauge: the scaling of features, which "
        "the data leave open, is fixed by one rule for all networks.",
    ),
    "space": (
        "Space",
        "The place in the image that a vertex reads, in the colours of the square key: the left hemisphere "
        "is expected to read the right half of the image, the right hemisphere the left half.",
    ),
    "space_dots": (
        "Space by layer",
        "Each dot is a vertex, drawn where it reads the image and coloured by the layer that contributes most.",
    ),
    "scale": (
        "Scale, by share",
        "How much of a vertex's prediction comes from the global token: 0 is purely local, 1 purely global. "
        "Shares of correlated parts can lie a little outside 0 to 1.",
    ),
    "scale_selector": (
        "Scale, by selector",
        "The scale selector itself, in the canonical gauge.",
    ),
    "scores": (
        "Brain score",
        "Raw R² of every vertex on images the model never saw, with nothing clipped, beside the noise "
        "ceiling where it is known: the R² that a perfect model would reach.",
    ),
    "rois": ("Regions", "The regions used in the tables, with their number of vertices in each hemisphere."),
    "hierarchy": (
        "Hierarchy",
        "Position in the network (0 first layer, 1 last) of the vertices of each region against the level "
        "that the paper expects of it; violins show the distribution, the bar its quartiles, diamonds the "
        "mean, the line the least-squares fit; bars and band are 95 % limits over test images. "
        "A slope of 1 means that the network's depth follows the visual hierarchy.",
    ),
    "recovery": (
        "Found against planted",
        "Only for simulated subjects: what the fit found against what was planted, for every vertex. On the "
        "dashed line the two are equal.",
    ),
    "training": (
        "Training",
        "Training loss and R² on validation images; the dashed line marks the step whose parameters were kept.",
    ),
}
