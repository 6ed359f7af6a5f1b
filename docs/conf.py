"""The documentation site: pages of this folder, examples that are executed, and the reference from docstrings.

Sphinx, for what it does with docstrings: examples name what they use, and each name lists its examples.
"""

import inspect
import os
import sys
from pathlib import Path

import factortopy as ft

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "factortopy"
author = "The factortopy developers"
release = version = ft.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.py"]
templates_path = ["_templates"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
autodoc_typehints = "none"  # shapes and units stand in the text
autosummary_generate = True
napoleon_numpy_docstring = False

html_theme = "pydata_sphinx_theme"
html_title = "factortopy"
html_theme_options = {
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "globaltoc_includehidden": True,
    "globaltoc_maxdepth": 2,
    "navbar_center": [],  # the sidebar has all pages, by what a reader wants to do
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_sidebars = {"**": ["globaltoc"]}

sphinx_gallery_conf = {
    "image_scrapers": ("drawn",),  # the module beside this one
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "auto_examples/uses",
    "doc_module": ("factortopy",),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "ignore_repr_types": r"matplotlib\.figure",  # drawn, by the scraper; a notebook shows it by its name
    "show_signature": False,
    "min_reported_time": 5,
    "default_thumb_file": str(HERE / "images" / "page.png"),  # of examples that draw nothing
    "remove_config_comments": True,
    "matplotlib_animations": False,
}
os.environ.setdefault("TQDM_DISABLE", "1")


def write_reference() -> None:
    """A page of all public names, by the stage that they come from."""
    names = sorted(name for name in ft.__all__ if not inspect.ismodule(getattr(ft, name)))
    stages: dict[str, list[str]] = {}
    for name in names:
        stages.setdefault(getattr(ft, name).__module__.split(".")[1], []).append(name)
    lines = ["Python reference", "================", "", "What stands at the root, as ``ft.NAME``.", ""]
    for stage, members in sorted(stages.items()):
        lines += [stage, "-" * len(stage), "", ".. currentmodule:: factortopy", "", ".. autosummary::"]
        lines += ["   :toctree: reference", "   :nosignatures:", "", *(f"   {name}" for name in members), ""]
    page = HERE / "reference.rst"
    text = "\n".join(lines)
    if not page.exists() or page.read_text() != text:
        page.write_text(text)


def setup(app):
    app.connect("config-inited", lambda _app, _config: write_reference(), priority=100)
