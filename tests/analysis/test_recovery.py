"""Recovery of a planted truth: each number against NumPy and SciPy, on maps that were made up."""

import numpy as np
import pytest
from scipy.stats import linregress
from tiny_mappings import LEVELS, ROIS, VOXELS, tiny_mapping

from factortopy.analysis import recovery
from factortopy.subjects import PlantedTruth

LAYERS = 5


@pytest.fixture
def pair():
    """A mapping and another truth; layer selector, layer share, place and scale of either differ."""
    rng = np.random.default_rng(0)
    made = tiny_mapping(0.3, layers=LAYERS, depth=rng.uniform(0, 1, VOXELS))
    layer, share, selector = rng.dirichlet(np.ones(LAYERS), (3, VOXELS))
    space, planted = rng.uniform(-1, 1, (2, VOXELS, 2))
    found = made.with_variables({"layer": (("voxel", "layer"), layer), "space": (("voxel", "axis"), space)})
    none, scale = np.zeros(VOXELS), rng.uniform(0, 1, (2, VOXELS))
    return found, PlantedTruth(
        planted, selector, scale[0], none, share, scale[1], none, np.zeros((3, VOXELS)), (), (), planted, none, 0
    )


def line(depth):
    """Least squares of depth against the levels of the ROIs."""
    level = np.concatenate([np.full(some.stop - some.start, LEVELS[name]) for name, some in ROIS.items()])
    fitted = linregress(level, depth)
    return fitted.slope, fitted.intercept, fitted.slope + fitted.intercept


def test_every_number_is_that_of_scipy_and_numpy(pair):
    mapping, truth = pair
    found, data, position = recovery(mapping, truth), mapping.dataset, np.linspace(0, 1, LAYERS)
    depths = {name: data[name].values @ position for name in ("layer_share", "layer")}
    planted = truth.layer_share @ position
    own, other = line(depths["layer_share"]), line(planted)
    assert (found.slope_found, found.b0_found, found.b1_found) == pytest.approx(own)
    assert (found.slope_planted, found.b0_planted, found.b1_planted) == pytest.approx(other)
    assert found.slope_selector == pytest.approx(line(depths["layer"])[0])
    pairs = {
        "depth_r": (depths["layer_share"], planted),
        "space_x_r": (data["space"].values[:, 0], truth.space[:, 0]),
        "space_y_r": (data["space"].values[:, 1], truth.space[:, 1]),
        "scale_r": (data["scale_share"].values, truth.scale_share),
    }
    for name, maps in pairs.items():
        assert getattr(found, name) == pytest.approx(np.corrcoef(*maps)[0, 1])
