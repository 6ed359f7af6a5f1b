"""The position code against the formula, and where the original failed."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from factortopy.errors import DataError
from factortopy.model import PositionEncoding

sys.path.insert(0, str(Path(__file__).parent))
import reference

BOUNDS = np.array([[-100.0, -100, -100], [400, 100, 100]])


@pytest.fixture
def coordinates():
    return np.random.default_rng(0).uniform(-100, 100, size=(20, 3)).astype(np.float32)


def test_code_equals_the_formula(coordinates):
    code = PositionEncoding(BOUNDS)(torch.from_numpy(coordinates))
    np.testing.assert_allclose(code.numpy(), reference.position_code(coordinates.astype(float), BOUNDS), atol=1e-5)


def test_a_subset_of_voxels_gets_the_same_code(coordinates):
    encode = PositionEncoding(BOUNDS)
    assert torch.equal(encode(torch.from_numpy(coordinates[5:9])), encode(torch.from_numpy(coordinates))[5:9])


@pytest.mark.parametrize("unit", [1e-3, 1_000])
def test_the_unit_of_length_does_not_matter(coordinates, unit):
    """As the longest axis is scaled, metres give what millimetres give."""
    code = PositionEncoding(BOUNDS)(torch.from_numpy(coordinates))
    other = PositionEncoding(unit * BOUNDS)(torch.from_numpy(unit * coordinates.astype(float)))
    np.testing.assert_allclose(other.numpy(), code.numpy(), atol=1e-4)


def test_a_flat_axis_gives_no_nan(coordinates):
    flat = coordinates.copy()
    flat[:, 2] = 3.0
    bounds = np.stack([flat.min(axis=0), flat.max(axis=0)])
    assert torch.isfinite(PositionEncoding(bounds)(torch.from_numpy(flat))).all()
    point = np.repeat(bounds[:1], 2, axis=0)
    assert torch.isfinite(PositionEncoding(point)(torch.from_numpy(flat[:1]))).all()


def test_bounds_are_stored_with_the_weights():
    assert {"lower", "factor", "frequency"} <= set(PositionEncoding(BOUNDS).state_dict())


@pytest.mark.parametrize("bounds", [BOUNDS[::-1], BOUNDS[:1], BOUNDS * np.nan])
def test_bad_bounds_are_refused(bounds):
    with pytest.raises(DataError, match="coordinate bounds"):
        PositionEncoding(bounds)
