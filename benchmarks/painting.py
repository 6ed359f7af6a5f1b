"""How long the cortex takes to be painted, flat and inflated, beside nilearn; the last line is one JSON object.

    python benchmarks/painting.py
    SUBJECTS_DIR=FOLDER python benchmarks/painting.py --surface fsaverage7

All is painted warm: the surface is read and everything has run once. Times are the least of the repeats, on the clock
and of the processor, as other programs share the machine; nilearn's ``plot_surf`` draws the lateral view of both
hemispheres in the same process, after the peak memory of ours was read.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from nilearn.plotting import plot_surf

from factortopy.cortex import HEMISPHERES, Surface, load_surface
from factortopy.mapping import Mapping
from factortopy.plot import LayerKey, layers, paint, paint_inflated, to_png, to_vertices

VIEWS = ("lateral", "medial", "ventral", "posterior")
LAYERS, REGIONS = 12, 7
WIDTH = 2000
"""Of a flat map, pixels; inflated views are as large as on a page."""


def whole_cortex(surface: Surface) -> Mapping:
    """A mapping of every vertex: the layer rises from the occipital pole, with some regions along it."""
    place = np.concatenate([half.inflated.coordinates[:, 1] for half in surface.hemispheres])
    depth = (place - place.min()) / np.ptp(place)
    weights = np.exp(-0.5 * ((np.arange(LAYERS) - depth[:, None] * (LAYERS - 1)) / 0.9) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    count = surface.left.vertices
    variables = dict.fromkeys(("layer", "layer_share"), (("voxel", "layer"), weights))
    variables |= dict.fromkeys(("scale", "r2"), ("voxel", depth))
    variables["space"] = (("voxel", "axis"), np.stack([depth, depth], axis=1))
    coordinates = {
        "hemisphere": ("voxel", np.repeat(HEMISPHERES, count)),
        "vertex": ("voxel", np.tile(np.arange(count), 2)),
        "network_layer": ("layer", [f"blocks.{number}" for number in range(LAYERS)]),
    }
    for number in range(REGIONS):
        inside = np.abs(depth - (number + 0.5) / (REGIONS + 1)) < 0.4 / (REGIONS + 1)
        coordinates[f"roi_R{number + 1}"] = ("voxel", inside)
    facts = {"network": "none", "subject": "none", "surface": surface.name, "simulated": 1, "gauge": "canonical"}
    return Mapping(dataset=xr.Dataset(variables, coordinates, facts), settings={}, provenance={})


def least(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least time on the clock and least time of the processor of work that has run once before."""
    work()
    clock, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return round(min(clock), 3), round(min(processor), 3)


def draw_with_nilearn(surface: Surface, values: dict[str, np.ndarray]) -> None:
    """Both hemispheres from the side, as one picture each."""
    for half in surface.hemispheres:
        figure = Figure(figsize=(4, 3))
        axes = figure.add_subplot(projection="3d")
        mesh = (half.inflated.coordinates.copy(), half.inflated.faces)  # nilearn centres them where they lie
        plot_surf(
            mesh, values[half.name], bg_map=half.sulcal_depth, hemi=half.name, view="lateral", engine="matplotlib",
            axes=axes, figure=figure,
        )  # fmt: skip
        to_png(figure, dpi=150)


def main() -> None:
    """Paint, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surface", default="fsaverage5")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    surface = load_surface(options.surface)
    mapping = whole_cortex(surface)
    weights = mapping.dataset["layer_share"].values
    colours = to_vertices(mapping, surface, LayerKey().colours(weights))
    work: dict[str, Callable[[], object]] = {
        "flat": lambda: paint(surface, colours, zoom=False, width=WIDTH),
        "four_views": lambda: [paint_inflated(surface, colours, view, width=1000) for view in VIEWS],
        "one_view": lambda: paint_inflated(surface, colours, "lateral", width=1000),
        "figure": lambda: layers(mapping),
        "figure_of_four_views": lambda: layers(mapping, views=VIEWS),
    }
    found: dict[str, float | str] = {"surface": surface.name, "vertices": len(weights)}
    for name, job in work.items():
        found[f"{name}_seconds"], found[f"{name}_processor_seconds"] = least(job, options.repeats)
        print(f"{name}: {found[f'{name}_seconds']} s, processor {found[f'{name}_processor_seconds']} s", flush=True)
    # ru_maxrss is in bytes on macOS and in KiB elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    found["peak_memory_mb"] = round(peak / 1e6)
    values = to_vertices(mapping, surface, mapping.dataset["r2"].values)
    found["nilearn_one_view_seconds"], processor = least(lambda: draw_with_nilearn(surface, values), 1)
    found["nilearn_one_view_processor_seconds"] = processor
    found["times_as_fast_as_nilearn"] = round(processor / float(found["one_view_processor_seconds"]), 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
