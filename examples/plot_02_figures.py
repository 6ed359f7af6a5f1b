"""
The figures of a mapping
========================

Each is drawn from a mapping alone, on the flattened cortex. What is hardly predicted is faded, as a layer of such a
voxel means little. The mapping is that of the first example.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
print(ft.plot.figure_names(mapping))

# %%
# Which layers: hue is the layer, brightness how much of the prediction it makes up.
figure = ft.plot.layers(mapping)
figure

# %%
# Where in the image each voxel looks, by place.
figure = ft.plot.space(mapping)
figure

# %%
# Local tokens (0) or the global one (1).
figure = ft.plot.scale(mapping)
figure

# %%
# R² on held-out images.
figure = ft.plot.scores(mapping)
figure

# %%
# Files for a paper, as PNG and SVG. A palette for readers who see colours otherwise is one argument.
ft.plot.save(ft.plot.layers(mapping, palette="colour-blind"), "run/layers")
