"""
Which channels: clusters of voxels
==================================

Voxels that read the network in the same way, grouped by their channels. The gauge-free way compares what channels
*do*; the paper's compares the numbers.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
clusters = ft.channel_clusters(mapping, count=5, way="gauge-free")
ft.cluster_table(mapping, clusters)

# %%
figure = ft.plot.clusters(mapping, clusters)
figure
