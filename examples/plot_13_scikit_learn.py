"""
In scikit-learn
===============

An encoding model with ``fit``, ``predict`` and ``score``, for pipelines and cross-validation of your own.
"""

import numpy as np

import factortopy as ft

store = ft.TokenStore.open("run/tokens")
subject = ft.simulate_subject(store, planted_channels=5, seed=0, progress=False)
subject = subject.select(np.flatnonzero(subject.voxels.rois["V1"]))
train, test = np.arange(240), np.arange(240, 300)
model = ft.FactorTopyRegressor(steps=60)
model.fit(store.read(train), subject.responses[train], coordinates=subject.voxels.coordinates)
print(f"R² of new images: {model.score(store.read(test), subject.responses[test]):.3f}")
