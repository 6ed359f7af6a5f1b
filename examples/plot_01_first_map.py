"""
A first map
===========

From photographs to layers painted on the cortex, in a minute. The network is real (SqueezeNet 1.1), the cortex too
(fsaverage5); **the subject is simulated**, so that we know what should be found.
"""

import factortopy as ft

# %%
# Photographs. These are views cut out of the ones that come with scikit-image and scikit-learn; your own are
# ``ft.images_from_folder("photographs")``.
views = ft.sample_views(300, seed=0)

# %%
# Tokens of every layer of the network. They stand on disk, and are made once: a second call reads them.
network = ft.load_network("squeezenet-1.1")
tokens = ft.extract(network, views, "run/tokens", progress=False)
print(tokens.layers)

# %%
# A subject: responses of every voxel to every image, and where the voxels are. Yours comes from
# :func:`factortopy.load_subject`; this one reads the network in a known way, with noise on top.
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, progress=False)
print(subject.responses.shape, "images x voxels")

# %%
# The fit: where, which layers, local or global, and which channels predict each voxel best.
mapping = ft.fit(tokens, subject, seed=0, progress=False)
mapping.save("run/mapping")
figure = ft.plot.layers(mapping)
figure

# %%
# How well responses to images that the fit has not seen are predicted, with limits and beside the ceiling:
ft.roi_scores(mapping)

# %%
# Does depth in the network follow the order of areas? One number says it, the hierarchy slope: 1 is a network whose
# layers line up with V1, V2/V3 and the areas after them, 0 one in which they do not.
ft.hierarchy_slope(mapping)
