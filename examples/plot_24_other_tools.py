"""
Maps for other programs
=======================

Workbench, FreeSurfer, pycortex and niivue read files of their own. Whatever they are, each holds all vertices of the
surface, and says in ``maps.json`` what the maps are of.
"""

import nibabel
import numpy as np

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
folder = ft.export_maps(mapping, "run/gifti", "gifti")
print(*sorted(path.name for path in folder.iterdir())[:6], sep="\n")

# %%
# What another program reads is what the mapping holds: R² of the left hemisphere, through nibabel.
curves = nibabel.load(folder / "lh.r2.func.gii").agg_data()
measured = mapping.dataset["hemisphere"].values == "left"
vertices = mapping.dataset["vertex"].values[measured]
print(len(curves), "vertices,", int(np.isfinite(curves).sum()), "measured")
print("the same numbers:", np.allclose(curves[vertices], mapping.dataset["r2"].values[measured]))

# %%
# The same map, as factortopy draws it.
figure = ft.plot.scores(mapping)
figure
