"""
Which photographs drive a region?
=================================

A mapping is a brain that can be shown any photographs. Which would drive a region most, and which least? Here the
subject is **simulated**, so that the answer says something about the network and nothing about a brain.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
photographs = ft.sample_views(100, seed=11)
ranking = ft.rank_images(mapping, photographs, "PPA", progress=False)
ranking.table.head()

# %%
# The limits are of the measured mean response to one photograph: they say how far such a prediction has erred on the
# fit's own test images. Photographs unlike those may err by more.
network = ft.load_network("squeezenet-1.1")
seen = network.preprocessing.seen
figure = ft.plot.contact_sheet(ranking, lambda name: seen(photographs.image(photographs.ids.index(name))), 5)
figure
