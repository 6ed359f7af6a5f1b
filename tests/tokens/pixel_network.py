"""A network whose tokens are known, and images for it; child processes import this too."""

import time

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from factortopy.images import ImageSet
from factortopy.networks import Network, Preprocessing, Tokens
from factortopy.tokens import extract


def noise_images(count=70, seed=0):
    ids = tuple(f"image-{index}" for index in range(count))

    def load(image_id):
        random = np.random.default_rng([seed, int(image_id.split("-")[1])])
        return Image.fromarray(random.integers(0, 255, (24, 24, 3), dtype=np.uint8))

    return ImageSet("noise", ids, load, groups=tuple(f"scene-{index // 2}" for index in range(count)))


class PixelNetwork(Network):
    """Two layers whose tokens are known: the pixels, and their mean in 4 x 4 blocks times a factor."""

    def __init__(self, factor=1.0, name="pixels", seconds=0.0):
        self.name, self.description, self.pretrained = name, "pixels", True
        self.layers, self.channels, self.grids = ("fine", "coarse"), (3, 3), ((16, 16), (4, 4))
        self.prefix_tokens, self.register_tokens, self.global_token = 0, 0, "pooled"
        self.preprocessing = Preprocessing((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic", 1.0)
        self.weights_hash, self.device, self.factor = "0" * 64, torch.device("cpu"), factor
        self.seen, self.seconds = 0, seconds

    def tokens(self, images):
        self.seen += len(images)
        time.sleep(self.seconds * len(images))
        coarse = functional.avg_pool2d(images, 4) * self.factor
        return Tokens((images, coarse), (images.mean((2, 3)), coarse.mean((2, 3))))

    def to(self, device):
        return self


def run(network, path, images=None, **options):
    options = {"grid": (8, 8), "precision": "fp32", "progress": False} | options
    return extract(network, images or noise_images(), path, **options)


def slow_run(path, count, seconds, begins=None):
    """What a process does that will be killed."""
    if begins is not None:
        begins.set()
    run(PixelNetwork(seconds=seconds), path, noise_images(count), batch_size=8)


def stored_files(path):
    """Bytes of every file of a store but the attributes, which hold the time of the run."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file != path / "zarr.json")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
