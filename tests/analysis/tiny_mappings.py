"""Small mappings by hand, of known numbers, for tests of comparisons."""

import numpy as np
import xarray as xr

from factortopy.mapping import Mapping

VOXELS, DRAWS = 60, 400
ROIS = {"V1": slice(0, 20), "V2V3": slice(20, 35), "OPA": slice(35, 45), "EBA": slice(45, 60)}
LEVELS = {"V1": 0.0, "V2V3": 0.33, "OPA": 0.66, "EBA": 1.0}


def tiny_mapping(r2, *, depth=None, layers=5, vertex=None, provenance=None, drawn=True, **attributes):
    """A mapping of 60 vertices whose R^2 and depth are given; limits are R^2 -+ 0.05."""
    r2 = np.broadcast_to(np.asarray(r2, dtype=float), VOXELS).copy()
    depth = np.linspace(0.1, 0.9, VOXELS) if depth is None else np.broadcast_to(depth, VOXELS)
    # All weight on the first and the last layer, so that the layer position is ``depth``.
    share = np.zeros((VOXELS, layers))
    share[:, 0], share[:, -1] = 1 - depth, depth
    vertex = np.arange(VOXELS) if vertex is None else vertex
    variables = {
        "space": (("voxel", "axis"), np.stack([depth - 0.5, 0.5 - depth], axis=1)),
        "layer": (("voxel", "layer"), share),
        "layer_share": (("voxel", "layer"), share),
        "scale": ("voxel", np.full(VOXELS, 0.5)),
        "scale_share": ("voxel", np.linspace(0, 1, VOXELS)),
        "ceiling": ("voxel", np.full(VOXELS, 0.8)),
        "r2": ("voxel", r2),
        "r2_low": ("voxel", r2 - 0.05),
        "r2_high": ("voxel", r2 + 0.05),
    }
    members = {name: np.isin(np.arange(VOXELS), np.arange(VOXELS)[some]) for name, some in ROIS.items()}
    coordinates = {
        "hemisphere": ("voxel", np.where(np.arange(VOXELS) % 2, "right", "left")),
        "vertex": ("voxel", vertex),
        "network_layer": ("layer", [f"block{number}" for number in range(layers)]),
        "axis": ["x", "y"],
        **{f"roi_{name}": ("voxel", inside) for name, inside in members.items()},
    }
    if drawn:
        noise = np.random.default_rng(0).normal(0, 0.01, (DRAWS, 1))
        means = np.array([r2[inside].mean() for inside in (*members.values(), np.ones(VOXELS, bool))])
        variables["drawn_r2"] = (("draw", "region"), means + noise)
        coordinates["region"] = [*members, "all voxels"]
    facts = {
        "network": "net", "subject": "s1", "surface": "fsaverage5", "rois": list(ROIS), "simulated": 0,
        "recipe": "default", "seed": 0, "split": "ab" * 32, "gauge": "canonical", "global_token": "class",
        "images_test": 30,
    }  # fmt: skip
    return Mapping(xr.Dataset(variables, coordinates, facts | attributes), provenance=provenance or {})
