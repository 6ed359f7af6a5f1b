"""
The Natural Scenes Dataset
==========================

NSD is read from its folder as it was downloaded. Nobody may hand it on, so this example **makes a folder up**: the
real names, types and axes of files, with random numbers. With NSD on disk, ``folder`` is the one that holds
``nsddata``.
"""

import sys
import tempfile

import matplotlib.pyplot as plt

import factortopy as ft

sys.path.append("../tests/datasets")  # the tests' writer of made-up folders, in a checkout of factortopy
from nsd_fixture import write_nsd

folder = tempfile.mkdtemp()
made_up = write_nsd(folder, space="func1pt8mm", grid=(20, 18, 12), sessions=(1, 2, 3), planned=4, trials=60)

# %%
# A subject: repeats of an image averaged, betas z-scored by session. What was read, and what was done to it, is
# written down; a session that is missing is named there.
subject = ft.load_nsd(folder, subject=1, space="func1pt8mm", voxels="all")
print(subject.responses.shape, "images x voxels;", subject.provenance["sessions"])
print({name: int(inside.sum()) for name, inside in list(subject.voxels.rois.items())[:8]})

# %%
# Noise ceilings come from NSD's own ``ncsnr`` and from how often each image was seen.
figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
axes.hist(subject.noise_ceiling, bins=30, color="0.4")
axes.set(xlabel="noise ceiling, R²", ylabel="voxels", title="MADE-UP numbers in NSD's layout")
figure.set_label("Histogram of the noise ceilings of all voxels, of made-up numbers.")

# %%
# Tests are of images that all subjects saw, so that subjects can be compared.
shared = sorted(set(ft.nsd_shared_images(folder)) & set(subject.image_ids))
split = ft.split_with_test(subject.image_ids, shared)
print(len(split.train), "train,", len(split.validation), "stop the training,", len(split.test), "test")

# %%
# From here on it goes as in the first example: ``ft.extract(network, subject.images, "run/tokens")``, then
# ``ft.fit(tokens, subject, split=split)``. :doc:`/nsd` has the rest.
subject.images.image(0).size
