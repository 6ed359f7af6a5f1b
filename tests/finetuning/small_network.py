"""A small convolutional network and images whose class is their colour: trained in a second."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from factortopy.finetuning import LabelledImages
from factortopy.images import ImageSet
from factortopy.networks import Preprocessing
from factortopy.networks.module import network_from_module

SEEN = Preprocessing((16, 16), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bilinear", 1.0)
COLOURS = {"blue": (0, 0, 1), "green": (0, 1, 0), "red": (1, 0, 0)}


class Small(nn.Module):
    """Two layers that give tokens, and an old classifier that gives none."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(), nn.Dropout(0.5))
        self.old_classifier = nn.Linear(12, 5)

    def forward(self, images):
        return self.old_classifier(self.second(self.first(images)).mean((2, 3)))


def small_network():
    return network_from_module(Small(), ["first", "second"], SEEN, name="small")


def coloured_images(per_class=12, name="colours", seed=0):
    """Noisy images tinted in the colour of their class."""
    random = np.random.default_rng(seed)
    pixels, labels = {}, []
    for label, colour in enumerate(COLOURS.values()):
        for number in range(per_class):
            noise = random.integers(0, 160, (16, 16, 3))
            pixels[f"{label}-{number}"] = (noise + 60 * np.array(colour)).astype(np.uint8)
            labels.append(label)
    images = ImageSet(name, tuple(pixels), lambda key: Image.fromarray(pixels[key]))
    return LabelledImages(images, tuple(labels), tuple(COLOURS))
