"""
Many networks, many subjects
============================

A sweep file asks for networks x subjects x seeds; starting it again does nothing twice. Here it is one untrained
network on a tiny subject of random numbers, which takes seconds.
"""

from pathlib import Path

import numpy as np
from PIL import Image

import factortopy as ft

folder, random = Path("run/sweep"), np.random.default_rng(0)
(folder / "one" / "images").mkdir(parents=True, exist_ok=True)
names = [f"image-{number:02d}.png" for number in range(40)]
for name in names:
    Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / "one" / "images" / name)
np.save(folder / "one" / "responses.npy", random.normal(size=(40, 24)).astype(np.float32))
np.save(folder / "one" / "coordinates.npy", random.uniform(0, 100, (24, 3)))
(folder / "one" / "image_ids.txt").write_text("\n".join(names))
(folder / "one" / "subject.toml").write_text('name = "one"\nimages = "images"')
(folder / "sweep.toml").write_text("""
networks = [{name = "timm/test_vit", untrained = true}]
subjects = ["one"]
grid = [2, 2]
bootstrap = 0
settings = {steps = 2, validate_every = 1, width = 4, batch_size = 16, components = 4}
output = "study"
""")

# %%
# The same as ``factortopy sweep run/sweep/sweep.toml``.
settings = ft.sweep.read_sweep(folder / "sweep.toml")
record = ft.sweep.Record(settings.output)
progress = ft.sweep.run_sweep(
    record, lambda: ft.sweep.plan_tasks(settings, progress=False), lambda _: ft.sweep.InProcess(record.folder)
)
{str(state): count for state, count in progress.counts().items()}
