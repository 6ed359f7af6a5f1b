"""
Single trials and noise ceilings
================================

R² is raw. How much of a response could be predicted at all is the noise ceiling; with single trials it is computed,
otherwise it is given. A score is read beside it.
"""

import numpy as np

import factortopy as ft

tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(
    tokens, planted_channels=5, repeats=3, single_trials=True, seed=0, name="three repeats", progress=False
)
subject = subject.select(np.arange(0, len(subject.voxels), 4))  # every fourth voxel, to be quick
print(subject.responses.shape, "trials x voxels; scores are of", subject.scores_of)

# %%
# The trials of an image go together: they train, or they test.
mapping = ft.fit(tokens, subject, seed=0, steps=60, progress=False)
ft.roi_scores(mapping)[["roi", "voxels", "r2", "ceiling", "normalised"]]
