"""
Before and after training
=========================

What new weights change: layers, scores, slope. Here the same network with random weights and with trained ones, on
one subject and one split.
"""

import factortopy as ft

untrained = ft.load_network("squeezenet-1.1", untrained=True, seed=0)
views = ft.sample_views(300, seed=0)
random_tokens = ft.extract(untrained, views, "run/untrained-tokens", progress=False)
subject = ft.simulate_subject(ft.TokenStore.open("run/tokens"), planted_channels=5, seed=0, progress=False)
before = ft.fit(random_tokens, subject, seed=0, steps=60, progress=False)
difference = ft.change(before, ft.Mapping.load("run/mapping"))
difference.regions

# %%
figure = ft.plot.change_bars(difference)
figure
