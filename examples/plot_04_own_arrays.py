"""
Your own arrays
===============

Responses as (image, voxel), the name of the image of each row, and a coordinate for each voxel. Recordings without
known places, such as neurons, leave the coordinates out.
"""

import numpy as np

import factortopy as ft

# %%
# Here: 300 images and 60 units without places, written as you may have them. The numbers are **simulated**.
tokens = ft.TokenStore.open("run/tokens")
simulated = ft.simulate_subject(tokens, planted_channels=5, seed=1, progress=False)
np.save("run/responses.npy", simulated.responses[:, :60])
with open("run/image_ids.txt", "w") as file:
    file.write("\n".join(simulated.image_ids))

# %%
# Files are checked as they are read; what is wrong is said in one line, with the remedy.
subject = ft.load_arrays("run/responses.npy", "run/image_ids.txt")
mapping = ft.fit(tokens, subject, progress=False)
mapping.dataset[["r2", "depth", "scale_share"]].to_dataframe()[["r2", "depth", "scale_share"]].describe().round(3)

# %%
# A file that does not fit together is refused, not guessed at.
np.save("run/too_short.npy", simulated.responses[:50, :60])
try:
    ft.load_arrays("run/too_short.npy", "run/image_ids.txt")
except ft.errors.FactortopyError as error:
    print(error)
