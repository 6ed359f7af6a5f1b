"""
Compare networks
================

Two networks on one subject: scores with limits of the *difference*, and where each wins. The subject is simulated from
SqueezeNet; a random network of three layers is the other.
"""

import factortopy as ft

tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, progress=False)
other = ft.fit(ft.TokenStore.open("run/own-network"), subject, seed=0, steps=60, progress=False)
other.save("run/other")
first = ft.Mapping.load("run/mapping")

# %%
comparison = ft.compare([first, other], labels=["squeezenet", "random"])
won = ft.winners(comparison)
ft.region_table(comparison, won)[["roi", "mapping", "r2", "difference", "difference_low", "difference_high"]]

# %%
figure = ft.plot.winner_map(comparison, won)
figure

# %%
# Limits of a difference are over test images that both saw: they are far narrower than each one's own.
ft.paired_difference(first, other, "r2")
