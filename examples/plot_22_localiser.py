"""
A functional localiser in silico
================================

Which voxels answer more to photographs of one kind than to those of another? The mapping predicts the responses, and a
t test over photographs compares them. Here: a cat against buildings, in a **simulated** subject.
"""

import factortopy as ft

mapping = ft.Mapping.load("run/mapping")
views = ft.sample_views(200, seed=5)
cats = views.subset([name for name in views.ids if name.startswith("chelsea")])
buildings = views.subset([name for name in views.ids if name.startswith("china")])
found = ft.contrast(mapping, cats, buildings, progress=False)
print(len(cats.ids), "and", len(buildings.ids), "photographs;", int(found.significant.sum()), "voxels differ")

# %%
# Voxels that do not pass the control of false discoveries are pale.
figure = ft.plot.contrast_map(found, ("cat", "buildings"))
figure

# %%
# The t is over photographs: other photographs of these kinds would differ as well. It does not say how sure the mapping
# is of this brain; voxels whose held-out R² is not above chance are left out for that.
found.regions().head()
