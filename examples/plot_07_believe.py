"""
Can I believe this map?
=======================

Four questions, each with one answer: does the fit predict better than a plain ridge; is the slope larger than that of
random maps as smooth; do other seeds give the same map; are depths shares of the prediction, not raw selectors?
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")

# %%
# **A ridge beside the fit**, on the same images and split. Where it wins by more than its limits, a line says so.
ft.analysis.yardstick_table(mapping)

# %%
# **Random maps as smooth as this one**: what slope would chance give on this cortex?
test = ft.slope_test(mapping.dataset["depth"].values, mapping.rois, mapping.voxels.coordinates, count=200)
print(test)

# %%
# **Another seed**: the maps should be the same.
tokens = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(tokens, planted_channels=5, seed=0, progress=False)
again = ft.fit(tokens, subject, seed=1, steps=60, bootstrap=0, progress=False)
again.save("run/other-seed")
print(ft.similarity([mapping, again], "depth", labels=["seed 0", "seed 1"]).correlation.round(3))

# %%
# **Shares and selectors**: the share is what each layer adds to the prediction; a selector can be moved about without
# any change of the prediction (:doc:`/identifiability`). Both are drawn; trust the share.
figure = ft.plot.layers(mapping)
figure
