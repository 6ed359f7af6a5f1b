"""
A diffusion model
=================

A diffusion model has no one answer to a photograph: it is read at a time step of the noise, block by block, or at one
block, step by step. This one has Stable Diffusion's parts, tiny and with **random weights**, which needs
``pip install 'factortopy[diffusion]'``; the real one is ``ft.load_network("stable-diffusion-1.5@t=25")``.
"""

import factortopy as ft
from factortopy.paper.members import tiny_diffusion

views = ft.sample_views(60, seed=0)
blocks = ft.extract(tiny_diffusion("t=4"), views, "run/diffusion-blocks", progress=False)
print("blocks at one step:", blocks.layers)

# %%
# The same model, read at one block of the decoder: now the layers are the steps of the inversion.
steps = ft.extract(tiny_diffusion("block=up.3"), views, "run/diffusion-steps", progress=False)
print("steps at one block:", steps.layers)

# %%
# Either store is fitted like that of any network. The subject is **simulated** from the blocks.
subject = ft.simulate_subject(blocks, planted_channels=5, seed=0, progress=False)
mapping = ft.fit(blocks, subject, seed=0, steps=30, progress=False)
figure = ft.plot.layers(mapping)
figure
