"""
Does depth follow an order of areas?
====================================

The paper's slope uses four areas. Any order of areas can be asked: rank correlation, a monotone fit, and how often
shuffled areas do as well.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
order = ft.parse_order("V1, V2V3, V4, PPA", name="ventral")
ventral = ft.fit_hierarchy(mapping, order, permutations=200)
print(f"slope {ventral.slope.text(2)}, rank correlation {ventral.spearman:.2f}")

# %%
figure = ft.plot.hierarchy_orders(mapping, [ventral])
figure

# %%
# Orders that are known from the literature and whose areas this mapping has:
[known.name for known in ft.orders_of(mapping.rois)]
