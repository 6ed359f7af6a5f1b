"""
The page: a cortex that unfolds
===============================

One HTML file, without a server or a network connection: pial, inflated, flat; maps, thresholds, and the numbers of
the vertex you point at.
"""

# sphinx_gallery_capture_repr = ()
from pathlib import Path

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
page = ft.write_page([mapping], "run/page.html")
print(f"{page.name}: {page.stat().st_size / 1e6:.2f} MB")

# %%
# In a notebook this line shows it, and ``view.selected`` then holds the vertices that you pin. It needs
# ``pip install 'factortopy[widget]'``.
view = ft.view(mapping)
view

# %%
# The report puts words first, then the page, tables, figures and how it was made:
report = ft.report([mapping], "run/report.html")
print(f"{Path(report).name}: {Path(report).stat().st_size / 1e6:.2f} MB")
