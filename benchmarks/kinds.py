"""Picture of what the kinds of simulated subjects read: mean depth on the cortex, layer weights of regions.

    python benchmarks/kinds.py docs/images/kinds

Nothing is fitted and no network is run: these are the maps that ``simulate_subject`` plants.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from factortopy.cortex import HEMISPHERES, ROI_NAMES, Surface, load_surface
from factortopy.plot import Header, add_axes, layer_colours, new_figure, paint, save, styled
from factortopy.simulation import Planted
from factortopy.simulation.maps import PlantedMaps, planted_maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS = 12
KINDS = {
    "default: neighbouring layers, smooth areas": Planted(),
    'areas="sharp": levels jump at borders': Planted(areas="sharp"),
    'mixture="one": a single layer a voxel': Planted(mixture="one"),
    'mixture="two": half the network apart': Planted(mixture="two"),
}
ROW, COLUMN, MAP, TABLE = 56.0, 90.0, 50.0, 22.0
"""Height and width of a kind (half a page), width of its map, width of its table of weights, mm."""
FACTS = {
    "network": f"any of {LAYERS} layers",
    "subject": "only planted, nothing fitted",
    "recipe": "none",
    "split": "none",
    "seed": "none",
}


@styled
def kinds() -> "Figure":
    """For each kind, the mean depth of its layers on the flattened cortex, and layer weights by region."""
    surface = load_surface("fsaverage5")
    figure = new_figure(
        Header(xr.Dataset(attrs=FACTS), simulated=True), "Kinds of simulated subjects", ROW * len(KINDS) / 2,
        source="mean depth of layers, violet first to rust last", alt="; ".join(KINDS),
    )  # fmt: skip
    for number, (title, planted) in enumerate(KINDS.items()):
        left, bottom = COLUMN * (number % 2), ROW * (len(KINDS) // 2 - 1 - number // 2)
        maps = planted_maps(surface, planted.areas)
        weights = planted.layers(maps, LAYERS)
        colours = layer_colours(weights @ np.linspace(0, 1, LAYERS))
        flat = paint(surface, {side: _spread(surface, maps, colours, side) for side in HEMISPHERES})
        axes = add_axes(figure, left + 3, bottom + 2, MAP, ROW - 8)
        axes.imshow(flat.image, extent=flat.extent, interpolation="antialiased")
        axes.set_axis_off()
        axes.set_title(title, loc="left")
        table = add_axes(figure, left + COLUMN - TABLE - 4, bottom + 15, TABLE, ROW - 27)
        means = np.stack([weights[maps.voxels.rois[name]].mean(axis=0) for name in ROI_NAMES])
        table.imshow(means, cmap="Greys", vmin=0, vmax=1, aspect="auto", extent=(0.5, LAYERS + 0.5, 7, 0))
        table.set_yticks(np.arange(7) + 0.5, ROI_NAMES)
        table.set_xticks([1, 6, LAYERS])
        table.set_xlabel("layer\n(black: all weight)")
    return figure


def _spread(surface: Surface, maps: PlantedMaps, colours: np.ndarray, side: str) -> np.ndarray:
    """Colours of voxels as those of a hemisphere's vertices, transparent where there is no voxel."""
    everywhere = np.zeros((surface.hemisphere(side).vertices, 4))
    here = maps.voxels.hemisphere == side
    everywhere[maps.voxels.vertex[here]] = colours[here]
    return everywhere


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="where to write, without suffix")
    png, _ = save(kinds(), parser.parse_args().path)
    print(json.dumps({"figure": str(png), "simulated": True}))


if __name__ == "__main__":
    main()
