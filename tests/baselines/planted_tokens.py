"""Tokens and subjects by hand, in which it is known what a voxel reads."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from factortopy.images import Split
from factortopy.networks import Preprocessing, Tokens
from factortopy.subjects import load_arrays

IMAGES, LAYERS, CHANNELS, GRID = 260, 3, 6, 4
SEEN = Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0)
IDS = tuple(f"image-{number:03d}" for number in range(IMAGES))
SPLIT = Split(IDS[:180], IDS[180:220], IDS[220:])


@dataclass
class PlantedTokens:
    """Tokens as a store gives them, independent over layers, places and images."""

    seed: int = 0
    network: str = "by hand"
    path: Path = Path("by-hand")
    image_ids: tuple = IDS
    image_groups: tuple | None = None
    digests: tuple | None = None
    basis: None = None
    layers: tuple = tuple(f"layer-{number}" for number in range(LAYERS))
    channels: tuple = (CHANNELS,) * LAYERS
    grid: tuple = (GRID, GRID)
    global_token: str = "class"
    preprocessing: Preprocessing = SEEN
    precision: str = "fp32"
    outliers: str = "kept"
    provenance: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)

    def __post_init__(self):
        random = np.random.default_rng(self.seed)
        self.weights_hash = f"weights {self.seed}"
        self.local = random.normal(size=(LAYERS, IMAGES, CHANNELS, GRID, GRID)).astype(np.float16)
        self.global_ = random.normal(size=(LAYERS, IMAGES, CHANNELS)).astype(np.float16)

    def read(self, indices):
        rows = np.asarray(indices)
        return Tokens(
            tuple(torch.from_numpy(layer[rows]) for layer in self.local),
            tuple(torch.from_numpy(layer[rows]) for layer in self.global_),
        )


STRETCH = 32
"""Voxels that lie together: among the 60 nearest that the start of a fit looks at, these weigh most."""


def subject_of(signal, noise=0.2, seed=5, **facts):
    """A subject with these responses and some noise, voxels in stretches along a line."""
    random = np.random.default_rng(seed)
    signal = signal / signal.std(axis=0)
    voxels = signal.shape[1]
    along = np.arange(voxels)
    place = np.stack([3.0 * along + 200.0 * (along // STRETCH), 0 * along, 0 * along], axis=1)
    return load_arrays(
        responses=(signal + noise * random.normal(size=signal.shape)).astype(np.float32),
        image_ids=IDS,
        coordinates=place,
        name="planted",
        **facts,
    )


def one_layer_one_place(tokens, width=4):
    """Each voxel reads one layer at one place, or the global token; which, in six stretches of the line."""
    random = np.random.default_rng(1)
    align = random.normal(size=(2, LAYERS, width, CHANNELS)) / np.sqrt(CHANNELS)
    cells = [(0, 0), (3, 3), (0, 3), (3, 0)]
    signal, layers = [], []
    for stretch in range(6):
        layer = stretch % LAYERS
        row, column = cells[stretch % 4]
        local = tokens.local[layer, :, :, row, column].astype(float) @ align[0, layer].T
        whole = tokens.global_[layer].astype(float) @ align[1, layer].T
        read = local if stretch < 4 else whole
        signal.append(read @ random.normal(size=(width, STRETCH)))
        layers += [layer] * STRETCH
    by_global = np.arange(6 * STRETCH) >= 4 * STRETCH
    return np.concatenate(signal, axis=1), np.array(layers), by_global
