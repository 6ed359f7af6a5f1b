"""
Few images: folds
=================

With a hundred images one test side of ten says little. Folds test every image once.
"""

import numpy as np

import factortopy as ft

tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(tokens, planted_channels=5, seed=2, progress=False)
subject = subject.select(np.flatnonzero(subject.voxels.rois["V1"])[::3])

# %%
# Views of one scene stand on one side: otherwise a fold is tested on what it has nearly seen.
scenes = [name.split("-")[0] for name in subject.image_ids]
folds = ft.split_folds(subject.image_ids, 3, scenes)
fits = [ft.fit(tokens, subject, split=fold, steps=40, bootstrap=0, progress=False) for fold in folds]

# %%
# The mean over folds with Student's limits. They are honest about the spread between folds, and wide.
print(ft.over_fits([float(fit.dataset["r2"].mean()) for fit in fits], over="folds").text(3))
