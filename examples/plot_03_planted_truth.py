"""
Is what was planted found?
==========================

A simulated subject knows its truth. Whether the fit finds it is the first question to ask of any method that draws
maps, and it depends on the number of images and on the noise.
"""

import factortopy as ft

tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, progress=False)
mapping = ft.Mapping.load("run/mapping")

# %%
# Correlations over voxels of what was found with what was planted, and the slope beside the planted one.
ft.recovery(mapping, subject.truth)

# %%
figure = ft.plot.recovery(mapping, subject.truth)
figure

# %%
# Before scanning: what to expect of so many images and so much noise. The table is of simulated subjects of the
# same kind as this one, and is interpolated.
ft.forecast_recovery(images=2_000, ceiling=0.2)
