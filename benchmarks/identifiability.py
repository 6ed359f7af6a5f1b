"""The picture of docs/identifiability.md: one simulated mapping in two gauges; no fit is needed.

A subject of planted selectors is turned by a gauge: raw selectors change, predictions, shares and the
canonical selectors do not. The last line is one JSON object.

Run: python benchmarks/identifiability.py docs/images/identifiability.png
"""

import argparse
import json
from typing import TYPE_CHECKING

import numpy as np
import torch

from factortopy.analysis import Gauge, canonical_selectors, layer_position, shares
from factortopy.model import ChannelAlign, ChannelMap, FactorTopy, FixedSelectors, Selection
from factortopy.networks import Tokens

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAYERS, CHANNELS, WIDTH, SIDE, IMAGES = 12, 24, 8, 24, 300
VOXELS = SIDE * SIDE


def planted() -> tuple[FactorTopy, Tokens]:
    """A model whose voxels, on a square of cortex, read deeper from left to right; and tokens to read."""
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(IMAGES, CHANNELS, 4, 4, generator=generator)
    local = [0.5 * common + torch.randn(common.shape, generator=generator) for _ in range(LAYERS)]
    tokens = Tokens(tuple(local), tuple(layer.mean(dim=(2, 3)) for layer in local))
    torch.manual_seed(0)
    maps = [[ChannelMap(CHANNELS, WIDTH) for _ in range(LAYERS)] for _ in range(2)]
    depth = torch.arange(SIDE).repeat(SIDE) / (SIDE - 1)
    position = torch.linspace(0, 1, LAYERS)
    layer = torch.softmax(-((depth[:, None] - position) ** 2) / 0.05, dim=1)
    selection = Selection(torch.zeros(VOXELS, 2), layer, 0.2 + 0.6 * depth)
    channels = torch.randn(VOXELS, WIDTH, generator=generator)
    return FactorTopy(ChannelAlign(*maps), FixedSelectors(selection), channels, WIDTH**-0.5), tokens


def main() -> None:
    """Draw the picture and print what moved and what did not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    output = parser.parse_args().output
    model, tokens = planted()
    model = model.double()
    tokens = Tokens(*(tuple(layer.double() for layer in side) for side in (tokens.local, tokens.global_)))
    # Early and late layers grow, those between shrink: what training could as well have done.
    factors = torch.exp(2.5 * torch.cos(2 * torch.pi * torch.linspace(0, 1, LAYERS))).double()
    gauge = Gauge(factors, torch.tensor([1.0, 3.0]).double(), torch.eye(WIDTH).double())
    found = [_look(held, tokens) for held in (model, gauge.model(model))]
    _draw(found, output)
    moved = {name: float(np.abs(found[0][name] - found[1][name]).max()) for name in found[0]}
    best = (found[0]["selector"].argmax(1) != found[1]["selector"].argmax(1)).mean()
    print(json.dumps({"best_layer_changed": round(float(best), 3), **{k: float(f"{v:.2g}") for k, v in moved.items()}}))


def _look(model: FactorTopy, tokens: Tokens) -> dict[str, np.ndarray]:
    held = shares(model, [model.align(tokens)])
    return {
        "predictions": held.predictions.numpy(),
        "selector": model.select().layer.numpy(),
        "share": held.layer.numpy(),
        "canonical": canonical_selectors(model, [model.align(tokens)]).selection.layer.numpy(),
    }


def _draw(found: list[dict[str, np.ndarray]], output: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 6.0))
    figure.text(0.02, 0.965, "Two models that predict exactly the same", fontsize=13, fontweight="bold")
    figure.text(
        0.02, 0.885,
        f"SIMULATED · {VOXELS} voxels on a square of cortex, planted: deeper layers from left to right · "
        f"{IMAGES} random images\nnothing was fitted: no recipe, split, seed or repeats · "
        "slope: layer position (0 first layer, 1 last) from the left to the right edge",
        fontsize=8.5, color="#555b63", linespacing=1.4,
    )  # fmt: skip
    changed = (found[0]["selector"].argmax(1) != found[1]["selector"].argmax(1)).mean()
    apart = np.abs(found[0]["predictions"] - found[1]["predictions"]).max()
    rows = ("model A\nas planted", "model B\nlayers rescaled")
    grid = figure.subplots(
        2, 4, gridspec_kw={"left": 0.08, "right": 0.985, "top": 0.78, "bottom": 0.15, "hspace": 0.3, "wspace": 0.12}
    )
    for row, held in enumerate(found):
        _draw_maps(grid[row, :3], held, f", {changed:.0%} of best layers changed" if row else "")
        grid[row, 0].set_ylabel(rows[row], fontsize=10)
        axes = grid[row, 3]
        axes.plot(found[0]["predictions"].ravel()[::97], held["predictions"].ravel()[::97], ".", markersize=2)
        largest = f"largest difference {apart:.0e}" if row else " "
        axes.set_title(f"predictions of {'AB'[row]} against A's\n{largest}", fontsize=9)
        axes.set(aspect="equal", xticks=[], yticks=[])
    _draw_key(figure)
    figure.savefig(output, dpi=110)


def _draw_maps(row: np.ndarray, held: dict[str, np.ndarray], note: str) -> None:
    from factortopy.mapping import best_layer
    from factortopy.plot import layer_colours

    columns = {"selector": "raw selector", "canonical": "selector, canonical gauge", "share": "layer share"}
    for axes, (name, title) in zip(row, columns.items(), strict=True):
        axes.imshow(layer_colours(best_layer(held[name])).reshape(SIDE, SIDE, 4))
        slope = np.polyfit(np.tile(np.linspace(0, 1, SIDE), SIDE), layer_position(held[name]), 1)[0]
        axes.set_title(f"{title}\nslope {slope:.2f}{note if name == 'selector' else ''}", fontsize=9)
        axes.set(xticks=[], yticks=[])


def _draw_key(figure: "Figure") -> None:
    from factortopy.plot import layer_colours

    axes = figure.add_axes((0.08, 0.08, 0.3, 0.03))
    axes.imshow(layer_colours(np.linspace(0, 1, LAYERS))[None], aspect="auto", extent=(0.5, LAYERS + 0.5, 0, 1))
    axes.set(yticks=[], xticks=[1, LAYERS])
    axes.set_xlabel("layer that the voxel reads most", fontsize=8.5, labelpad=-8)


if __name__ == "__main__":
    main()
