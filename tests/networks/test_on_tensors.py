"""Preprocessing on tensors against the libraries' own with Pillow: every filter, size and crop."""

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from factortopy.images import sample_views
from factortopy.networks import Preprocessing
from factortopy.networks.resampling import FILTERS, resample

LEVELS = 1 if int(PIL.__version__.split(".")[0]) >= 13 else 4
"""Of 255, at most. Earlier versions of Pillow resize in another order, which shows in the rounding between."""
MEAN = 0.01 if LEVELS == 1 else 0.3


@pytest.fixture(scope="module")
def pictures():
    """Photographs and noise, wide and tall, small and large."""
    random, views = np.random.default_rng(0), sample_views(3)
    noise = Image.fromarray(random.integers(0, 255, (211, 97, 3), dtype=np.uint8))
    return [
        noise,
        views.image(0).resize((425, 425)),
        views.image(1).resize((100, 333)),
        views.image(2).resize((90, 60)),
    ]


def as_tensor(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def far(found, expected):
    difference = (found.float() - expected.float()).abs()
    return float(difference.max()), float(difference.mean())


@pytest.mark.parametrize("filter_name", [*FILTERS, "nearest"])
def test_filters_are_pillows(pictures, filter_name):
    filter_of_pillow = getattr(Image.Resampling, filter_name.upper())
    for picture in pictures:
        for height, width in ((224, 224), (64, 300), (300, 40), (31, 47), (picture.height, 17), picture.size[::-1]):
            expected = as_tensor(picture.resize((width, height), filter_of_pillow))
            most, mean = far(resample(as_tensor(picture)[None], (height, width), filter_name)[0], expected)
            # A box that takes pixels by halves has ties at every one of them.
            assert most <= LEVELS, (picture.size, height, width)
            assert mean <= (0.5 if filter_name == "box" else MEAN), (picture.size, height, width)


@pytest.mark.parametrize(
    ("size", "fraction", "mode"),
    [
        ((64, 64), 0.875, "center"),
        ((64, 64), 1.0, "center"),
        ((64, 96), 0.8, "center"),
        ((64, 96), 1.0, "squash"),
        ((64, 64), 0.9, "squash"),
        ((120, 120), 1.2, "center"),  # a crop larger than the picture: black around it
    ],
)
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_sizes_and_crops_are_timms(pictures, size, fraction, mode, channels):
    mean, std = (0.48, 0.46, 0.41), (0.25, 0.5, 0.125)
    seen = Preprocessing(size, mean, std, "bicubic", fraction, mode, channels)
    assert seen.runs_on_tensors
    for picture in pictures:
        found = seen.on_tensors(as_tensor(picture)[None].expand(2, -1, -1, -1))
        assert found.shape == (2, 3, *size)
        levels = torch.tensor(std if channels == "RGB" else std[::-1])[:, None, None] * 255
        most, average = far(found[1] * levels, seen(picture) * levels)
        assert most <= LEVELS + 1e-3
        assert average <= MEAN


def test_borders_are_left_to_pillow():
    assert not Preprocessing((8, 8), (0.5,) * 3, (0.5,) * 3, "bicubic", 1.0, "border").runs_on_tensors
