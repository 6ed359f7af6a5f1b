"""
What simpler models say
=======================

The same tokens, split and test images, given to simpler models: one layer, all layers, no topology, no training.
"""

import numpy as np

import factortopy as ft

tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, progress=False)
subject = subject.select(np.flatnonzero(subject.voxels.rois["V2V3"])[::4])
scores = ft.run_baselines(
    tokens, subject, "run/baselines", which=["ridge-all-layers", "fwrf", "factortopy"], steps=60, progress=False
)
figure = ft.plot.baselines(scores)
figure
