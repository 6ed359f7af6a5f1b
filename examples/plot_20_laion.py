"""
LAION-fMRI
==========

Six thousand images for each subject, many of them seen twelve times, and splits that ask for more than photographs
like those of the training. The folder is **made up**, in the layout of the real one.
"""

import sys
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import factortopy as ft

sys.path.append("../tests/datasets")  # the tests' writer of made-up folders, in a checkout of factortopy
from laion_fixture import write_laion

folder = tempfile.mkdtemp()
made_up = write_laion(folder, grid=(12, 11, 10))
subject = ft.load_laion(folder, subject=1)
print(subject.responses.shape, "images x voxels;", sorted(subject.voxels.rois)[:8])

# %%
# Splits by name: ``tau`` tests on images as far from the training as those are from one another, ``ood`` on images out
# of distribution. Which file a split came from is kept with its digest.
for name in ("tau", "ood"):
    split = ft.laion_split(folder, subject, name)
    print(f"{name}: {len(split.train)} train, {len(split.validation)} validate, {len(split.test)} test")

# %%
# An image shown twelve times is measured better than one shown four times, and a score is read beside the ceiling of
# the images that it is of.
repeats = np.asarray(subject.repeats)
figure, axes = plt.subplots(figsize=(5, 2.6), layout="constrained")
axes.hist(subject.noise_ceiling, bins=30, color="0.4")
axes.set(xlabel="noise ceiling, R²", ylabel="voxels", title="MADE-UP numbers in LAION-fMRI's layout")
figure.set_label("Histogram of the noise ceilings of all voxels, of made-up numbers.")
print({int(times): int((repeats == times).sum()) for times in np.unique(repeats)}, "images by times shown")
