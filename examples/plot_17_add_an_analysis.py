"""
An analysis of your own
=======================

A mapping is an xarray dataset with a row for each voxel; whatever is computed from it joins tables and maps.
"""

import numpy as np

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
mapping.dataset[["r2", "depth", "scale_share"]]

# %%
# How far from the centre of the image each area looks, with limits over its voxels:
distance = np.linalg.norm(mapping.dataset["space"].values, axis=1)
ft.table_of(
    {"roi": name, "eccentricity": ft.analysis.Estimate.of_sample(distance[inside], over="voxels")}
    for name, inside in mapping.rois.items()
)
