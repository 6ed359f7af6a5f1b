"""A mapping without any fit, on the real cortex: planted maps with a little noise, for tests of pictures."""

from dataclasses import replace

import numpy as np
import xarray as xr

from factortopy.analysis import hierarchy_slope
from factortopy.cortex import load_surface
from factortopy.mapping import Mapping
from factortopy.simulation.maps import planted_maps
from factortopy.subjects import PlantedTruth

LAYERS = 8


def fake_mapping_and_truth(**attributes):
    """A mapping and the truth behind it; attributes replace those of the dataset."""
    maps, generator = planted_maps(load_surface()), np.random.default_rng(0)
    voxels = len(maps.voxels)
    bump = np.exp(-0.5 * ((np.arange(LAYERS) - maps.depth[:, None] * (LAYERS - 1)) / 0.9) ** 2)
    layer = bump / bump.sum(axis=1, keepdims=True)
    share = layer + generator.normal(0, 0.02, layer.shape)
    share /= share.sum(axis=1, keepdims=True)
    ceiling = 0.8 - 0.4 * maps.distance
    variables = {
        "space": (("voxel", "axis"), maps.space + generator.normal(0, 0.02, maps.space.shape)),
        "layer": (("voxel", "layer"), layer),
        "scale": ("voxel", 0.3 + 0.4 * maps.scale),
        "size": ("voxel", 0.1 + 0.4 * maps.depth),
        "layer_share": (("voxel", "layer"), share),
        "scale_share": ("voxel", maps.scale + generator.normal(0, 0.02, voxels)),
        "r2": ("voxel", ceiling - 0.5 + generator.normal(0, 0.05, voxels)),
        "ceiling": ("voxel", ceiling),
    }
    variables["depth"] = ("voxel", share @ np.linspace(0, 1, LAYERS))
    coordinates = {
        "hemisphere": ("voxel", maps.voxels.hemisphere),
        "vertex": ("voxel", maps.voxels.vertex),
        "network_layer": ("layer", [f"blocks.{number}" for number in range(LAYERS)]),
        "axis": ["x", "y"],
        **{f"roi_{name}": ("voxel", inside) for name, inside in maps.voxels.rois.items()},
    }
    facts = {
        "network": "timm/vit_test", "subject": "planted", "recipe": "default", "surface": "fsaverage5",
        "simulated": 1, "global_token": "class", "seed": 3, "split": "5eed" * 16, "gauge": "canonical",
        "images_train": 576, "images_validation": 71, "images_test": 72, "repeats_test": [0, 0, 72],
    }  # fmt: skip
    mapping = Mapping(
        dataset=xr.Dataset(variables, coordinates, {**facts, **attributes}),
        settings={"recipe": "default", "optimiser": {"steps": 720, "learning_rate": 0.003}},
        provenance={"versions": {"torch": "2.0"}, "weights_hash": "ab" * 32},
    )
    truth = PlantedTruth(
        space=maps.space, layer=layer, scale=maps.scale, depth=maps.depth, layer_share=layer,
        scale_share=maps.scale, noise_ceiling=ceiling, signal=np.zeros((2, voxels), dtype=np.float32),
        local_projections=(), global_projections=(), channel_weights=np.zeros((voxels, 1)),
        offset=np.zeros(voxels), seed=0,
    )  # fmt: skip
    return mapping, truth


def with_limits(mapping, draws=200):
    """A copy with limits and draws as a fit with a bootstrap keeps them: the values with a little noise."""
    data, generator = mapping.dataset, np.random.default_rng(1)
    means = {"drawn_r2": "r2", "drawn_depth": "depth", "drawn_scale": "scale_share"}
    regions = [*mapping.rois.values(), slice(None)]
    variables = {}
    for drawn, name in means.items():
        centre = [data[name].values[region].mean() for region in regions]
        noise = generator.normal(0, 0.02, (draws, len(regions)))
        variables[drawn] = (("draw", "region"), centre + noise)
        reach = 0.04 + 0.2 * generator.random(data.sizes["voxel"])
        variables[f"{name}_low"] = ("voxel", data[name].values - reach)
        variables[f"{name}_high"] = ("voxel", data[name].values + reach)
    line = hierarchy_slope(mapping)
    b0, b1 = line.b0 + generator.normal(0, 0.02, draws), line.b1 + generator.normal(0, 0.03, draws)
    variables |= {"drawn_slope": ("draw", b1 - b0), "drawn_b0": ("draw", b0), "drawn_b1": ("draw", b1)}
    named = data.assign_coords(region=[*mapping.rois, "all voxels"]).assign(variables)
    return replace(mapping, dataset=named.assign_attrs(bootstrap=draws, confidence=0.95))
